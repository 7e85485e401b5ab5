import logging

import pytest

from scaler.config import ExecutorConfig
from scaler.executors import Capacity, capacity


@pytest.mark.parametrize(
    ("workers", "threads", "cores", "expected"),
    [
        (None, None, 2, (2, 1)),
        (None, None, 1, (1, 1)),
        (None, None, 16, (16, 1)),
        (None, 4, 16, (4, 4)),
        (None, 4, 2, (1, 4)),
        (1, None, 8, (1, None)),
        (2, None, 8, (2, 4)),
        (3, None, 2, (3, 1)),
        (2, 2, 2, (2, 2)),
    ],
)
def test_on_a_cpu_the_cores_are_filled_and_what_is_set_is_kept(
    workers: int | None, threads: int | None, cores: int, expected: tuple[int, int | None]
) -> None:
    config = ExecutorConfig(workers=workers, threads=threads)
    assert capacity(config, accelerator=False, cores=cores) == Capacity(*expected)


@pytest.mark.parametrize(
    ("workers", "threads", "expected"), [(None, None, (1, None)), (None, 2, (1, 2)), (2, None, (2, 4))]
)
def test_an_accelerator_is_left_to_one_network(
    workers: int | None, threads: int | None, expected: tuple[int, int | None]
) -> None:
    config = ExecutorConfig(workers=workers, threads=threads)
    assert capacity(config, accelerator=True, cores=8) == Capacity(*expected)


def test_more_threads_than_cores_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="scaler")
    capacity(ExecutorConfig(workers=2, threads=1), accelerator=False, cores=2)
    assert not caplog.messages
    capacity(ExecutorConfig(workers=2, threads=2), accelerator=False, cores=2)
    assert "2 workers × 2 threads are more than the 2 cores" in caplog.text
