"""Leases: which driver a running trial belongs to, and whether that driver still lives.

A driver says every few seconds that it lives, for all trials it has out, in Optuna's own table of heartbeats and by
the database's clock alone. A trial that nobody has spoken for within its lease is dead, and so is one whose process is
known to be gone; its network is queued again by whichever driver notices (`reap`).
"""

import contextlib
import logging
import os
import socket
import threading
import weakref
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection

from scaler.config import StudyConfig
from scaler.errors import InputError
from scaler.record import DRIVER
from scaler.storage import Storage, network_file_system
from scaler.study import interrupt, storage_of, writable_folder

_LOG = logging.getLogger(__name__)

_BEATS = 4
"""Times within a lease that a driver says that it lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The driver that a running trial belongs to.

    host     its machine's name
    pid      its process
    machine  what its process ids can be looked up by: the machine since its last start, the container; "" if unknown
    started  when the process started, in the machine's own count
    lease    seconds that it may say nothing
    """

    host: str
    pid: int
    machine: str
    started: str
    lease: float

    @classmethod
    def this_process(cls, lease: float) -> Self:
        """This process as an owner."""
        pid = os.getpid()
        return cls(host=socket.gethostname(), pid=pid, machine=_machine(), started=_started(pid), lease=lease)

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> Self | None:
        """Who a trial with these user attributes belongs to; None if it does not say."""
        stored = attributes.get(DRIVER)
        return cls(**stored) if stored else None

    @property
    def is_elsewhere(self) -> bool:
        """Whether the process runs on another machine; containers of one machine share it."""
        here = _machine()
        if here and self.machine:
            return self.machine.split()[0] != here.split()[0]
        return self.host != socket.gethostname()

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended: it ran on this machine and does so no more."""
        return bool(self.machine) and self.machine == _machine() and _started(self.pid) != self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A running trial, whose it is and for how many seconds nobody has spoken for it (None: nobody ever has)."""

    trial: FrozenTrial
    owner: Owner | None
    silent: float | None

    @property
    def is_dead(self) -> bool:
        """Whether nobody evaluates the trial any more."""
        if self.owner is None or self.silent is None:
            return True
        return self.owner.is_gone or self.silent > self.owner.lease


def leases(study: optuna.Study) -> list[Lease]:
    """The running trials of a study and their leases, by the database's clock."""
    storage = storage_of(study)
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    beat, trial = models.TrialHeartbeatModel, models.TrialModel
    wanted = (
        sqlalchemy.select(beat.trial_id, beat.heartbeat)
        .join(trial, trial.trial_id == beat.trial_id)
        .where(trial.study_id == study._study_id, trial.state == TrialState.RUNNING)
    )
    with storage.connection() as connection:
        now, risen = _now(connection), _risen(connection)
        beats = {found: max(at, risen) for found, at in connection.execute(wanted)}
    return [
        Lease(
            trial=found,
            owner=Owner.of(found.user_attrs),
            silent=(now - beats[found._trial_id]).total_seconds() if found._trial_id in beats else None,
        )
        for found in running
    ]


def reap(study: optuna.Study, *, spare: Container[int] = (), force: bool = False) -> list[FrozenTrial]:
    """Fails the dead trials as interrupted and queues their networks again; returns what they were.

    Call it under the study's claim.

    spare  ids of trials that are not to be touched
    force  takes the living ones as well; their drivers drop what comes of them
    """
    dead = [lease.trial for lease in leases(study) if force or lease.is_dead]
    dead = [trial for trial in dead if trial._trial_id not in spare]
    for trial in dead:
        _LOG.warning("%s trial %d: its driver is gone, queued again", study.study_name, trial.number)
        interrupt(study, optuna.Trial(study, trial._trial_id))
    return dead


