"""A search as a program of its own, to be killed, in the tiny study's folder:

python -m tests.executors.search CALLS [ray]             every network takes a minute; with a Ray of its own
python -m tests.executors.search CALLS ADDRESS TRIALS [faulty]
                                                         on a Ray cluster; every network takes four seconds, or none
                                                         but every tenth evaluation goes wrong

Whoever evaluates a network leaves its process id in the folder CALLS.
"""

import sys
from pathlib import Path

from scaler import load_study
from scaler.config import ExecutorConfig, StudyConfig
from scaler.evaluation import Evaluator
from scaler.executors import Capacity, Driver, run_locally
from scaler.executors.ray.execution import run_on_ray
from scaler.leases import driving
from scaler.study import open_study
from scaler.workflow import domain_of
from tests.executors.conftest import on_ray
from tests.executors.evaluators import Calls, Faulty, Slow


def of_many(trials: int) -> StudyConfig:
    """The tiny study in a space of 91 networks; by itself it has 54."""
    return load_study(
        "tiny",
        {
            "budget.macs": "2M",
            "search.growth": 8,
            "search.trials": trials,
            "search.sampler": "random",
            "executor.max_failures": 100,
            "storage.lease": 2.0,
        },
    )


def on_cluster(evaluator: Evaluator, address: str, trials: int) -> None:
    config = of_many(trials)
    study = open_study(config)
    with driving(config, study):
        driver = Driver(study, config, domain_of(config))
        run_on_ray(driver, evaluator, ExecutorConfig(kind="ray", address=address), config.folder)


def alone(calls: Calls, executor: str) -> None:
    config = load_study("tiny")
    driver = Driver(open_study(config), config, domain_of(config))
    if executor == "ray":
        on_ray(driver, Slow(calls, seconds=60))
    else:
        run_locally(driver, Slow(calls, seconds=60), Capacity(2, 1))


if __name__ == "__main__":
    folder, *rest = sys.argv[1:]
    try:
        if len(rest) >= 2:
            known = Calls(Path(folder))
            evaluator = Faulty(known) if rest[2:] else Slow(known, seconds=1.0, epochs=4)
            on_cluster(evaluator, rest[0], int(rest[1]))
        else:
            alone(Calls(Path(folder)), rest[0] if rest else "local")
    except KeyboardInterrupt:
        sys.exit(130)
