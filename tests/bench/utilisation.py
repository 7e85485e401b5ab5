"""How well Ray's workers are used: 4 nodes × 4 slots on this machine, networks that sleep instead of training.

Each network takes 5 to 15 seconds and reports 4 times. Utilisation is the time that slots were at a network over all
the time there was, from the moment when every slot was first busy to the last suggestion. The driver's own time is that
of asking and telling, without what the sampler takes to draw networks of three families.

`python -m tests.bench.utilisation SCALE TRIALS` takes SCALE × the seconds (by default 1) and TRIALS networks (200).
"""

import logging
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

import scaler
from scaler import Architecture
from scaler.config import ExecutorConfig, load_study
from scaler.evaluation import Report, Result
from scaler.executors import Driver, Job, Observer
from scaler.study import finished_trials, open_study
from scaler.workflow import domain_of
from tests.bench.clock import busy_share

NODES, SLOTS = 4, 4
_SECONDS = 5.0, 15.0
_REPORTS = 4


@dataclass(frozen=True)
class Sleeping:
    """Sleeps `scale` × 5 to 15 seconds, as the network's digest has it, and reports four times."""

    scale: float

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        seconds = self.scale * random.Random(architecture.digest).uniform(*_SECONDS)
        for epoch in range(1, _REPORTS + 1):
            time.sleep(seconds / _REPORTS)
            report(epoch, 0.5)
        return Result(accuracy=0.5, epochs=_REPORTS)


class Clock(Observer):
    """When each network's evaluation began and ended."""

    def __init__(self) -> None:
        self.began: dict[int, float] = {}
        self.ended: dict[int, float] = {}

    def started(self, job: Job) -> None:
        self.began[job.trial.number] = time.monotonic()

    def finished(self, job: Job, trial: FrozenTrial) -> None:
        self.ended[job.trial.number] = time.monotonic()


class TimedDriver(Driver):
    """Notes how long asks and tells take, the sampler's part of it, and when the last network was handed out."""

    seconds = 0.0
    sampling = 0.0
    last = 0.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for name in ("sample_relative", "unseen"):
            setattr(self._sampler, name, self._timed(getattr(self._sampler, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.monotonic()
            try:
                return method(*arguments, **named)
            finally:
                self.sampling += time.monotonic() - began

        return call

    def ask(self) -> Job | None:
        began = time.monotonic()
        job = super().ask()
        if job is not None:
            self.last = time.monotonic()
            self.seconds += self.last - began
        return job

    def tell(self, job: Job, result: Result) -> None:
        began = time.monotonic()
        super().tell(job, result)
        self.seconds += time.monotonic() - began


def main(scale: float = 1.0, trials: int = 200) -> None:
    """Prints utilisation, the driver's milliseconds a network, and what became of the networks."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("scaler").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ["PYTHONPATH"] = str(Path(scaler.__file__).parents[1])
    from scaler.executors.ray.execution import run_on_ray

    program = [sys.executable, "-m", "tests.executors.cluster", str(NODES), str(SLOTS)]
    cluster = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert cluster.stdout is not None
    address = cluster.stdout.readline().strip()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"search.trials": trials, "search.sampler": "random", "search.pruner": "none"}
        settings |= {"space": ["resnet", "vgg", "efficientnet"], "budget.macs": "30M"}  # enough networks
        config = replace(load_study("quickstart", settings), root=Path(folder))
        study, clock = open_study(config), Clock()
        driver = TimedDriver(study, config, domain_of(config), clock)
        executor = ExecutorConfig(kind="ray", address=address, max_concurrent=NODES * SLOTS)
        called = time.monotonic()
        run_on_ray(driver, Sleeping(scale), executor, config.folder)
        states = [trial.state for trial in finished_trials(study)]
    cluster.communicate()
    share, ready = busy_share(clock.began, clock.ended, NODES * SLOTS, driver.last)
    print(
        f"{NODES} nodes × {SLOTS} slots, {trials} networks of {scale * _SECONDS[0]:g} to {scale * _SECONDS[1]:g} s, "
        f"{_REPORTS} reports each\n"
        f"  utilisation {share:6.1%}  (all slots busy after {ready - called:.1f} s)\n"
        f"  ask + tell  {1000 * (driver.seconds - driver.sampling) / len(states):6.1f} ms a network, and "
        f"{1000 * driver.sampling / len(states):.1f} ms of the sampler's\n"
        f"  complete    {states.count(TrialState.COMPLETE):6} of {trials}"
    )


if __name__ == "__main__":
    main(*([float(sys.argv[1])] if sys.argv[1:] else []), *([int(sys.argv[2])] if sys.argv[2:] else []))
