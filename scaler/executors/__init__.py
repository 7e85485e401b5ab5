"""Executors: the same search in this process or elsewhere, over one shared driver.

Imported when first used, since worker processes that load a module of this package need nothing of the search.
"""

from typing import TYPE_CHECKING

from scaler.lazy import lazily

if TYPE_CHECKING:
    from scaler.executors.driver import Driver
    from scaler.executors.local import run_locally
    from scaler.executors.machine import Capacity, capacity
    from scaler.executors.observer import Job, Observer

__all__ = ["Capacity", "Driver", "Job", "Observer", "capacity", "run_locally"]

__getattr__ = lazily(
    "scaler.executors",
    {
        "Capacity": "scaler.executors.machine",
        "Driver": "scaler.executors.driver",
        "Job": "scaler.executors.observer",
        "Observer": "scaler.executors.observer",
        "capacity": "scaler.executors.machine",
        "run_locally": "scaler.executors.local",
    },
)
