"""How many networks a machine trains best at a time: as many as it has cores with one thread each, one network with all
cores, or naively both.

The real local executor trains the same network, of the quickstart study's kind and on its data, with several seeds. The
rate counts training images from the first network's begin to the last one's end: validation and the recording of trials
are in it, the seconds in which worker processes load torch, once a search, are not."""

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import torch
from optuna.trial import FrozenTrial

from scaler.config import ExecutorConfig, StudyConfig, load_study
from scaler.cores import available_cores
from scaler.data import Dataset
from scaler.evaluation import Evaluator
from scaler.evaluator import TrainingEvaluator
from scaler.executors import Capacity, Driver, Job, Observer, capacity, run_locally
from scaler.hardware import pick_device
from scaler.record import Record
from scaler.region import Region
from scaler.scaling import RULES
from scaler.study import open_study
from scaler.workflow import study_data

Run = Callable[[Driver, Evaluator, Capacity], None]

_EPOCHS = 2
_NETWORKS_A_CORE = 2


class Clock(Observer):
    """The seconds from the first network's begin to the last one's end."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.seconds = 0.0

    def started(self, job: Job) -> None:
        self.began = self.began or time.perf_counter()

    def finished(self, job: Job, trial: FrozenTrial) -> None:
        assert self.began is not None
        assert trial.value is not None, trial.user_attrs.get("failure")
        self.seconds = time.perf_counter() - self.began


def images_per_second(
    config: StudyConfig, region: Region, data: Dataset, room: Capacity, networks: int, run: Run = run_locally
) -> tuple[float, float]:
    """Training images a second over `networks` trainings, and the seconds before the first began."""
    study = open_study(config, "confirm")
    for seed in range(networks):
        record = Record(architecture=region.at(RULES["compound"]), source="rule", model="bench", seed=seed)
        study.enqueue_trial({}, user_attrs=record.to_attributes())
    clock = Clock()
    called = time.perf_counter()
    evaluator = TrainingEvaluator(data=data, recipe=config.recipe, threads=room.threads)
    run(Driver(study, config, observer=clock), evaluator, room)
    assert clock.began is not None
    images = len(data.train) // config.recipe.batch_size * config.recipe.batch_size
    return networks * config.recipe.epochs * images / clock.seconds, clock.began - called


def main() -> None:
    """Prints a line for each number of workers and threads; the one that scaler picks by itself is marked."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("scaler").setLevel(logging.ERROR)  # it warns of more threads than cores, which is the point here
    cores = available_cores()
    default = capacity(ExecutorConfig(), accelerator=pick_device().type != "cpu")
    naive = Capacity(cores, cores)
    ways = dict.fromkeys([default, Capacity(cores, 1), Capacity(1, cores), naive])
    print(f"networks trained at a time on {cores} cores: training images a second, all workers together")
    threads = torch.get_num_threads()
    rates: dict[Capacity, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, room in enumerate(ways):
            settings = {"name": f"bench-{number}", "recipe.epochs": _EPOCHS}
            config = replace(load_study("quickstart", settings), root=Path(folder))
            domain, data = study_data(config)
            # Threads beyond the cores slow one another down so much that one network each has to do.
            networks = cores if room == naive else _NETWORKS_A_CORE * cores
            rates[room], start = images_per_second(config, domain.region(), data, room, networks)
            mark = "  scaler's default" if room == default else ""
            print(
                f"  {room.workers:>3} workers × {room.threads or threads:>3} threads {rates[room]:8,.0f}"
                f"  (after {start:.1f} s to start){mark}",
                flush=True,
            )
    torch.set_num_threads(threads)
    best = max(rates, key=lambda room: rates[room])
    others = max((rate for room, rate in rates.items() if room != default), default=rates[default])
    verdict = "the best of them" if best == default else "NOT the best of them"
    print(f"  the default is {verdict}: {rates[default] / others:.2f} × the best other")


if __name__ == "__main__":
    main()