@contextlib.contextmanager
def driving(config: StudyConfig, study: optuna.Study) -> Iterator[None]:
    """Held by a process while it drives a study; any number may, unless the storage is an SQLite file.

    That may be shared by processes of one machine, on a network file system not even by those: raises `InputError`.
    """
    storage = storage_of(study)
    if storage.engine.dialect.name != "sqlite":
        yield
        return
    remedy = "wait for it, or keep the study in PostgreSQL with --storage postgresql://USER@HOST/DATABASE"
    for lease in leases(study):
        if lease.owner and lease.owner.is_elsewhere and not lease.is_dead:
            raise InputError(
                f"study: {config.name} is being run on {lease.owner.host}, and an SQLite file serves one machine; "
                f"{remedy}"
            )
    kind = network_file_system(Path(storage.engine.url.database or ""))
    lock = FileLock(writable_folder(config) / ".lock") if kind else contextlib.nullcontext()
    try:
        with lock.acquire(timeout=0) if isinstance(lock, FileLock) else lock:
            yield
    except Timeout:
        raise InputError(
            f"study: {config.name} is being run by another process, and an SQLite file on a network file system "
            f"({kind}) serves one; {remedy}"
        ) from None


class Heart:
    """Speaks for the trials that a driver has out, from a thread of its own, for as long as there are any.

    It falls silent with its process, stopped or dead, and when nobody holds it any more.
    """

    def __init__(self, storage: Storage, lease: float) -> None:
        self.owner = Owner.this_process(lease)
        self._storage = storage
        self._out: set[int] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        weakref.finalize(self, self._wake.set)

    @property
    def out(self) -> frozenset[int]:
        """Ids of the trials that it speaks for."""
        with self._lock:
            return frozenset(self._out)

    @property
    def attributes(self) -> dict[str, Any]:
        """What a trial says about whose it is."""
        return {DRIVER: asdict(self.owner)}

    def take(self, trial_id: int) -> None:
        """Notes in the database that a trial is out; call it under the claim, and `keep` once that is through."""
        with self._storage.connection() as connection:
            beat = models.TrialHeartbeatModel
            connection.execute(sqlalchemy.delete(beat).where(beat.trial_id == trial_id))
            connection.execute(sqlalchemy.insert(beat).values(trial_id=trial_id, heartbeat=_now(connection)))

    def keep(self, trial_id: int) -> None:
        """Speaks for a trial from now on."""
        with self._lock:
            self._out.add(trial_id)
            if self._thread is None:
                interval = self.owner.lease / _BEATS
                arguments = (weakref.ref(self), self._wake, interval)
                self._thread = threading.Thread(target=_beat, args=arguments, name="scaler-heart", daemon=True)
                self._thread.start()

    def drop(self, trial_id: int) -> None:
        """Speaks for a trial no longer."""
        with self._lock:
            self._out.discard(trial_id)

    def beat(self) -> bool:
        """Speaks once for all trials that are out; False if there are none, and then the thread is to end."""
        with self._lock:
            if not self._out:
                self._thread = None
                return False
            out = sorted(self._out)
        beat = models.TrialHeartbeatModel
        with contextlib.suppress(sqlalchemy.exc.DBAPIError), self._storage.engine.begin() as connection:
            connection.execute(sqlalchemy.update(beat).where(beat.trial_id.in_(out)).values(heartbeat=_now(connection)))
        return True


def _beat(heart: weakref.ref[Heart], wake: threading.Event, interval: float) -> None:
    """Lets a heart beat until it has no trials, or is no more."""
    while not wake.wait(interval):
        held = heart()
        if held is None or not held.beat():
            return
        del held


def _now(connection: Connection) -> datetime:
    """The database's time of day, in UTC."""
    if connection.dialect.name == "sqlite":
        text: str = connection.exec_driver_sql("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')").scalar_one()
        return datetime.fromisoformat(text)
    found: datetime = connection.exec_driver_sql("SELECT clock_timestamp() AT TIME ZONE 'UTC'").scalar_one()
    return found


def _risen(connection: Connection) -> datetime:
    """When the database server was started: before that nobody could speak to it."""
    if connection.dialect.name == "sqlite":
        return datetime.min
    found: datetime = connection.exec_driver_sql("SELECT pg_postmaster_start_time() AT TIME ZONE 'UTC'").scalar_one()
    return found


def _machine() -> str:
    """This machine since its last start and, of containers, which: where a process id means the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process of this machine started, in its kernel's ticks; "" if there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *fields = status.rpartition(")")[2].split()
    return "" if state in ("Z", "X") else fields[18]
