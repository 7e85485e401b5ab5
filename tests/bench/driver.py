"""What a driver itself costs: asking for a network and telling its result, the sampler's time to propose it aside.

A simulation of the loop of a large search, without workers: a thousand networks are out at a time, five thousand are
evaluated, the sampler draws at random. The figures are to stay level as the study grows."""

import argparse
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from scaler.config import load_study
from scaler.evaluation import Result
from scaler.executors import Driver, Job
from scaler.samplers import Domain
from scaler.study import open_study
from tests.postgres import running_postgres

_BUDGET = "1M..300M"
"""A band with more networks than the trials."""


class TimedDomain(Domain):
    """Keeps how many seconds it took to solve for the networks that were proposed."""

    seconds = 0.0

    def proposal(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        found = super().proposal(*arguments)
        self.seconds += time.perf_counter() - began
        return found


class Dice(optuna.samplers.RandomSampler):
    """Draws every parameter at random, and keeps how many seconds that took."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.seconds = 0.0

    def sample_independent(self, *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        found = super().sample_independent(*arguments, **named)
        self.seconds += time.perf_counter() - began
        return found

    def unseen(self, study: optuna.Study, fixed: object = None) -> int:
        """More than there are trials: the space is large."""
        return 1_000_000


def simulate(url: str, folder: Path, workers: int, trials: int, steps: int = 5) -> None:
    """Prints milliseconds a trial for each part of the study."""
    settings = {
        "name": "bench-driver",
        "search.trials": trials,
        "search.sampler": "random",
        "search.pruner": "none",
        "budget.macs": _BUDGET,
        "storage.url": url,
    }
    config = replace(load_study("quickstart", settings), root=folder)
    domain = TimedDomain(
        config.spaces, config.budgets, config.search.growth, resolution=64, num_classes=10, in_channels=3
    )
    driver = Driver(open_study(config), config, domain)
    sampler = driver._sampler = driver.study.sampler = Dice()
    dice = random.Random(0)
    out: list[Job] = []
    told, own, sampled, mark = 0, 0.0, 0.0, 0
    while told < trials:
        began, before = time.perf_counter(), sampler.seconds + domain.seconds
        while len(out) < workers and (job := driver.ask()) is not None:
            out.append(job)
        job = out.pop(dice.randrange(len(out)))
        driver.tell(job, Result(accuracy=dice.random(), epochs=1))
        sampling = sampler.seconds + domain.seconds - before
        own += time.perf_counter() - began - sampling
        sampled += sampling
        told += 1
        if told % (trials // steps) == 0:
            count = told - mark
            print(
                f"    trials {mark:>5} to {told:>5}: ask + tell {1000 * own / count:6.1f} ms a trial"
                f"  (and {1000 * sampled / count:6.1f} ms to propose)",
                flush=True,
            )
            own, sampled, mark = 0.0, 0.0, told
    assert len(np.unique([trial.user_attrs["digest"] for trial in driver.study.get_trials(deepcopy=False)])) == trials


def main() -> None:
    """Prints the figures for SQLite and for PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=5000)
    arguments, _ = parser.parse_known_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(
        f"\na driver with {arguments.workers:,} networks out, {arguments.trials:,} trials; the limit is 20 ms a trial"
    )
    with tempfile.TemporaryDirectory() as name, running_postgres() as server:
        for title, url in (("SQLite", f"sqlite:///{name}/bench.db"), ("PostgreSQL", server.new_database())):
            print(f"  {title}")
            simulate(url, Path(name), arguments.workers, arguments.trials)


if __name__ == "__main__":
    main()
