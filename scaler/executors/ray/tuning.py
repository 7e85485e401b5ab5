"""What Ray Tune calls in the driver's process: what to evaluate, what was reported, what broke, when to end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from scaler.executors.ray.desk import Desk
from scaler.executors.ray.worker import ACCURACY, END, EPOCH, stop


class Suggestions(Searcher):
    """Hands the desk's networks to Tune, no more than `room()` at a time and none any more once `ends()`."""

    def __init__(self, desk: Desk, room: Callable[[], int], ends: Callable[[], bool]) -> None:
        super().__init__()
        self._desk = desk
        self._room = room
        self._ends = ends

    # Ray's annotation leaves out FINISHED, a string, which its documentation names as an answer.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """A network, None while there is none to hand out, or FINISHED when none can come any more."""
        if self._ends():
            return Searcher.FINISHED
        if len(self._desk.jobs) >= self._room():
            return None
        job = self._desk.ask(trial_id)
        if job is None:
            return Searcher.FINISHED if self._desk.exhausted else None
        return {"architecture": job.record.architecture.to_dict(), "seed": job.record.seed}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the desk knows already."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's storage is what a search goes on from."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: see `save`."""


class Verdicts(FIFOScheduler):
    """Tells the desk what was reported, and the worker to stop early where the study's pruner or a limit says so.

    Tune's own way of stopping would end the worker's thread in the middle of its report; this way the evaluator stops
    by itself and returns what it measured.

    trials  Tune's trials that the desk has a network for, by their ids; kept here
    """

    def __init__(self, desk: Desk, trials: dict[str, Trial]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray has not annotated it
        self._desk = desk
        self._trials = trials
        self._new: Trial | None = None

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._trials[trial.trial_id] = self._new = trial

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The newest trial, which takes the place of the worker that is free just now.

        Tune would give that worker to the oldest that waits, and end the worker that is already starting for it.
        """
        new, self._new = self._new, None
        return new

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """STOP when the evaluation has ended."""
        if END in result:
            self._desk.end(trial.trial_id, result[END])
            del self._trials[trial.trial_id]
            return self.STOP
        if not self._desk.report(trial.trial_id, result[EPOCH], result[ACCURACY]):
            # A worker takes its calls in turn, so this one comes before that which lets the evaluation go on.
            worker = trial.temporary_state.ray_actor
            assert worker is not None, "it has just reported"
            worker.execute.remote(stop)
        return self.CONTINUE


class Ending(tune.Stopper):
    """Ends everything once `ends()`: workers are killed, in the middle of whatever they are doing."""

    def __init__(self, trials: dict[str, Trial], ends: Callable[[], bool]) -> None:
        self._trials = trials
        self._ends = ends

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._ends():
            for trial in self._trials.values():
                _kill_worker(trial)
        return self._ends()


class Watch(tune.Callback):
    """Tells the desk of beginnings and of lost workers, and kills the workers of networks that are out of time."""

    def __init__(self, desk: Desk, trials: dict[str, Trial]) -> None:
        self._desk = desk
        self._trials = trials

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._desk.begin(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        result.pop(END, None)  # Tune would keep the whole of it in its records

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        for trial in [trial for trial in self._trials.values() if trial.status == Trial.ERROR]:
            del self._trials[trial.trial_id]
            self._desk.lose(trial.trial_id, _error(trial))
        for overdue in self._desk.overdue():
            _kill_worker(self._trials[overdue])


def _kill_worker(trial: Trial) -> None:
    worker = trial.temporary_state.ray_actor
    if worker is not None:
        ray.kill(worker)


def _error(trial: Trial) -> Exception | None:
    """What ended a trial, from the file in which Tune keeps it: one that this process has written, in a folder of its
    own that no other user can write to, so that it may be a pickle."""
    file = trial.pickled_error_file
    if not file or not Path(file).is_file():
        return None
    error: Exception = cloudpickle.loads(Path(file).read_bytes())
    return error
