"""What every executor must do, with evaluators of known behaviour in the place of training."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from scaler import load_study
from scaler.config import StudyConfig
from scaler.evaluation import Evaluator
from scaler.executors import Capacity, Driver, Job, Observer, run_locally
from scaler.leases import reap
from scaler.study import claimed, finished_trials, open_study, taken_digests
from scaler.workflow import domain_of
from tests.executors.conftest import on_ray
from tests.executors.evaluators import Calls, Flaky, Slow, Worsening, table

Execute = Callable[[Driver, Evaluator], None]

EXECUTORS: dict[str, Execute] = {
    "in_process": run_locally,
    "two_workers": lambda driver, evaluator: run_locally(driver, evaluator, Capacity(2, 1)),
    "ray": on_ray,
}

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(params=EXECUTORS)
def execute(request: pytest.FixtureRequest) -> Execute:
    if request.param == "ray":
        request.getfixturevalue("local_ray")
    return EXECUTORS[request.param]


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    folder = tmp_path / "calls"
    folder.mkdir()
    return Calls(folder)


class Watcher(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.running: set[int] = set()
        self.most = 0
        self.networks = 0
        self.was_late = False
        self.reports: list[tuple[int, int]] = []

    def started(self, job: Job) -> None:
        self.running.add(job.trial.number)
        self.most = max(self.most, len(self.running))

    def reported(self, job: Job, epoch: int, accuracy: float) -> None:
        assert job.trial.number in self.running
        self.reports.append((job.trial.number, epoch))

    def finished(self, job: Job, trial: FrozenTrial) -> None:
        self.running.remove(job.trial.number)

    def interrupted(self, job: Job, reason: str) -> None:
        self.running.discard(job.trial.number)

    def exhausted(self, networks: int) -> None:
        self.networks = networks

    def time_is_up(self) -> None:
        self.was_late = True


def run(config: StudyConfig, execute: Execute, evaluator: Evaluator, observer: Observer | None = None) -> optuna.Study:
    study = open_study(config)
    execute(Driver(study, config, domain_of(config), observer), evaluator)
    return study


def test_the_number_of_trials_is_exact_and_each_has_its_record(execute: Execute) -> None:
    config = load_study("tiny", {"search.trials": 13})
    watcher = Watcher()
    study = run(config, execute, table, watcher)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 13
    for trial in study.trials:
        record = trial.user_attrs
        assert trial.value == 0.5 + record["architecture"]["resolution"] / 200
        assert record["source"] == "discovered"
        assert record["epochs"] == 3
        assert record["macs"] <= 400_000
        assert trial.intermediate_values.keys() == {1, 2, 3}
        assert (config.folder / "artifacts" / record["weights"]).read_bytes() == b"weights"
        assert [epoch for number, epoch in watcher.reports if number == trial.number] == [1, 2, 3]
    assert len(taken_digests(study)) == 13
    assert not watcher.running


def test_failures_are_recorded_with_their_reason_and_the_search_goes_on(execute: Execute, calls: Calls) -> None:
    study = run(load_study("tiny", {"search.trials": 8}), execute, Flaky(calls))
    assert len(finished_trials(study)) == 8
    reasons = {trial.user_attrs.get("failure") for trial in study.trials if trial.state == TrialState.FAIL}
    assert reasons == {"loss not finite in epoch 1", "RuntimeError: out of memory", "accuracy is nan"}
    assert sum(trial.state == TrialState.COMPLETE for trial in study.trials) == 2


def test_a_stopped_trial_is_pruned_and_not_complete(execute: Execute, calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 12, "search.pruner": "median"})
    begun = sorted(run(config, execute, Worsening(calls)).trials, key=lambda trial: -trial.intermediate_values[1])
    states = [trial.state for trial in begun]
    if execute is run_locally:
        assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED] * 7
    # The median pruner waits for five. Of two networks trained side by side the later and worse may be the fifth to
    # end, whereupon the other is stopped if it is below the median, as all but the best three are, or just escapes it.
    assert states[:3] == [TrialState.COMPLETE] * 3
    assert states.count(TrialState.COMPLETE) in (5, 6)
    assert states[6:] == [TrialState.PRUNED] * 6
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}


def test_an_interrupt_queues_the_networks_at_hand_again(execute: Execute, calls: Calls) -> None:
    class Impatient(Watcher):
        def reported(self, job: Job, epoch: int, accuracy: float) -> None:
            if job.trial.number >= 3:  # of the first four calls, which are quick, one at least is such a network's
                signal.raise_signal(signal.SIGINT)

    config = load_study("tiny", {"search.trials": 6})
    watcher = Impatient()
    began = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run(config, execute, Slow(calls, seconds=60, only=frozenset({4, 5})), watcher)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - began < 30
    study = open_study(config)
    assert not study.get_trials(states=(TrialState.RUNNING,))
    queued = study.get_trials(states=(TrialState.WAITING,))
    assert 1 <= len(queued) <= 2
    assert not watcher.running
    again = run(config, execute, table)
    assert len(finished_trials(again)) == 6
    assert not again.get_trials(states=(TrialState.WAITING, TrialState.RUNNING))
    digests = [trial.user_attrs["digest"] for trial in finished_trials(again)]
    assert {trial.user_attrs["digest"] for trial in queued} <= set(digests)
    assert len(set(digests)) == 6


def test_queued_networks_do_not_exceed_the_number_of_trials(execute: Execute) -> None:
    config = load_study("tiny", {"search.trials": 6})
    study = open_study(config)
    driver = Driver(study, config, domain_of(config))
    for job in [driver.ask() for _ in range(4)]:
        assert job is not None
        driver.begin(job)
        driver.interrupt(job)
    fewer = load_study("tiny", {"search.trials": 3})
    assert len(finished_trials(run(fewer, execute, table))) == 3
    assert len(finished_trials(run(config, execute, table))) == 6
    assert len({trial.user_attrs["digest"] for trial in finished_trials(study)}) == 6


def test_what_a_dead_process_left_running_is_run_again(execute: Execute) -> None:
    config = load_study("tiny", {"search.trials": 3})
    study = open_study(config)
    job = Driver(study, config, domain_of(config)).ask()
    assert job is not None
    assert claimed(study, lambda: reap(study)) == []
    assert len(claimed(study, lambda: reap(study, force=True))) == 1
    run(config, execute, table)
    finished = finished_trials(study)
    assert len(finished) == 3
    assert job.record.architecture.digest in {trial.user_attrs["digest"] for trial in finished}


def test_a_small_space_ends_cleanly(execute: Execute) -> None:
    config = load_study("tiny", {"search.trials": 1000, "budget.macs": "120K", "search.growth": 1.2})
    watcher = Watcher()
    study = run(config, execute, table, watcher)
    assert 1 < watcher.networks == len(finished_trials(study)) < 1000
    assert watcher.networks >= len(domain_of(config).candidates(np.random.default_rng(0), 100_000))


def test_a_network_past_its_time_limit_fails_and_the_search_goes_on(execute: Execute, calls: Calls) -> None:
    # The others, which are quick, must not be late even where two tests share a core with whatever else runs.
    config = load_study("tiny", {"search.trials": 4, "search.trial_timeout": 2.0})
    study = run(config, execute, Slow(calls, seconds=2.2, epochs=3, only=frozenset({1})))
    failed = [trial for trial in study.trials if trial.state != TrialState.COMPLETE]
    assert [(trial.state, trial.user_attrs["failure"]) for trial in failed] == [(TrialState.FAIL, "time limit of 2 s")]
    assert len(study.trials) == 4
    assert len(calls.processes()) == 4


def test_a_network_that_has_ended_by_itself_is_not_too_late(execute: Execute, calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 1, "search.trial_timeout": 0.1})
    study = run(config, execute, Slow(calls, seconds=0.15, epochs=1))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]


def test_when_the_searchs_time_is_up_nothing_is_lost(execute: Execute, calls: Calls) -> None:
    watcher = Watcher()
    hours = 10 / 3600  # long enough for workers to start on a busy machine
    config = load_study("tiny", {"search.trials": 5, "search.max_hours": hours})
    study = run(config, execute, Slow(calls, seconds=0.5, epochs=1000, only=frozenset({1, 2})), watcher)
    assert watcher.was_late
    assert not watcher.running
    assert len(finished_trials(study)) < 5
    queued = study.get_trials(states=(TrialState.WAITING,))
    assert 1 <= len(queued) <= 2
    assert not study.get_trials(states=(TrialState.RUNNING,))
    watcher = Watcher()
    again = run(load_study("tiny", {"search.trials": 5, "search.max_hours": 1.0}), execute, table, watcher)
    assert [trial.state for trial in finished_trials(again)] == [TrialState.COMPLETE] * 5
    assert not watcher.was_late


def test_a_late_search_that_has_all_its_trials_says_nothing(execute: Execute, calls: Calls) -> None:
    watcher = Watcher()
    config = load_study("tiny", {"search.trials": 1, "search.max_hours": 0.1 / 3600})
    config_done = load_study("tiny", {"search.trials": 1})
    run(config_done, execute, table)
    run(config, execute, table, watcher)
    assert not watcher.was_late
