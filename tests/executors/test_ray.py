"""What the Ray executor does besides what every executor does: lost workers, its own Ray, the command line."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
import ray
import ray.util
import torch
from optuna.trial import TrialState

import scaler
from scaler import InputError, load_study
from scaler.config import ExecutorConfig
from scaler.data.pixels import Mapped
from scaler.errors import WorkError
from scaler.executors import Driver
from scaler.executors.ray.connection import send_images
from scaler.executors.ray.resources import Room, Share, share, threads_per_trial
from scaler.study import existing_study, finished_trials, open_study
from scaler.workflow import domain_of
from tests.executors.conftest import on_ray
from tests.executors.evaluators import Calls, Killed, Slow, Threads, Unloadable
from tests.executors.test_contract import Watcher, calls, run
from tests.executors.test_pool import wait_until

__all__ = ["calls"]

PROJECT = Path(scaler.__file__).parents[1]

pytestmark = pytest.mark.usefixtures("tiny")


class Program:
    """A command in an interpreter of its own, of which all descendants can be found."""

    def __init__(self, *arguments: str) -> None:
        self._mark = f"SCALER_TEST={uuid.uuid4()}"
        name, value = self._mark.split("=")
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": str(PROJECT), name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def left(self) -> list[str]:
        """The command lines of processes that the program has left behind."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found


@pytest.mark.usefixtures("local_ray")
def test_two_networks_are_evaluated_at_a_time_by_workers_that_are_used_again(calls: Calls) -> None:
    watcher = Watcher()
    run(load_study("tiny", {"search.trials": 8}), on_ray, Slow(calls, seconds=0.2), watcher)
    assert watcher.most == 2
    assert len(calls.processes()) == 8
    assert len(set(calls.processes())) == 2
    assert not list(Path("runs").glob("ray*"))


@pytest.mark.usefixtures("local_ray")
def test_a_killed_workers_network_is_run_again(calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 5})
    study = run(config, on_ray, Killed(calls, networks=2))
    finished = finished_trials(study)
    assert [trial.state for trial in finished] == [TrialState.COMPLETE] * 5
    assert len({trial.user_attrs["digest"] for trial in finished}) == 5
    assert [trial.user_attrs["failure"] for trial in study.get_trials(states=(TrialState.FAIL,))] == ["interrupted"] * 2
    assert len(calls.processes()) == 7


@pytest.mark.usefixtures("local_ray")
def test_a_network_that_kills_its_workers_fails_with_the_reason_after_max_failures(calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 3, "executor.max_failures": 2})
    asked = Driver(open_study(load_study("tiny", {"name": "asked"})), config, domain_of(config)).ask()
    assert asked is not None
    deadly = asked.record.architecture.digest  # the first network of an equal study
    study = run(config, on_ray, Killed(calls, digest=deadly))
    finished = finished_trials(study)
    assert len(finished) == 3
    (failed,) = [trial for trial in finished if trial.state == TrialState.FAIL]
    assert failed.user_attrs["failure"].startswith("worker died: ")
    assert failed.user_attrs["digest"] == deadly
    assert [trial.user_attrs["digest"] for trial in study.trials].count(deadly) == 3


@pytest.mark.usefixtures("local_ray")
def test_a_network_that_never_reports_is_ended_by_its_time_limit(calls: Calls) -> None:
    config = load_study("tiny", {"search.trials": 3, "search.trial_timeout": 1.0})
    began = time.monotonic()
    study = run(config, on_ray, Slow(calls, seconds=600, only=frozenset({1})))
    assert time.monotonic() - began < 120
    assert sorted(trial.user_attrs.get("failure", "") for trial in study.trials) == ["", "", "time limit of 1 s"]


@pytest.mark.usefixtures("local_ray")
def test_workers_that_cannot_load_the_evaluator_end_the_search_with_the_reason() -> None:
    config = load_study("tiny")
    with pytest.raises(WorkError, match=r"executor: Ray's workers do not start \(.*no number"):
        run(config, on_ray, Unloadable())
    study = existing_study(config)
    assert study is not None
    assert not study.get_trials(states=(TrialState.RUNNING,))
    assert study.get_trials(states=(TrialState.WAITING,))


@pytest.mark.usefixtures("local_ray")
def test_threads_are_set_before_torch_loads() -> None:
    study = run(load_study("tiny", {"search.trials": 1}), on_ray, Threads())
    assert study.trials[0].user_attrs["device"] == "1 1 1"


