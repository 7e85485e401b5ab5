"""Worker processes: what becomes of a search when they, or their parent, are killed."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

import scaler
from scaler import load_study
from scaler.errors import WorkError
from scaler.evaluator import TrainingEvaluator
from scaler.executors import Capacity, Driver, Job, run_locally
from scaler.recipe import Recipe
from scaler.study import existing_study, finished_trials, open_study
from scaler.workflow import domain_of, study_data
from tests.conftest import FULL
from tests.executors.evaluators import Calls, Killed, Slow, Threads, Unloadable
from tests.executors.test_contract import Watcher, calls, run

__all__ = ["calls"]

TWO = Capacity(2, 1)
PROJECT = Path(scaler.__file__).parents[1]

pytestmark = pytest.mark.usefixtures("tiny")


def in_two(driver: Driver, evaluator: Callable) -> None:
    run_locally(driver, evaluator, TWO)


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return not state.stdout.startswith("Z") and bool(state.stdout.strip())


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "waited too long"
        time.sleep(0.05)


def test_two_networks_are_evaluated_at_a_time_by_workers_that_are_used_again(calls: Calls) -> None:
    watcher = Watcher()
    run(load_study("tiny", {"search.trials": 8}), in_two, Slow(calls, seconds=0.2), watcher)
    assert watcher.most == 2
    assert len(calls.processes()) == 8
    workers = set(calls.processes())
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert not any(is_alive(worker) for worker in workers)


def test_no_more_workers_are_started_than_there_are_networks(calls: Calls) -> None:
    run(load_study("tiny", {"search.trials": 1}), in_two, Slow(calls, seconds=0.1))
    assert len(calls.processes()) == 1


def test_a_killed_workers_network_is_run_again(calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 5})
    study = run(config, in_two, Killed(calls, networks=2))
    finished = finished_trials(study)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 5
    assert len({trial.user_attrs["digest"] for trial in finished}) == 5
    assert [trial.user_attrs["failure"] for trial in study.get_trials(states=(TrialState.FAIL,))] == ["interrupted"] * 2
    assert len(calls.processes()) == 7
    assert 3 <= len(set(calls.processes())) <= 4


def test_a_network_that_kills_its_workers_fails_with_the_reason_and_the_search_goes_on(calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 5})
    asked = Driver(open_study(load_study("tiny", {"name": "asked"})), config, domain_of(config)).ask()
    assert asked is not None
    deadly = asked.record.architecture.digest  # the first network of an equal study
    study = run(config, in_two, Killed(calls, digest=deadly))
    finished = finished_trials(study)
    assert len(finished) == 5
    (failed,) = [trial for trial in finished if trial.state == TrialState.FAIL]
    assert failed.user_attrs["failure"] == "worker died: signal 9"
    assert failed.user_attrs["digest"] == deadly
    assert [trial.user_attrs["digest"] for trial in study.trials].count(deadly) == 2
    assert sum(trial.state == TrialState.COMPLETE for trial in finished) == 4


def test_deaths_are_counted_over_restarts(calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 1})
    study = open_study(config)
    driver = Driver(study, config, domain_of(config))
    job = driver.ask()
    assert job is not None
    driver.died(job, "worker died: signal 9")
    run(config, in_two, Killed(calls, digest=job.record.architecture.digest))
    assert [trial.user_attrs["failure"] for trial in study.trials] == ["interrupted", "worker died: signal 9"]


@pytest.mark.parametrize("repeat", range(5 if FULL else 1))
def test_workers_killed_from_outside_cost_nothing(calls: Calls, repeat: int) -> None:
    killed: list[int] = []

    class Killer(Watcher):
        """Kills the processes of the second and the sixth call in the middle of them; both networks are new then."""

        def reported(self, job: Job, epoch: int, accuracy: float) -> None:
            super().reported(job, epoch, accuracy)
            processes = calls.processes()
            if len(processes) >= (2, 6, 100)[len(killed)]:
                killed.append(processes[(1, 5)[len(killed)]])
                os.kill(killed[-1], signal.SIGKILL)

    config = load_study("tiny", {"search.trials": 5})
    study = run(config, in_two, Slow(calls, seconds=0.1 + 0.03 * repeat), Killer())
    assert len(set(killed)) == 2
    assert [trial.state for trial in finished_trials(study)] == [TrialState.COMPLETE] * 5
    assert len({trial.user_attrs["digest"] for trial in finished_trials(study)}) == 5
    assert not study.get_trials(states=(TrialState.WAITING, TrialState.RUNNING))


def test_a_worker_that_never_reports_is_ended_at_its_time_limit(calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 4, "search.trial_timeout": 1.0})
    began = time.monotonic()
    study = run(config, in_two, Slow(calls, seconds=600, only=frozenset({1})))
    assert time.monotonic() - began < 60
    reasons = [trial.user_attrs.get("failure") for trial in study.trials]
    assert sorted(filter(None, reasons)) == ["time limit of 1 s"]
    assert len(finished_trials(study)) == 4
    assert not any(is_alive(worker) for worker in set(calls.processes()))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(tiny: Path, calls: Calls, end: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.executors.search", str(calls.folder)],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    wait_until(lambda: len(calls.processes()) == 2, 120)
    assert parent.poll() is None
    if end == signal.SIGINT:
        os.killpg(parent.pid, end)  # as a terminal sends it: to the workers too
    else:
        parent.send_signal(end)
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == (130 if end == signal.SIGINT else -end)
    wait_until(lambda: not any(is_alive(worker) for worker in calls.processes()), 5)
    assert "Traceback" not in errors
    assert "KeyboardInterrupt" not in errors
    study = existing_study(load_study("tiny"))
    assert study is not None
    left = study.get_trials(states=(TrialState.WAITING if end == signal.SIGINT else TrialState.RUNNING,))
    assert len(left) == 2


def test_workers_have_the_threads_they_were_given() -> None:
    config = load_study("tiny", {"search.trials": 1})
    for threads in (1, 2):
        named = load_study("tiny", {"search.trials": 1, "name": f"threads-{threads}"})
        study = open_study(named)
        run_locally(Driver(study, config, domain_of(named)), Threads(), Capacity(2, threads))
        assert study.trials[0].user_attrs["device"] == f"{threads} {threads} {threads}"


def test_workers_that_do_not_start_are_no_endless_loop() -> None:
    config = load_study("tiny")
    with pytest.raises(WorkError, match="worker processes do not start .*ValueError: invalid literal for int"):
        run(config, in_two, Unloadable())
    assert len(open_study(config).get_trials(states=(TrialState.WAITING,))) == 2
    assert not open_study(config).get_trials(states=(TrialState.RUNNING,))


def test_what_workers_print_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="scaler")
    with pytest.raises(WorkError):
        run(load_study("tiny"), in_two, Unloadable())
    assert "workers printed:\nTraceback" in caplog.text


def test_training_goes_to_workers_and_gives_what_it_gives_here() -> None:
    config = load_study("tiny", {"search.trials": 2})
    evaluator = TrainingEvaluator(data=study_data(config)[1], recipe=Recipe(epochs=1, batch_size=128), threads=1)
    assert pickle.loads(pickle.dumps(evaluator)).recipe == evaluator.recipe
    values = []
    for name, capacity in (("here", Capacity(1, 1)), ("there", TWO)):
        named = load_study("tiny", {"search.trials": 2, "name": name})
        study = open_study(named)
        run_locally(Driver(study, named, domain_of(named)), evaluator, capacity)
        values.append({trial.user_attrs["digest"]: trial.value for trial in study.trials})
    assert values[0] == values[1]
    assert all(value is not None for value in values[0].values())


def test_a_script_without_a_main_guard_searches(tiny: Path) -> None:
    (tiny / "script.py").write_text("import scaler\nprint(len(scaler.search('tiny', resume=True).trials))\n")
    text = (tiny / "tiny" / "study.toml").read_text()
    (tiny / "tiny" / "study.toml").write_text(
        text.replace("workers = 1", "workers = 2").replace("epochs = 2", "epochs = 1")
    )
    done = subprocess.run(
        [sys.executable, "script.py"],
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "4\n"
