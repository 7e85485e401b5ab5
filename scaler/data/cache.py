"""Decoded images on disk: a raw uint8 file and a JSON record beside it, both named after what they were made from.

A file gets its name only when it is whole: it is written under a temporary name, under a lock, and then renamed. The
record comes last, so a pair without one is not whole. The record holds the file's size, modification time and checksum:
a file whose size is wrong, or which was modified later and has another checksum, is built anew.
"""

import errno
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from scaler.errors import InputError

FORMAT = 1
"""Raised whenever records or pixels of older caches can no longer be used."""

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 24

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the cache has under a key.

    record  the JSON object: what `build` gave, beside "format", "bytes", "modified" and "checksum"
    """

    folder: Path
    key: str
    record: Record

    @property
    def pixels(self) -> Path:
        """The file of raw pixels; it is there only if the builder wrote one."""
        return self.folder / f"{self.key}.u8"

    @property
    def listing(self) -> Path:
        """The record's file."""
        return self.folder / f"{self.key}.json"


def cached(folder: Path, key: str, build: Callable[[Path], Record]) -> Entry:
    """The entry under a key, made with `build` if there is no whole one.

    `build` gets a path at which it may create a file of pixels, and returns what is to be recorded. Of several
    processes that want the same entry one builds it and the others wait. Raises `InputError` if the folder cannot be
    written or is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = _whole(folder, key)
        if found is not None:
            return found
        with _locked(folder, key):
            found = _whole(folder, key)
            return found or _built(folder, key, build)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"data.cache: {folder} is full; make room, name another folder or lower data.cache_limit"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise InputError(
                f"data.cache: {folder} cannot be written ({error.strerror}); name another folder"
            ) from None
        raise


def reserve(file: Path, size: int) -> None:
    """Creates a file of `size` bytes, all of them really there, so that a full disk is noticed before the work."""
    free = shutil.disk_usage(file.parent).free
    if free < size:
        raise InputError(
            f"data.cache: {file.parent} has {free / 1e9:.1f} GB free of {size / 1e9:.1f} GB needed; make room, "
            "name another folder or lower data.cache_limit"
        )
    with file.open("wb") as opened:
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(opened.fileno(), 0, size)
        else:
            opened.truncate(size)


def keep_rows(file: Path, row: int, kept: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    """Moves the rows `kept` (ascending) of `row` bytes each to the front of a file and cuts off the rest."""
    with file.open("r+b") as opened:
        for place, index in enumerate(kept.tolist()):
            if place != index:
                opened.seek(index * row)
                content = opened.read(row)
                opened.seek(place * row)
                opened.write(content)
        opened.truncate(len(kept) * row)


def _built(folder: Path, key: str, build: Callable[[Path], Record]) -> Entry:
    _sweep(folder, key)
    temporary = folder / f"{key}.{os.getpid()}.tmp"
    try:
        record = {**build(temporary), "format": FORMAT, "bytes": 0, "modified": 0, "checksum": 0}
        entry = Entry(folder, key, record)
        if temporary.exists():
            record["checksum"] = _checksum(temporary)
            _to_disk(temporary)
            found = temporary.stat()
            record["bytes"], record["modified"] = found.st_size, found.st_mtime_ns
            os.replace(temporary, entry.pixels)
        temporary.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8", errors="surrogateescape")
        _to_disk(temporary)
        os.replace(temporary, entry.listing)
        return entry
    finally:
        temporary.unlink(missing_ok=True)


def _whole(folder: Path, key: str) -> Entry | None:
    """The entry under a key if it is whole."""
    listing = folder / f"{key}.json"
    try:
        record = json.loads(listing.read_text(encoding="utf-8", errors="surrogateescape"))
        entry = Entry(folder, key, record)
        if record["format"] != FORMAT:
            return None
        if record["bytes"]:
            found = entry.pixels.stat()
            same = found.st_size == record["bytes"]
            if not same or (found.st_mtime_ns != record["modified"] and _checksum(entry.pixels) != record["checksum"]):
                _LOG.warning("%s is damaged; the images are decoded again", entry.pixels)
                return None
        return entry
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        _LOG.warning("%s is damaged; the images are decoded again", listing)
        return None


@contextmanager
def _locked(folder: Path, key: str) -> Iterator[None]:
    """Holds an entry against other processes; says so when it has to wait."""
    lock = FileLock(folder / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _LOG.info("another process decodes these images; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sweep(folder: Path, key: str) -> None:
    """Deletes temporary files of dead processes: those whose lock is free; that of `key` is held by the caller."""
    for file in folder.glob("*.tmp"):
        owner = file.name.partition(".")[0]
        if owner == key:
            file.unlink(missing_ok=True)
            continue
        lock = FileLock(folder / f"{owner}.lock")
        try:
            with lock.acquire(timeout=0):
                file.unlink(missing_ok=True)
        except Timeout:
            continue


def _checksum(file: Path) -> int:
    value = 0
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def _to_disk(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
