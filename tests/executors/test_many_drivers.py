"""Many drivers on one study: whatever dies, nothing is lost, nothing is done twice, and the total is exact."""

import os
import random
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from scaler import InputError
from scaler.errors import WorkError
from scaler.evaluation import Result
from scaler.executors import Driver, Job, Observer, run_locally
from scaler.leases import Owner, driving, leases, reap
from scaler.record import DRIVER, INTERRUPTED
from scaler.storage.url import normalised
from scaler.study import claimed, finished_trials, open_study, storage_of
from tests.conftest import FULL
from tests.executors.drivers import GO_ON, STOP, Program, configured, domain, evaluations, programs
from tests.executors.evaluators import table
from tests.postgres import Postgres

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new storage of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


def wait_until(what, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def check(study: optuna.Study, total: int) -> None:
    """Exactly `total` trials count, each of a network of its own, and nothing is left undone."""
    finished = finished_trials(study)
    assert len(finished) == total
    assert len({(trial.user_attrs["digest"], trial.user_attrs["seed"]) for trial in finished}) == total
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    numbers = [trial.number for trial in study.trials]
    assert numbers == list(range(len(numbers)))


def completed(study: optuna.Study) -> dict[int, float]:
    return {trial.number: trial.value for trial in study.get_trials(states=(TrialState.COMPLETE,))}


def test_two_drivers_share_out_an_exact_number_of_trials(url: str) -> None:
    total = 100 if FULL or url.startswith("postgresql") else 20
    study = open_study(configured(url, total))
    with programs(*(Program(url, total, seconds=0.02) for _ in range(2))) as both:
        for program in both:
            program.finish()
    check(study, total)
    assert len(evaluations()) == len(set(evaluations())) == total
    assert {trial.user_attrs[DRIVER]["pid"] for trial in study.trials} == {program.pid for program in both}
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_drivers_that_are_killed_lose_nothing_that_was_finished(url: str) -> None:
    total, kills = (60, 10) if FULL else (16, 3)
    dice = random.Random(7)
    study = open_study(configured(url, total))
    before: dict[int, float] = {}
    for _ in range(kills):
        wanted = len(before) + 1
        with programs(Program(url, total, seconds=0.2)) as (program,):
            wait_until(lambda wanted=wanted: len(completed(study)) >= wanted)
            time.sleep(dice.random() * 0.4)
            program.kill()
        after = completed(study)
        assert before.items() <= after.items()
        before = after
    assert len(before) < total, "it was killed too late to show anything"
    with programs(Program(url, total, seconds=0.0)) as (program,):
        program.finish()
    check(study, total)
    assert before.items() <= completed(study).items()


def test_a_driver_that_was_stopped_for_too_long_drops_what_was_taken_over(url: str) -> None:
    total, lease = 8, 1.0
    study = open_study(configured(url, total, lease))
    with programs(Program(url, total, seconds=2.0, lease=lease)) as (stopped,):
        # In the middle of an evaluation: whoever is stopped in the middle of a claim holds the others up.
        wait_until(lambda: any(held.trial.intermediate_values for held in leases(study)))
        stopped.signal(STOP)
        with programs(Program(url, total, seconds=0.1, lease=lease)) as (other,):
            time.sleep(3 * lease)
            wait_until(lambda: len(finished_trials(study)) == total or not leases(study))
            stopped.signal(GO_ON)
            other.finish()
            errors = stopped.finish()
    check(study, total)
    taken = [trial for trial in study.trials if trial.user_attrs.get("failure") == INTERRUPTED]
    assert all(trial.state == TrialState.FAIL for trial in taken)
    # On a starved machine a lease of a second may run out of others as well.
    (dropped, *_) = [trial for trial in taken if trial.user_attrs[DRIVER]["pid"] == stopped.pid]
    assert f"trial {dropped.number}: taken over by another driver, its end is dropped" in errors


def test_failing_networks_are_counted_once_and_the_total_is_exact(url: str) -> None:
    total = 100 if FULL else 30
    study = open_study(configured(url, total))
    with programs(*(Program(url, total, seconds=0.0, faults=0.2) for _ in range(2))) as both:
        for program in both:
            program.finish()
    check(study, total)
    reasons = {trial.user_attrs["failure"] for trial in study.get_trials(states=(TrialState.FAIL,))}
    assert reasons
    assert reasons <= {"accuracy is nan", "accuracy is inf", "RuntimeError: no memory"}
    assert len(completed(study)) > total / 2


def test_a_restart_of_postgresql_is_waited_for(postgres: Postgres) -> None:
    url, total = postgres.new_database(), 24
    study = open_study(configured(url, total))
    with programs(*(Program(url, total, seconds=0.4, lease=5.0) for _ in range(2))) as both:
        wait_until(lambda: len(completed(study)) >= 4)
        before = completed(study)
        postgres.stop()
        time.sleep(10 if FULL else 4)
        postgres.start()
        for program in both:
            errors = program.finish()
            assert 1 <= errors.count("it cannot be reached") == errors.count("it is back after") <= 2
    check(study, total)
    assert before.items() <= completed(study).items()
    assert len(evaluations()) == len(set(evaluations()))


def test_what_a_driver_leaves_is_taken_over_when_its_lease_ends(url: str) -> None:
    """As on another machine, whose processes cannot be looked at."""
    config = configured(url, 3, lease=1.0)
    study = open_study(config)
    gone = Driver(study, config, domain())
    job = gone.ask()
    assert job is not None
    elsewhere = Owner(host="elsewhere", pid=1, machine="another machine", started="1", lease=1.0)
    storage_of(study).set_user_attributes(job.trial._trial_id, {DRIVER: asdict(elsewhere)})
    assert claimed(study, lambda: reap(study)) == []
    gone._heart.drop(job.trial._trial_id)
    time.sleep(1.2)
    run_locally(Driver(study, config, domain()), table)
    check(study, 3)
    assert study.trials[0].user_attrs["failure"] == INTERRUPTED
    assert not gone.report(job, 1, 0.5)
    gone.tell(job, Result(accuracy=0.9, epochs=3))
    check(study, 3)


def test_patience_ends(postgres: Postgres) -> None:
    url = postgres.new_database()
    config = configured(url, 2)
    config = replace(config, storage=replace(config.storage, patience=0.5))
    driver = Driver(open_study(config), config, domain())
    postgres.stop()
    try:
        with pytest.raises(WorkError, match=r"^storage: it could not be reached for 0\.5 s \(.*--resume goes on$"):
            driver.ask()
    finally:
        postgres.start()
    assert driver.ask() is not None


def test_a_claim_that_fails_leaves_nothing_behind(url: str) -> None:
    config = configured(url, 5)
    study = open_study(config)

    def work() -> None:
        trial = study.ask()
        trial.set_user_attr("x", 1)
        study.enqueue_trial({})
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        claimed(study, work)
    assert study.trials == []
    assert Driver(study, config, domain()).ask() is not None
    assert [trial.number for trial in open_study(config).trials] == [0]


def test_what_one_driver_writes_another_sees(url: str) -> None:
    config = configured(url, 5)
    ours, theirs = open_study(config), open_study(config)
    driver = Driver(ours, config, domain())
    job = driver.ask()
    assert job is not None
    driver.begin(job)
    assert len(theirs.get_trials(deepcopy=False)) == 1
    driver.report(job, 1, 0.25)
    ours._storage.set_trial_system_attr(job.trial._trial_id, "completed_rung_0", 0.25)
    (seen,) = theirs.get_trials(deepcopy=False)
    assert seen.intermediate_values == {1: 0.25}
    assert seen.system_attrs["completed_rung_0"] == 0.25
    assert seen.params == job.trial.params
    driver.tell(job, Result(accuracy=0.75, epochs=3))
    (mine,), (seen,), (fresh,) = ours.trials, theirs.trials, open_study(config).trials
    assert mine == seen == fresh
    assert seen.value == 0.75


def test_what_drivers_write_is_what_optuna_reads(url: str) -> None:
    config = configured(url, 5)
    study = open_study(config)
    driver = Driver(study, config, domain())
    jobs = [driver.ask() for _ in range(3)]
    plain = optuna.load_study(study_name=config.name, storage=normalised(url))
    assert plain.trials == study.trials
    assert [trial.params for trial in plain.trials] == [job.trial.params for job in jobs if job is not None]
    assert all(trial.distributions == domain().distributions for trial in plain.trials)

    def ask_another_question() -> None:
        study.ask({"depth_share": CategoricalDistribution([1, 2])})

    with pytest.raises(ValueError, match="different distribution kind"):
        claimed(study, ask_another_question)


def test_an_sqlite_file_serves_one_machine(tmp_path: Path) -> None:
    config = configured(f"sqlite:///{tmp_path / 'shared.db'}", 3)
    study = open_study(config)
    job = Driver(study, config, domain()).ask()
    assert job is not None
    with driving(config, study), driving(config, study):
        pass
    elsewhere = Owner(host="node7", pid=1, machine="another machine", started="1", lease=60.0)
    storage_of(study).set_user_attributes(job.trial._trial_id, {DRIVER: asdict(elsewhere)})
    with (
        pytest.raises(InputError, match=r"tiny is being run on node7, .* --storage postgresql://"),
        driving(config, open_study(config)),
    ):
        pass


def test_a_network_file_system_serves_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaler.leases.network_file_system", lambda path: "nfs4")
    config = configured(f"sqlite:///{tmp_path / 'shared.db'}", 3)
    study = open_study(config)
    with (
        driving(config, study),
        pytest.raises(InputError, match=r"on a network file system \(nfs4\) serves one; .* --storage postgresql://"),
        driving(config, study),
    ):
        pass
    with driving(config, study):
        pass


def test_a_driver_whose_networks_are_all_out_elsewhere_waits_for_them(url: str) -> None:
    config = configured(url, 2)
    study = open_study(config)
    first, second = (Driver(open_study(config), config, domain()) for _ in range(2))
    jobs = [first.ask(), first.ask()]
    assert None not in jobs

    def finish() -> None:
        for job in jobs:
            first.tell(job, Result(accuracy=0.5, epochs=3))

    asked: list[Job | None] = []
    finisher = threading.Timer(1.5, finish)
    finisher.start()
    second.to_the_end(lambda: asked.append(second.ask()))
    finisher.join()
    assert asked == [None]
    check(study, 2)


def test_what_another_driver_leaves_behind_is_evaluated_to_the_end(url: str) -> None:
    config = configured(url, 2)
    study = open_study(config)
    first, second = (Driver(open_study(config), config, domain()) for _ in range(2))
    jobs = [first.ask(), first.ask()]
    assert None not in jobs

    def leave_one() -> None:
        first.interrupt(jobs[0])
        first.tell(jobs[1], Result(accuracy=0.5, epochs=3))

    threading.Timer(1.0, leave_one).start()
    second.to_the_end(lambda: run_locally(second, table))
    check(study, 2)


class Told(Observer):
    """Keeps what it is told of interruptions."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def interrupted(self, job: Job, reason: str) -> None:
        self.reasons.append(reason)


def test_a_heart_beats_while_networks_are_out_and_no_longer(url: str) -> None:
    config = configured(url, 2, lease=1.0)
    study = open_study(config)
    told = Told()
    driver = Driver(study, config, domain(), told)
    job = driver.ask()
    assert job is not None
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        (lease,) = leases(study)
        assert not lease.is_dead
        time.sleep(0.2)
    claimed(study, lambda: reap(study, force=True))
    driver.tell(job, Result(accuracy=0.5, epochs=3))
    assert told.reasons == ["taken over by another driver"]
    wait_until(lambda: not any(thread.name == "scaler-heart" for thread in threading.enumerate()), 5.0)
    assert os.getpid() == driver._heart.owner.pid
