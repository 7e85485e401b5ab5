"""What Ray costs: two of its workers with one thread each against one, and against two local worker processes.

The same network, of the quickstart study's kind and on its data, is trained with several seeds. Each worker's first
network, in which it loads torch, is left out. What a trial takes beyond its evaluation, asking, telling and the way of
its weights included, is measured with one worker.
"""

import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import optuna

from scaler import Architecture
from scaler.config import ExecutorConfig, load_study
from scaler.evaluation import Evaluator, Report, Result
from scaler.executors import Capacity, Driver, run_locally
from scaler.executors.ray.connection import connected
from scaler.executors.ray.execution import run_on_ray
from scaler.study import finished_trials, open_study
from scaler.workflow import study_data
from tests.bench.workers import Run, images_per_second

_EPOCHS = 2
_NETWORKS = 14


@dataclass(frozen=True)
class Timed:
    """An evaluator whose results say how long the whole evaluation took, in place of the training alone."""

    evaluator: Evaluator

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        began = time.perf_counter()
        result = self.evaluator(architecture, seed, report)
        return replace(result, train_seconds=time.perf_counter() - began)


def on_ray(driver: Driver, evaluator: Evaluator, room: Capacity) -> None:
    """As many networks at a time as `room` has workers, on the Ray that is there."""
    config = ExecutorConfig(kind="ray", max_concurrent=room.workers)
    run_on_ray(driver, Timed(evaluator), config, Path.cwd())


def main() -> None:
    """Prints networks a minute of each way, their ratios, and the seconds that a trial takes beyond its evaluation."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("scaler").setLevel(logging.ERROR)
    rates: dict[str, float] = {}
    ways: dict[str, tuple[int, Run]] = {
        "1 Ray worker": (1, on_ray),
        "2 Ray workers": (2, on_ray),
        "2 local workers": (2, run_locally),
    }
    print(f"{_NETWORKS} networks, one thread each: networks a minute after each worker's first")
    with tempfile.TemporaryDirectory() as folder, connected(ExecutorConfig(kind="ray", threads=1)):
        for way, (workers, run) in ways.items():
            settings = {"name": way.replace(" ", "-"), "recipe.epochs": _EPOCHS}
            config = replace(load_study("quickstart", settings), root=Path(folder))
            domain, data = study_data(config)
            images_per_second(config, domain.region(), data, Capacity(workers, 1), _NETWORKS, run)
            trials = finished_trials(open_study(config, "confirm"))
            ended = sorted((trial.datetime_complete.timestamp(), trial.user_attrs["train_seconds"]) for trial in trials)
            seconds = ended[-1][0] - ended[workers - 1][0]
            rates[way] = 60 * (_NETWORKS - workers) / seconds
            print(f"  {way:<16}{rates[way]:6.1f}", flush=True)
            if workers == 1:
                evaluated = sum(evaluation for _, evaluation in ended[1:])
                print(f"  beyond its evaluation a trial takes {(seconds - evaluated) / (_NETWORKS - 1):.3f} s")
    print(f"  2 Ray workers are {rates['2 Ray workers'] / rates['1 Ray worker']:.2f} × one")
    print(f"  2 Ray workers are {rates['2 Ray workers'] / rates['2 local workers']:.2f} × 2 local workers")


if __name__ == "__main__":
    main()
