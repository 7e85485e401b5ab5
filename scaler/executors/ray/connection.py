"""Ray itself: one of this machine's own, started and ended here, or a cluster that is there already."""

import logging
import os
import secrets
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.util
import torch
from numpy.typing import NDArray

from scaler.config import ExecutorConfig
from scaler.cores import available_cores
from scaler.data.pixels import InMemory, Mapped
from scaler.errors import InputError, WorkError
from scaler.executors.ray.resources import threads_per_trial

_SECRET = secrets.token_hex(32)  # one for the process: Ray reads it once
_PATIENCE = 10.0
"""Seconds in which a cluster's head must answer."""


@contextmanager
def connected(config: ExecutorConfig) -> Iterator[None]:
    """A connection to the cluster of the settings; without an address to a Ray of this machine that ends with it.

    A Ray that this process is connected to already is used as it is. Raises `InputError` if there is no cluster at the
    address, `WorkError` if this machine's own Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    threads = str(threads_per_trial(config))
    environment: dict[str, Any] = {"env_vars": dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with _environment(_settings(config)):
        if config.address is None:
            _start(quiet, environment)
        else:
            _join(config.address, quiet, environment)
        try:
            yield
        finally:
            ray.shutdown()


def _start(quiet: Mapping[str, Any], environment: dict[str, Any]) -> None:
    try:
        ray.init(address="local", num_cpus=available_cores(), include_dashboard=False, runtime_env=environment, **quiet)
    except Exception as error:  # Ray raises what it likes
        ray.shutdown()
        raise WorkError(f"executor: Ray does not start on this machine ({_first_line(error)})") from error


def _join(address: str, quiet: Mapping[str, Any], environment: dict[str, Any]) -> None:
    """Connects to a cluster; the workers get the scaler that is running here."""
    remedy = "start one with `ray start --head`, give another --address, or leave it out to use this machine alone"
    host, _, port = address.rpartition(":")
    if address != "auto":
        try:
            socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
        except OSError as error:
            raise InputError(f"executor.address: nothing answers at {address} ({error}); {remedy}") from None
    environment["py_modules"] = [str(Path(__file__).parents[2])]
    send_images()
    try:
        ray.init(address=address, runtime_env=environment, **quiet)
    except Exception as error:
        ray.shutdown()
        raise InputError(
            f"executor.address: there is no Ray cluster to join at {address} ({_first_line(error)}); {remedy}"
        ) from None


def send_images() -> None:
    """Has mapped images travel to workers with the object store, in which the workers of a node share them.

    Only the path of their file is sent otherwise, which other machines do not have.
    """
    ray.util.register_serializer(Mapped, serializer=_content, deserializer=_in_store)


def _content(images: Mapped) -> NDArray[np.uint8]:
    return np.asarray(np.memmap(images.file, np.uint8, "r", shape=images.shape))


def _in_store(content: NDArray[np.uint8]) -> InMemory:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return InMemory(torch.from_numpy(content))


def _settings(config: ExecutorConfig) -> dict[str, str]:
    """Environment variables for Ray: no reports to its makers, and for this machine's own Ray a secret.

    Ray listens on all interfaces; it serves only those who know the secret.
    """
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    if config.address is None and "RAY_AUTH_TOKEN_PATH" not in os.environ:
        settings["RAY_AUTH_TOKEN"] = _SECRET
    return settings


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """The process's environment with some variables set within; those that the user has set are kept."""
    added = [name for name in settings if name not in os.environ]
    os.environ.update({name: settings[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
