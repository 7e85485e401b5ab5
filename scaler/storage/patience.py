"""Waiting for a database server that is away: restarted, or cut off for a while."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError

from scaler.errors import WorkError
from scaler.storage.url import scrubbed

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")

_PAUSES = (0.2, 0.5, 1.0)
"""Seconds between two attempts; the last one again and again."""


def patiently(work: Callable[[], _T], *, patience: float, url: str) -> _T:
    """What `work` returns; it is done again for as long as the database at the URL cannot be reached.

    Raises `WorkError` after `patience` seconds.
    """
    began: float | None = None
    attempts = 0
    while True:
        try:
            result = work()
        except Exception as error:
            if not _is_away(error):
                raise
            reason = scrubbed(str(error.__cause__ or error).splitlines()[0], url)
        else:
            if began is not None:
                _LOG.warning("storage: it is back after %.0f s", time.monotonic() - began)
            return result
        if began is None:
            began = time.monotonic()
            _LOG.warning("storage: it cannot be reached (%s); waiting up to %g s", reason, patience)
        if time.monotonic() - began > patience:
            raise WorkError(
                f"storage: it could not be reached for {patience:g} s ({reason}); "
                "what had finished is kept, and the same command with --resume goes on"
            )
        time.sleep(_PAUSES[min(attempts, len(_PAUSES) - 1)])
        attempts += 1


def _is_away(error: BaseException) -> bool:
    """Whether an error says that the database server cannot be reached, or went away in the middle."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return (
        isinstance(cause, sqlalchemy.exc.DBAPIError)
        and type(cause.orig).__module__.startswith("psycopg")
        and (cause.connection_invalidated or isinstance(cause, sqlalchemy.exc.OperationalError))
    )
