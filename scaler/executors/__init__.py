"""Executors: the same search in this process or elsewhere, over one shared driver."""

from scaler.executors.capacity import Capacity, capacity
from scaler.executors.driver import Driver, Job, Observer
from scaler.executors.local import run_locally

__all__ = ["Capacity", "Driver", "Job", "Observer", "capacity", "run_locally"]
