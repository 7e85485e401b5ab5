"""Executors: the same search in this process or elsewhere, over one shared driver.

Imported when first used, since worker processes that load a module of this package need nothing of the search.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaler.executors.driver import Driver, Job, Observer
    from scaler.executors.local import run_locally
    from scaler.executors.machine import Capacity, capacity

__all__ = ["Capacity", "Driver", "Job", "Observer", "capacity", "run_locally"]

_PLACES = {
    "Capacity": "machine",
    "Driver": "driver",
    "Job": "driver",
    "Observer": "driver",
    "capacity": "machine",
    "run_locally": "local",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'scaler.executors' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scaler.executors.{_PLACES[name]}"), name)
