"""What a driver itself costs: asking for a network and telling its result, the sampler's time to propose it aside.

A simulation of the loop of a large search, without workers: a thousand networks are out at a time, five thousand are
evaluated, the sampler draws at random. The figures are to stay level as the study grows."""

import argparse
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution

from scaler import Budget, classic
from scaler.config import load_study
from scaler.evaluation import Result
from scaler.executors import Driver, Job
from scaler.rounding import FloatArray
from scaler.samplers.domain import Proposal
from scaler.study import finished_trials, open_study
from tests.postgres import running_postgres

_NUMBERS = 10_000_000
"""Networks of the simulated space."""


class Numbered:
    """A space of numbered networks in the place of a domain, which would take most of the time to solve for them."""

    def __init__(self) -> None:
        self.distributions: dict[str, BaseDistribution] = {"number": IntDistribution(0, _NUMBERS - 1)}
        self._first = classic("resnet18")
        self._budget = Budget(macs="1T")

    def proposal(self, params: Mapping[str, Any]) -> Proposal:
        """The network with a number."""
        rest, pixels = divmod(params["number"], 100)
        wide, wider = divmod(rest, 317)
        widths = (*self._first.widths[:3], 8 + 8 * wide, 8 + 8 * wider)
        network = self._first.replace(widths=widths, resolution=32 + pixels)
        return Proposal(architecture=network, space=0, budget=self._budget, rule=None)

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """Two of them: the driver's own sampler is not asked."""
        return [{"number": 0}, {"number": 1}]

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        """Their numbers."""
        return np.array([[params["number"]] for params in candidates], np.float64)


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
        "storage.url": url,
    }
    config = replace(load_study("quickstart", settings), root=folder)
    domain: Any = Numbered()
    driver = Driver(open_study(config), config, domain)
    sampler = driver._sampler = driver.study.sampler = Dice()
    dice = random.Random(0)
    out: list[Job] = []
    told, own, sampled, mark, processor = 0, 0.0, 0.0, 0, time.process_time()
    while told < trials:
        began, before = time.perf_counter(), sampler.seconds
        while len(out) < workers and (job := driver.ask()) is not None:
            out.append(job)
        job = out.pop(dice.randrange(len(out)))
        driver.tell(job, Result(accuracy=dice.random(), epochs=1))
        sampling = sampler.seconds - before
        own += time.perf_counter() - began - sampling
        sampled += sampling
        told += 1
        if told % (trials // steps) == 0:
            count = told - mark
            print(
                f"    trials {mark:>5} to {told:>5}: ask + tell {1000 * own / count:6.1f} ms a trial"
                f" ({1000 * (time.process_time() - processor) / count:4.1f} of the processor)"
                f" and {1000 * sampled / count:4.1f} ms to propose",
                flush=True,
            )
            own, sampled, mark, processor = 0.0, 0.0, told, time.process_time()
    digests = {trial.user_attrs["digest"] for trial in finished_trials(driver.study)}
    assert len(digests) == trials, "a network was lost or evaluated twice"


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
