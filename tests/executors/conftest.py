"""Ray, started once for all tests of a process that want it: its start takes seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scaler.config import ExecutorConfig
from scaler.evaluation import Evaluator
from scaler.executors import Driver


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of this machine with two CPUs, as the executor starts it."""
    from scaler.executors.ray.connection import connected

    with connected(ExecutorConfig(kind="ray")):
        yield


def on_ray(driver: Driver, evaluator: Evaluator) -> None:
    """Two networks at a time on the Ray that is there."""
    from scaler.executors.ray.execution import run_on_ray

    run_on_ray(driver, evaluator, ExecutorConfig(kind="ray", max_concurrent=2), Path("runs"))
