"""What the cluster offers and what a network gets of it."""

import math
import time
from dataclasses import dataclass

import ray

from scaler.config import ExecutorConfig
from scaler.errors import InputError

_FRESH = 2.0
"""Seconds for which the cluster's resources are taken as they were."""


def threads_per_trial(config: ExecutorConfig) -> int:
    """CPU threads of each training: as set, else as many as the whole CPUs that it gets, at least one."""
    return config.threads or max(1, int(config.cpus_per_trial))


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one network gets: CPUs and GPUs, fractions allowed."""

    cpus: float
    gpus: float

    @property
    def bundle(self) -> dict[str, float]:
        """Ray's words for it."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})

    def fits(self, offered: dict[str, float]) -> int:
        """How many networks there is room for at a time."""
        return int(min(math.floor(offered.get(name, 0.0) / amount + 1e-6) for name, amount in self.bundle.items()))


def share(config: ExecutorConfig, offered: dict[str, float]) -> Share:
    """What the settings give a network: by default one CPU, and one GPU where the cluster has any."""
    gpus = config.gpus_per_trial
    if gpus is None:
        gpus = 1.0 if offered.get("GPU") else 0.0
    return Share(cpus=config.cpus_per_trial, gpus=gpus)


class Room:
    """How many networks may be out at a time, as the cluster is now.

    A cluster that others started may grow with what is asked of it: one network more than fits is asked for there, or
    all of `max_concurrent`. Raises `InputError` if a local Ray can never hold one.
    """

    def __init__(self, config: ExecutorConfig, wanted: Share) -> None:
        self._config = config
        self._wanted = wanted
        self._asked = -math.inf
        self._fitting = 0
        if config.address is None and not wanted.fits(ray.cluster_resources()):
            offered = ", ".join(f"{ray.cluster_resources().get(name, 0):g} {name}" for name in wanted.bundle)
            raise InputError(
                f"executor: a network is to get {_words(wanted.bundle)}, and this machine has {offered}; "
                "lower cpus_per_trial or gpus_per_trial, or give the address of a cluster"
            )

    def __call__(self) -> int:
        limit = self._config.max_concurrent
        if self._config.address is not None and limit is not None:
            return limit
        if time.monotonic() - self._asked > _FRESH:
            self._asked = time.monotonic()
            self._fitting = self._wanted.fits(ray.cluster_resources())
        if self._config.address is not None:
            return self._fitting + 1
        return min(self._fitting, limit or self._fitting)


def _words(bundle: dict[str, float]) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in bundle.items())
