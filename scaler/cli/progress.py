"""The live view of a run: a bar with the best so far on a terminal, a line for each network everywhere."""

from types import TracebackType
from typing import Self

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from scaler.budget import format_quantity
from scaler.executors import Job, Observer
from scaler.study import finished_trials


class Progress(Observer):
    """Shows what an executor does; `total` is the number of networks wanted, None if it is not known beforehand.

    evaluated        networks evaluated while it watched
    exhausted_after  how many networks the space had, if it ran out of them
    """

    def __init__(self, total: int | None) -> None:
        self.evaluated = 0
        self.exhausted_after: int | None = None
        self._total = total
        self._best: FrozenTrial | None = None
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def started(self, job: Job) -> None:
        done = len(finished_trials(job.trial.study))
        if self._best is None:
            self._best = _best(job)
        self._bar.update(self._task, completed=done, description=self._describe(f"#{job.trial.number}"))

    def reported(self, job: Job, epoch: int, accuracy: float) -> None:
        text = f"#{job.trial.number} epoch {epoch}: {accuracy:.4f}"
        self._bar.update(self._task, description=self._describe(text))

    def finished(self, job: Job, trial: FrozenTrial) -> None:
        self.evaluated += 1
        self._best = _best(job)
        done = len(finished_trials(job.trial.study))
        self._bar.update(self._task, completed=done)
        outcome = {
            TrialState.COMPLETE: f"accuracy {trial.value:.4f}" if trial.value is not None else "",
            TrialState.PRUNED: "stopped early",
            TrialState.FAIL: f"failed: {trial.user_attrs.get('failure')}",
        }[trial.state]
        network = job.record.architecture
        place = f"{done:>3}/{self._total}" if self._total else f"{done:>3}"
        best = f"best {self._best.value:.4f} (#{self._best.number})" if self._best else "no best yet"
        seconds = trial.user_attrs.get("train_seconds", 0.0)
        self._console.print(
            f"{place}  {outcome}  {best}  {format_quantity(network.cost().macs)} MACs  {seconds:.1f} s  "
            f"{job.record.model}: {network.summary()}",
            markup=False,
        )

    def exhausted(self, networks: int) -> None:
        self.exhausted_after = networks

    def _describe(self, text: str) -> str:
        return f"{text} | best {self._best.value:.4f}" if self._best else text


def _best(job: Job) -> FrozenTrial | None:
    completed = [trial for trial in finished_trials(job.trial.study) if trial.state == TrialState.COMPLETE]
    return max(completed, key=lambda trial: (trial.value, -trial.number), default=None)