def test_the_command_line_searches_on_a_ray_of_its_own_and_leaves_no_process() -> None:
    text = Path("tiny/study.toml").read_text().replace("epochs = 2", "epochs = 1")
    Path("tiny/study.toml").write_text(text)
    program = Program("-m", "scaler", "search", "tiny", "--executor", "ray", "--trials", "2")
    out, errors = program.process.communicate(timeout=300)
    assert (program.process.returncode, errors) == (0, "")
    assert "best of 2 trials: tiny#" in out
    assert len(out.splitlines()) == 4  # nothing of Ray's own
    wait_until(lambda: not program.left(), 20)
    study = existing_study(load_study("tiny"))
    assert study is not None
    for trial in study.trials:
        assert trial.state == TrialState.COMPLETE
        assert (Path("runs/tiny/artifacts") / trial.user_attrs["weights"]).stat().st_size > 10_000
        assert trial.user_attrs["images_per_second"] > 0
    assert not list(Path("runs/tiny").glob("ray*"))
    assert not list(Path("runs/tiny/checkpoints/tiny").glob("*"))


def test_ctrl_c_queues_the_networks_again_and_leaves_no_process(calls: Calls) -> None:
    program = Program("-m", "tests.executors.search", str(calls.folder), "ray")
    wait_until(lambda: len(calls.processes()) == 2, 120)
    program.process.send_signal(signal.SIGINT)
    program.process.communicate(timeout=60)
    assert program.process.returncode == 130
    wait_until(lambda: not program.left(), 20)
    study = existing_study(load_study("tiny"))
    assert study is not None
    assert [trial.state for trial in study.trials].count(TrialState.WAITING) == 2
    assert not study.get_trials(states=(TrialState.RUNNING,))


def test_a_cluster_that_is_not_there_is_said_in_one_line() -> None:
    program = Program("-m", "scaler", "search", "tiny", "--address", "127.0.0.1:9")
    _, errors = program.process.communicate(timeout=120)
    assert program.process.returncode == 2
    (line,) = errors.splitlines()
    assert line.startswith("scaler: executor.address: nothing answers at 127.0.0.1:9 (")
    assert "ray start --head" in line


@pytest.mark.usefixtures("local_ray")
def test_mapped_images_reach_machines_that_have_not_got_the_file(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 4), np.uint8)
    file = tmp_path / "images.u8"
    images.tofile(file)
    mapped = Mapped(file, images.shape)
    send_images()
    try:
        sent = ray.put(mapped)
    finally:
        ray.util.deregister_serializer(Mapped)
    file.unlink()
    total = ray.remote(lambda pixels: [batch.tolist() for batch in pixels.batches(torch.tensor([7, 2, 9]), 2)])
    assert ray.get(total.remote(sent)) == [images[[7, 2]].tolist(), images[[9]].tolist()]


def test_a_network_gets_a_gpu_where_there_are_any_and_what_is_set_is_kept() -> None:
    assert share(ExecutorConfig(kind="ray"), {"CPU": 8.0}) == Share(cpus=1, gpus=0)
    assert share(ExecutorConfig(kind="ray"), {"CPU": 8.0, "GPU": 2.0}) == Share(cpus=1, gpus=1)
    assert share(ExecutorConfig(kind="ray", gpus_per_trial=0.25), {"GPU": 2.0}) == Share(cpus=1, gpus=0.25)
    assert share(ExecutorConfig(kind="ray", gpus_per_trial=0), {"GPU": 2.0}) == Share(cpus=1, gpus=0)


@pytest.mark.parametrize(
    ("cpus", "gpus", "fitting"), [(1, 0, 8), (2, 0, 4), (0.1, 0, 80), (1, 0.25, 8), (3, 0.2, 2), (1, 1, 2), (16, 0, 0)]
)
def test_room_is_what_the_scarcest_resource_allows(cpus: float, gpus: float, fitting: int) -> None:
    assert Share(cpus=cpus, gpus=gpus).fits({"CPU": 8.0, "GPU": 2.0, "memory": 1e9}) == fitting


def test_threads_follow_the_cpus_of_a_network() -> None:
    assert threads_per_trial(ExecutorConfig(kind="ray")) == 1
    assert threads_per_trial(ExecutorConfig(kind="ray", cpus_per_trial=4.5)) == 4
    assert threads_per_trial(ExecutorConfig(kind="ray", cpus_per_trial=0.5)) == 1
    assert threads_per_trial(ExecutorConfig(kind="ray", cpus_per_trial=4, threads=2)) == 2


@pytest.mark.usefixtures("local_ray")
def test_a_network_that_this_machine_can_never_hold_is_refused() -> None:

    with pytest.raises(InputError, match=r"is to get 512 CPU, and this machine has \d+ CPU"):
        Room(ExecutorConfig(kind="ray", cpus_per_trial=512), Share(cpus=512, gpus=0))
