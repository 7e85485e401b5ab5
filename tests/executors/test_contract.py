"""What every executor must do, with an evaluator of known behaviour in the place of training."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from scaler import Architecture, load_study
from scaler.config import StudyConfig
from scaler.evaluation import EvaluationError, Evaluator, Report, Result
from scaler.executors import Driver, Observer, run_locally
from scaler.study import finished_trials, open_study, release_interrupted, taken_digests
from scaler.workflow import triangle_of

EXECUTORS: dict[str, Callable[[Driver, Evaluator], None]] = {"local": run_locally}


@pytest.fixture(params=EXECUTORS)
def execute(request: pytest.FixtureRequest) -> Callable[[Driver, Evaluator], None]:
    return EXECUTORS[request.param]


def table(architecture: Architecture, seed: int, report: Report) -> Result:
    """Three epochs whose accuracy follows from the network's numbers."""
    accuracy = 0.5 + architecture.resolution / 200
    for epoch in (1, 2, 3):
        if not report(epoch, accuracy * epoch / 3):
            return Result(accuracy=accuracy * epoch / 3, epochs=epoch, stopped=True)
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"weights")
    return Result(accuracy=accuracy, epochs=3, device="table", weights=Path(file.name))


def run(config: StudyConfig, execute: Callable, evaluator: Evaluator, observer: Observer | None = None) -> optuna.Study:
    study = open_study(config)
    execute(Driver(study, config, triangle_of(config), observer), evaluator)
    return study


@pytest.mark.usefixtures("tiny")
def test_the_number_of_trials_is_exact_and_each_has_its_record(execute: Callable) -> None:
    config = load_study("tiny", {"search.trials": 6})
    study = run(config, execute, table)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 6
    for trial in study.trials:
        record = trial.user_attrs
        assert trial.value == 0.5 + record["architecture"]["resolution"] / 200
        assert record["source"] == "discovered"
        assert record["epochs"] == 3
        assert record["macs"] <= 400_000
        assert trial.intermediate_values.keys() == {1, 2, 3}
        assert (config.folder / "artifacts" / record["weights"]).read_bytes() == b"weights"
    assert len(taken_digests(study)) == 6


@pytest.mark.usefixtures("tiny")
def test_failures_are_recorded_with_their_reason_and_the_search_goes_on(execute: Callable) -> None:
    def flaky(architecture: Architecture, seed: int, report: Report) -> Result:
        match len(taken_digests(study)) % 4:
            case 0:
                raise EvaluationError("loss not finite in epoch 1")
            case 1:
                raise RuntimeError("out of memory")
            case 2:
                return Result(accuracy=math.nan, epochs=1)
        return table(architecture, seed, report)

    config = load_study("tiny", {"search.trials": 8})
    study = open_study(config)
    execute(Driver(study, config, triangle_of(config)), flaky)
    assert len(finished_trials(study)) == 8
    reasons = {trial.user_attrs.get("failure") for trial in study.trials if trial.state == TrialState.FAIL}
    assert reasons == {"loss not finite in epoch 1", "RuntimeError: out of memory", "accuracy is nan"}
    assert sum(trial.state == TrialState.COMPLETE for trial in study.trials) == 2


@pytest.mark.usefixtures("tiny")
def test_a_stopped_trial_is_pruned_and_not_complete(execute: Callable) -> None:
    class Worsening:
        accuracy = 1.0

        def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
            self.accuracy /= 2
            for epoch in (1, 2, 3):
                if not report(epoch, self.accuracy):
                    return Result(accuracy=self.accuracy, epochs=epoch, stopped=True)
            return Result(accuracy=self.accuracy, epochs=3)

    config = load_study("tiny", {"search.trials": 9, "search.pruner": "median"})
    states = [trial.state for trial in run(config, execute, Worsening()).trials]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED] * 4


@pytest.mark.usefixtures("tiny")
def test_an_interrupt_queues_the_network_at_hand_again(execute: Callable) -> None:
    def interrupted(architecture: Architecture, seed: int, report: Report) -> Result:
        if len(taken_digests(study)) == 3:
            raise KeyboardInterrupt
        return table(architecture, seed, report)

    config = load_study("tiny", {"search.trials": 5})
    study = open_study(config)
    with pytest.raises(KeyboardInterrupt):
        execute(Driver(study, config, triangle_of(config)), interrupted)
    queued = study.get_trials(states=(TrialState.WAITING,))
    assert len(queued) == 1
    again = run(config, execute, table)
    assert len(finished_trials(again)) == 5
    assert not again.get_trials(states=(TrialState.WAITING, TrialState.RUNNING))
    digests = [trial.user_attrs["digest"] for trial in finished_trials(again)]
    assert queued[0].user_attrs["digest"] in digests
    assert len(set(digests)) == 5


@pytest.mark.usefixtures("tiny")
def test_what_a_dead_process_left_running_is_run_again() -> None:
    config = load_study("tiny", {"search.trials": 3})
    study = open_study(config)
    job = Driver(study, config, triangle_of(config)).ask()
    assert job is not None
    assert release_interrupted(study) == 1
    run(config, run_locally, table)
    finished = finished_trials(study)
    assert len(finished) == 3
    assert job.record.architecture.digest in {trial.user_attrs["digest"] for trial in finished}


@pytest.mark.usefixtures("tiny")
def test_a_small_space_ends_cleanly(execute: Callable) -> None:
    class Watcher(Observer):
        networks = 0

        def exhausted(self, networks: int) -> None:
            self.networks = networks

    config = load_study("tiny", {"search.trials": 1000, "budget.macs": "200K", "search.growth": 2.0})
    watcher = Watcher()
    study = run(config, execute, table, watcher)
    assert 1 < watcher.networks == len(finished_trials(study)) < 1000
    assert watcher.networks >= len(triangle_of(config).enumerate())
