"""A driver in a process of its own, of which several may run, to be killed, stopped and continued."""

import logging
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import optuna

from scaler import Architecture, load_study
from scaler.config import StudyConfig
from scaler.evaluation import Report, Result
from scaler.executors import Driver, run_locally
from scaler.samplers import Domain
from scaler.study import open_study
from scaler.workflow import domain_of

_FORK = multiprocessing.get_context("fork")
"""So that a driver starts at once: what it needs is loaded already."""


def configured(url: str, trials: int, lease: float = 60.0) -> StudyConfig:
    """The tiny study with several hundred networks, in the storage."""
    return load_study(
        "tiny",
        {
            "storage.url": url,
            "storage.lease": lease,
            "search.trials": trials,
            "search.sampler": "random",
            "budget.macs": "400K..4M",
        },
    )


@cache
def domain() -> Domain:
    """What `configured` searches."""
    return domain_of(configured("", 1))


@dataclass(frozen=True)
class Noting:
    """Sleeps, then fails with the probability `faults`, which the network's digest decides.

    What has been brought to an end is noted in the file evaluated-PID.
    """

    seconds: float
    faults: float

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        for epoch in (1, 2):
            time.sleep(self.seconds / 2)
            if not report(epoch, 0.25 * epoch):
                return Result(accuracy=0.5, epochs=epoch, stopped=True)
        with Path(f"evaluated-{os.getpid()}").open("a") as file:
            file.write(f"{architecture.digest}:{seed}\n")
        lot = int(architecture.digest, 16) % 1000 / 1000
        if lot < self.faults / 3:
            raise RuntimeError("no memory")
        if lot < self.faults:
            return Result(accuracy=math.nan if lot < 2 * self.faults / 3 else math.inf, epochs=2)
        return Result(accuracy=0.5, epochs=2)


class Program:
    """A driver that evaluates networks of so many `seconds` in a process of its own."""

    def __init__(self, url: str, trials: int, *, seconds: float, lease: float = 60.0, faults: float = 0.0) -> None:
        domain()
        self._errors = Path(f"errors-{time.monotonic_ns()}")
        self._process = _FORK.Process(target=self._run, args=(configured(url, trials, lease), Noting(seconds, faults)))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def _run(self, config: StudyConfig, evaluator: Noting) -> None:
        with self._errors.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            logging.basicConfig(level=logging.WARNING, stream=file, force=True)
            optuna.logging.disable_default_handler()
            driver = Driver(open_study(config), config, domain())
            driver.to_the_end(lambda: run_locally(driver, evaluator))

    def finish(self, timeout: float = 200.0) -> str:
        """Waits for its end, which must be a good one; what it wrote to standard error."""
        self._process.join(timeout)
        errors = self._errors.read_text()
        assert self._process.exitcode == 0, errors or "it does not end"
        return errors

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it, if it still lives, and waits for its end."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()


@contextmanager
def programs(*started: Program) -> Iterator[tuple[Program, ...]]:
    """Programs that are ended whatever becomes of the test."""
    try:
        yield started
    finally:
        for program in started:
            program.kill()


def evaluations() -> list[str]:
    """Digest and seed of every evaluation that any program has brought to its end."""
    return [line for file in Path.cwd().glob("evaluated-*") for line in file.read_text().split()]


STOP, GO_ON = signal.SIGSTOP, signal.SIGCONT
