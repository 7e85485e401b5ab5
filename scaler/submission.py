"""A study sent to a Ray cluster as a job: its resolved study file and this scaler's code, nothing secret with them."""

import asyncio
import dataclasses
import logging
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import tomli_w

from scaler.config import StudyConfig
from scaler.data.config import FOLDER
from scaler.errors import InputError, WorkError
from scaler.network_file import read_network

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_PACKAGE = Path(__file__).parent
_REACH_SECONDS = 10
_POLL_SECONDS = 1.0
_ON_THE_CLUSTER = ("--executor", "ray", "--address", "auto")
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)


def connect(address: str) -> "JobSubmissionClient":
    """A client of the Ray cluster whose dashboard is at `address`, such as http://127.0.0.1:8265.

    Ray finds the cluster's token by RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH. Raises `InputError` if the address is
    none, nothing answers there within 10 seconds, or the token is refused.
    """
    _check_address(address)
    if find_spec("aiohttp") is None:
        raise InputError("submit: Ray's job submission is not installed; pip install 'scaler-nas[cluster]'")
    _check_reachable(address)
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        fault = "does not take this token" if "Authentication failed" in str(error) else "wants its token"
        raise InputError(
            f"address: the cluster at {address} {fault}; "
            "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file that holds it"
        ) from None
    except (OSError, ValueError, KeyError, RuntimeError):  # requests' own are OSErrors; what is no Ray answers anything
        raise InputError(f"address: what answers at {address} is no Ray dashboard; give that of the head") from None


def submit(client: "JobSubmissionClient", config: StudyConfig, flags: Sequence[str] = (), folder: str = "") -> str:
    """Starts a study's search on a cluster and returns the job's name.

    The study goes into `folder`/NAME on the head and its results to `folder`/runs/NAME; `flags` are given to
    `scaler search` there. Raises `InputError` if the study names a storage, or a file that is not there.
    """
    if config.storage.url not in (None, os.environ.get("SCALER_STORAGE")):
        raise InputError(
            "storage.url: what a job is told, the cluster's dashboard shows; leave it out, and set SCALER_STORAGE in "
            "the environment of the cluster's head (docker/README.md)"
        )
    with tempfile.TemporaryDirectory(prefix="scaler-") as staged:
        pack(config, Path(staged))
        return str(
            client.submit_job(
                entrypoint=entrypoint(config.name, flags, folder),
                # A job that is stopped ends as after Ctrl-C: what it had in hand is queued again.
                runtime_env={"working_dir": staged, "env_vars": {"RAY_JOB_STOP_SIGNAL": "SIGINT"}},
                metadata={"scaler.study": config.name},
            )
        )


def follow(client: "JobSubmissionClient", job: str, show: Callable[[str], None]) -> int:
    """Shows a job's log until it ends, and returns its exit code: scaler's own, 130 if it was stopped, else 1.

    Raises `WorkError` if the cluster is lost sight of.
    """
    try:
        asyncio.run(_tail(client, job, show))
        while not (details := client.get_job_info(job)).status.is_terminal():
            time.sleep(_POLL_SECONDS)
    except (OSError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise WorkError(f"job {job} is out of sight ({reason}); it goes on: ray job logs --follow {job}") from None
    if details.status == "SUCCEEDED":
        return 0
    if details.status == "STOPPED":
        return 130
    return details.driver_exit_code if details.driver_exit_code in (2, 130) else 1


def pack(config: StudyConfig, folder: Path) -> None:
    """Writes what a cluster needs into a folder: NAME/study.toml, resolved; networks to start from; scaler itself.

    No storage goes with it, whose URL may hold a password.
    """
    study = folder / config.name
    study.mkdir()
    entries = [
        _pack_network(config, entry, study) if entry.endswith(".json") else entry for entry in config.search.warm_start
    ]
    shipped = dataclasses.replace(config, search=dataclasses.replace(config.search, warm_start=entries))
    tables = shipped.to_tables()
    tables.pop("storage", None)
    (study / "study.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    shutil.copytree(_PACKAGE, folder / "scaler", ignore=shutil.ignore_patterns("__pycache__"))


def entrypoint(name: str, flags: Sequence[str], folder: str = "") -> str:
    """The job's command: the study copied from the job's working folder to `folder` (~/scaler), and searched there."""
    where = _shell_path(folder or "~/scaler")
    command = ["python", "-u", "-m", "scaler", "search", f"{name}/study.toml", *_ON_THE_CLUSTER, *flags]
    return (
        f"code=$PWD && mkdir -p {where} && cp -R {shlex.quote(name)} {where}/ && cd {where} && "
        f'PYTHONPATH="$code" exec {shlex.join(command)}'
    )


def needed_on_nodes(config: StudyConfig) -> str | None:
    """The folder of the study's images, which is not shipped; None if its data come with a package."""
    if config.data.name.startswith(FOLDER):
        return str(config.data.folder)
    return config.data.root


async def _tail(client: "JobSubmissionClient", job: str, show: Callable[[str], None]) -> None:
    async for text in client.tail_job_logs(job):
        show(text)


def _pack_network(config: StudyConfig, entry: str, study: Path) -> str:
    """Copies a network's file into the study's folder; returns its path from where the search runs."""
    source = config.root / entry
    read_network(source)
    target = study / source.name
    if target.exists() and target.read_bytes() != source.read_bytes():
        raise InputError(f"search.warm_start: two files are called {source.name}; rename one")
    shutil.copyfile(source, target)
    return f"{config.name}/{source.name}"


def _shell_path(folder: str) -> str:
    """A folder as the shell takes it, ~ being the home of the cluster's user."""
    if folder == "~":
        return folder
    return f"~/{shlex.quote(folder[2:])}" if folder.startswith("~/") else shlex.quote(folder)


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "ray":
        raise InputError(f"address: {address} is Ray Client's; give the dashboard's, such as http://HOST:8265")
    if parts.username or parts.password:
        raise InputError(f"address: it holds a user or password; give http://{parts.hostname}:8265 and a token file")
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise InputError(f"address: {address!r} is no dashboard's; give one such as http://127.0.0.1:8265")
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        if os.environ.get(name, address) != address:
            raise InputError(f"address: {name}={os.environ[name]} in the environment would win over it; unset that")


def _check_reachable(address: str) -> None:
    try:
        urlopen(f"{address.rstrip('/')}/api/version", timeout=_REACH_SECONDS).close()
    except HTTPError as answer:  # a dashboard that wants its token, say; Ray's client tells
        answer.close()
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"address: nothing answers at {address} ({getattr(reason, 'strerror', None) or reason}); "
            "start the cluster, or forward the port of its dashboard"
        ) from None
