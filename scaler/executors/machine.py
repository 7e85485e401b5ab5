"""How many worker processes with how many threads each suit this machine."""

import logging
import os
from dataclasses import dataclass

from scaler.config import ExecutorConfig
from scaler.cores import available_cores

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Capacity:
    """`workers` processes that evaluate networks, with `threads` CPU threads each (None: torch's own number)."""

    workers: int
    threads: int | None


def capacity(config: ExecutorConfig, *, accelerator: bool, cores: int | None = None) -> Capacity:
    """What the executor's settings come to on this machine; what the user has set is kept.

    On a CPU small networks train fastest with one thread each and as many at a time as there are cores; a second
    thread gains little, and more threads than cores lose most of the speed. An accelerator is left to one network.

    accelerator  whether networks are trained on one
    cores        cores that this process may use; found out by default
    """
    cores = cores or available_cores()
    workers, threads = config.workers, config.threads
    if workers is None:
        workers = 1 if accelerator or os.name != "posix" else max(1, cores // (threads or 1))
        if threads is None and not accelerator:
            threads = 1
    if threads is None and workers > 1:
        threads = max(1, cores // workers)
    if workers * (threads or 1) > cores:
        _LOG.warning(
            "executor: %d workers × %d threads are more than the %d cores of this process and slow one another down",
            workers,
            threads or 1,
            cores,
        )
    return Capacity(workers, threads)
