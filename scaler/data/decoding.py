"""Pictures into uint8 pixels of one size, by a pool of processes when there are many."""

import logging
import multiprocessing
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as pil_functional

from scaler.data.pictures import BadPictureError
from scaler.data.stores import Pictures
from scaler.errors import WorkError

_LOG = logging.getLogger(__name__)

_POOL_FROM = 400
_CHUNK = 64
_LONGEST = 32


@dataclass(frozen=True, slots=True)
class Job:
    """Pictures to decode to uint8 (channels, side, side); into the rows of `file`, or without it only to try them."""

    pictures: Pictures
    channels: int
    side: int
    file: Path | None = None

    @property
    def row(self) -> int:
        """Bytes of a picture."""
        return self.channels * self.side * self.side


def pixels(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """An image of mode L or RGB as (channels, side, side): shorter side to `side`, centre crop, antialiased bicubic.

    These are the pixels of timm's eval transform with crop_pct 1 and crop_mode center.
    """
    if image.size != (side, side):
        image = pil_functional.resize(trimmed(image), side, InterpolationMode.BICUBIC)
        image = pil_functional.center_crop(image, [side, side])
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def trimmed(image: Image.Image) -> Image.Image:
    """The middle of a sliver, at most 32 times as long as it is wide; any other image as it is.

    Resizing a whole sliver takes gigabytes, and the centre crop then leaves a square of it.
    """
    width, height = image.size
    limit = _LONGEST * min(width, height)
    if max(width, height) <= limit:
        return image
    middle: Image.Image = pil_functional.center_crop(image, [min(height, limit), min(width, limit)])
    return middle


def decode(job: Job, workers: int, title: str) -> dict[int, str]:
    """Decodes all of a job's pictures; returns the reasons for those that cannot be, by number (their rows: zero)."""
    bad: dict[int, str] = {}
    for found in _in_chunks(_decode_chunk, job, workers, title):
        bad |= found
    return dict(sorted(bad.items()))


def natural_side(pictures: Pictures, workers: int, title: str) -> int | None:
    """The side that all pictures share, every one being a square, or None; those that cannot be read do not count."""
    sides: set[int | None] = set()
    for found in _in_chunks(_measure_chunk, Job(pictures, 1, 0), workers, title):
        sides |= found
        if len(sides) > 1 or None in sides:
            return None
    return sides.pop() if sides else None


def _decode_chunk(job: Job, start: int) -> dict[int, str]:
    stop = min(start + _CHUNK, len(job.pictures))
    rows = np.zeros((stop - start, job.channels, job.side, job.side), np.uint8)
    bad = {}
    for index in range(start, stop):
        try:
            rows[index - start] = pixels(job.pictures.open(index, job.channels), job.side)
        except BadPictureError as error:
            bad[index] = str(error)
    if job.file is not None:
        with job.file.open("r+b") as file:
            file.seek(start * job.row)
            file.write(rows.tobytes())
    return bad


def _measure_chunk(job: Job, start: int) -> set[int | None]:
    found: set[int | None] = set()
    for index in range(start, min(start + _CHUNK, len(job.pictures))):
        try:
            width, height, _ = job.pictures.size(index)
            found.add(width if width == height else None)
        except BadPictureError:
            continue
    return found


def _in_chunks(task: Callable[[Job, int], Any], job: Job, workers: int, title: str) -> Iterator[Any]:
    """What `task` gives for every chunk, in any order; progress is logged."""
    count = len(job.pictures)
    starts = range(0, count, _CHUNK)
    if workers == 1 or count < _POOL_FROM or not job.pictures.costly or multiprocessing.current_process().daemon:
        yield from (task(job, start) for start in starts)
        return
    began = time.perf_counter()
    with ProcessPoolExecutor(min(workers, len(starts)), fresh_processes(), _start_worker, (task, job)) as pool:
        try:
            with without_main():
                futures: list[Future[Any]] = [pool.submit(_in_worker, start) for start in starts]
            shown = 0
            for done, future in enumerate(as_completed(futures), start=1):
                yield future.result()
                if done * 10 // len(starts) > shown:
                    shown = done * 10 // len(starts)
                    passed = min(done * _CHUNK, count)
                    rate = passed / (time.perf_counter() - began)
                    _LOG.info("%s: %s of %s pictures (%.0f a second)", title, f"{passed:,}", f"{count:,}", rate)
        except BrokenProcessPool:
            raise WorkError(
                f"{title}: a decoding process died, perhaps for want of memory; lower data.workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_task: Callable[[int], Any] | None = None
"""In a worker process: what it does with the number of a chunk's first picture."""


def _start_worker(task: Callable[[Job, int], Any], job: Job) -> None:
    global _task
    _task = partial(task, job)
    end_with_parent()


def _in_worker(start: int) -> Any:
    assert _task is not None
    return _task(start)


def end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def fresh_processes() -> BaseContext:
    """Starts processes that inherit nothing from this one; what torch takes to load they load once and share."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["scaler.data.pixels"])
    return context


@contextmanager
def without_main() -> Iterator[None]:
    """Processes started in here do not run the user's script again, so it needs no `if __name__ == "__main__"`.

    Nothing that they do is from that script.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
