"""Opening a storage: which databases there are, and how their connections are set up."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from filelock import FileLock
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL

from scaler.errors import InputError
from scaler.storage.place import network_file_system
from scaler.storage.storage import Storage
from scaler.storage.url import normalised, parsed, scrubbed

_BUSY = 120.0
"""Seconds that SQLite waits for another process's write."""
_CONNECT = 10
"""Seconds that PostgreSQL has to answer."""
_SET_UP = 0x5CA1E
"""Key of the advisory lock under which the tables are made."""


def open_storage(url: str, *, patience: float = 300.0) -> Storage:
    """The storage behind an SQLAlchemy URL, its tables made if it has none: SQLite, or PostgreSQL through psycopg 3.

    patience  seconds to wait for a database that is away before the work fails

    Raises `InputError`, which shows no password, if it cannot be opened.
    """
    url = normalised(url)
    parts = parsed(url)
    try:
        if parts is None:
            raise ValueError("this is no URL")
        if parts.get_backend_name() not in ("sqlite", "postgresql"):
            raise ValueError(f"scaler keeps studies in SQLite or PostgreSQL, not in {parts.get_backend_name()!r}")
        with _one_at_a_time(parts):
            # Optuna fills {SCHEMA_VERSION} in; a password may have braces.
            backend = RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=_engine_options(parts))
    except ImportError:
        raise InputError(
            "storage.url: PostgreSQL needs psycopg, which is not installed; pip install 'scaler-nas[cluster]'"
        ) from None
    except Exception as error:  # SQLAlchemy's or a database driver's, as the URL has it
        reason = scrubbed((str(error.__cause__ or error).splitlines() or [type(error).__name__])[0], url)
        raise InputError(f"storage.url: the storage cannot be opened ({reason}); check the URL") from None
    if backend.engine.dialect.name == "postgresql":
        sqlalchemy.event.listen(backend.engine, "connect", _set_up_postgresql)
    elif not network_file_system(Path(parts.database or "")):  # there a write-ahead log does not work
        sqlalchemy.event.listen(backend.engine, "connect", _set_up_sqlite)
    backend.engine.dispose()  # of what was connected before it was told how
    return Storage(backend, patience=patience)


def _engine_options(parts: URL) -> dict[str, Any]:
    if parts.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY}}
    connect = {"connect_timeout": _CONNECT, "application_name": "scaler"}
    return {
        "pool_pre_ping": True,  # a connection from before the database was restarted is replaced
        "connect_args": {name: value for name, value in connect.items() if name not in parts.query},
    }


@contextlib.contextmanager
def _one_at_a_time(parts: URL) -> Iterator[None]:
    """Held while tables are made, which two drivers that start together must not do at once."""
    if parts.get_backend_name() == "sqlite":
        file = Path(parts.database or "")
        shared = file.name and file.parent.is_dir() and os.access(file.parent, os.W_OK)
        with FileLock(file.with_name(f"{file.name}.lock")) if shared else contextlib.nullcontext():
            yield
        return
    engine = sqlalchemy.create_engine(parts, poolclass=sqlalchemy.pool.NullPool, **_engine_options(parts))
    with engine.connect() as connection:
        connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_SET_UP)))
        yield


def _set_up_sqlite(connection: Any, record: object) -> None:
    """Readers and a writer do not wait for one another, and a commit does not wait for the disk."""
    with contextlib.suppress(sqlite3.OperationalError):  # of a file that may only be read
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")


def _set_up_postgresql(connection: Any, record: object) -> None:
    """One clock for all drivers: heartbeats are stored without a time zone."""
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()
