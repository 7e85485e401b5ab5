"""A search on a Ray cluster of several nodes in which workers, nodes and the driver itself die."""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import TrialState

import scaler
from scaler.study import existing_study, finished_trials
from tests.conftest import FULL
from tests.executors.evaluators import Calls
from tests.executors.search import of_many
from tests.executors.test_contract import calls
from tests.executors.test_pool import wait_until

__all__ = ["calls"]

PROJECT = Path(scaler.__file__).parents[1]
TRIALS = 60 if FULL else 12
KILLS = 10 if FULL else 2
PAUSE = 5.0 if FULL else 0.5
"""Seconds between two kills."""

pytestmark = pytest.mark.usefixtures("tiny")


class Nodes:
    """Two nodes of two slots each, in a program of their own; only who knows the token may use them."""

    def __init__(self) -> None:
        self.environment = os.environ | {
            "PYTHONPATH": str(PROJECT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.executors.cluster", "2", "2"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self._read()

    def do(self, command: str) -> None:
        """Has a node removed or added."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._read() == "done"

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    started = Nodes()
    yield started
    started.close()


def driver(nodes: Nodes, calls: Calls, *kind: str) -> subprocess.Popen[str]:
    """A driver of the study in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.executors.search", str(calls.folder), nodes.address, str(TRIALS), *kind],
        env=nodes.environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_done(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def finished() -> int:
    study = existing_study(of_many(TRIALS))
    return len(finished_trials(study)) if study is not None else 0


def assert_nothing_lost(failures: tuple[str, ...] = ()) -> None:
    """Exactly the trials asked for have ended, each network once, complete but for these failures; nothing is left."""
    study = existing_study(of_many(TRIALS))
    assert study is not None
    ended = finished_trials(study)
    assert len(ended) == TRIALS
    failed = [trial for trial in ended if trial.state != TrialState.COMPLETE]
    assert sorted(trial.user_attrs["failure"] for trial in failed) == sorted(failures)
    assert len({(trial.user_attrs["digest"], trial.user_attrs["seed"]) for trial in ended}) == TRIALS
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))


def test_workers_are_killed_in_the_middle_of_a_network_and_nothing_is_lost(nodes: Nodes, calls: Calls) -> None:
    running = driver(nodes, calls)
    killed = 0
    while killed < KILLS:
        begun = len(calls.processes())
        wait_until(lambda begun=begun: len(calls.processes()) > begun, 120)
        os.kill(calls.processes()[-1], signal.SIGKILL)  # it has just begun with a network that takes seconds
        killed += 1
        time.sleep(PAUSE)
    assert_done(running)
    assert_nothing_lost()
    assert len(calls.processes()) >= TRIALS + KILLS


def test_a_node_that_loses_power_costs_nothing(nodes: Nodes, calls: Calls) -> None:
    running = driver(nodes, calls)
    wait_until(lambda: len(set(calls.processes())) >= 3, 120)  # on both nodes
    nodes.do("remove")
    assert_done(running)
    nodes.do("add")
    assert_nothing_lost()
    assert len(calls.processes()) > TRIALS


def test_a_driver_killed_again_and_again_is_resumed_where_it_was(nodes: Nodes, calls: Calls) -> None:
    draw = random.Random(1)
    for _ in range(10 if FULL else 1):
        begun = len(calls.processes())
        running = driver(nodes, calls)
        wait_until(lambda begun=begun: len(calls.processes()) > begun, 120)
        time.sleep(draw.uniform(0, 3))
        running.kill()
        running.communicate()
    assert_done(driver(nodes, calls))
    assert_nothing_lost()


def test_a_stopped_worker_goes_on_where_it_was(nodes: Nodes, calls: Calls) -> None:
    running = driver(nodes, calls)
    wait_until(lambda: len(calls.processes()) > 0, 120)
    stopped = calls.processes()[0]
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(3 * of_many(TRIALS).storage.lease)
    os.kill(stopped, signal.SIGCONT)
    assert_done(running)
    assert_nothing_lost()
    assert len(calls.processes()) == TRIALS  # the driver was there all the time, so none was begun again


def test_one_evaluation_in_ten_goes_wrong(nodes: Nodes, calls: Calls) -> None:
    assert_done(driver(nodes, calls, "faulty"))
    begun = len(calls.processes())
    wrong = [call // 10 % 4 for call in range(9, begun, 10)]
    reasons = {1: "RuntimeError: no memory", 2: "accuracy is nan", 3: "accuracy is inf"}
    assert_nothing_lost(tuple(reasons[kind] for kind in wrong if kind))
    assert begun == TRIALS + wrong.count(0)  # a killed worker's network is evaluated again
