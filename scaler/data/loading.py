"""From a data set's name to its decoded images: in memory, cached on disk, or streamed when they are too many."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scaler.data.cache import FORMAT, Entry, Record, cached, keep_rows, reserve
from scaler.data.config import DataConfig
from scaler.data.dataset import Dataset, Split
from scaler.data.decoding import Job, decode, natural_side, pixels
from scaler.data.pictures import BadPictureError
from scaler.data.pixels import InMemory, Mapped, Pixels, Streamed
from scaler.data.source import Source, open_source, sample_sizes
from scaler.data.splitting import SPLITS, Part, check_classes
from scaler.data.stores import FilePictures, Pictures
from scaler.errors import InputError

_LOG = logging.getLogger(__name__)

_IN_MEMORY = 250_000
_SAMPLE = 2000
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A split with its bad files; histogram counts the training pixels' values, int64 (channels, 256)."""

    split: Split
    bad: tuple[str, ...] = ()
    histogram: Any = None


class _BadPicturesError(Exception):
    def __init__(self, bad: tuple[str, ...]) -> None:
        self.bad = bad


def load_data(config: DataConfig | Source, side: int) -> Dataset:
    """The data set that a config names, decoded to `side` pixels (the largest resolution wanted) or its own if less.

    Equal configs give equal splits. Pictures are decoded once, into `config.cache`; past `config.cache_limit` they are
    decoded anew in every epoch. Raises `InputError` for a data set that is not there or cannot be split, and for files
    that cannot be read unless the config skips them.
    """
    source = config if isinstance(config, Source) else open_source(config)
    config = source.config
    parts = {name: getattr(source, name) for name in SPLITS}
    sides = {name: _stored_side(part.pictures, side, config.processes, name) for name, part in parts.items()}
    size = sum(len(part.labels) * source.channels * sides[name] ** 2 for name, part in parts.items())
    streams = size > config.cache_limit * 1e9
    if streams:
        limit = f"data.cache_limit is {config.cache_limit:g}"
        _LOG.warning("%s would take %.1f GB decoded and %s: streamed, which is slower", config.name, size / 1e9, limit)
    loaded: dict[str, _Loaded] = {}
    bad: list[str] = []
    for name, part in parts.items():
        try:
            if size <= _IN_MEMORY and not part.pictures.costly:
                loaded[name] = _in_memory(part, source.channels, sides[name])
            else:
                loaded[name] = _from_cache(name, part, source, sides[name], streams=streams)
            bad += loaded[name].bad
        except _BadPicturesError as error:
            bad += error.bad
    if bad and config.bad_images == "error":
        count = sum(len(part.labels) for part in parts.values())
        raise InputError(
            f"data.name: {len(bad):,} of {count:,} pictures of {config.name} cannot be read: {', '.join(bad[:3])}"
            f'{", ..." if len(bad) > 3 else ""}; repair or remove them, or set data.bad_images = "skip"'
        )
    if bad:
        _LOG.warning("%s: %d pictures that cannot be read are left out: %s", config.name, len(bad), ", ".join(bad[:3]))
        for name in SPLITS:
            check_classes(name, loaded[name].split.labels.numpy(), source.classes, config, from_train=True)
    mean, std = _moments(loaded["train"].histogram)
    return Dataset(
        name=config.name,
        classes=source.classes,
        train=loaded["train"].split,
        validation=loaded["validation"].split,
        test=loaded["test"].split,
        mean=mean,
        std=std,
        resolution=source.resolution,
        flip=source.flip,
        skipped=tuple(bad),
    )


def _stored_side(pictures: Pictures, side: int, workers: int, title: str) -> int:
    """The side at which pictures are stored: their own, if all of them are squares of one size below `side`."""
    sample = {(width, height) for width, height, _ in sample_sizes(pictures)}
    if len(sample) != 1:
        return side
    width, height = sample.pop()
    if width != height or width >= side:
        return side
    own = natural_side(pictures, workers, f"{title}: measured") if pictures.costly else width
    return side if own is None else own


def _in_memory(part: Part, channels: int, side: int) -> _Loaded:
    images = np.stack([pixels(part.pictures.open(index, channels), side) for index in range(len(part.labels))])
    split = Split(part.pictures, torch.from_numpy(part.labels), InMemory(torch.from_numpy(images)))
    return _Loaded(split, histogram=_counts(images))


def _from_cache(name: str, part: Part, source: Source, side: int, *, streams: bool) -> _Loaded:
    """A split from the cache, decoded into it if it is not there; a streamed one has but its record there."""
    config = source.config
    shape = len(part.labels), source.channels, side, side
    digest = hashlib.blake2b(f"{FORMAT} {name} {shape} {streams and config.seed}\n".encode(), digest_size=20)
    for line in part.pictures.fingerprint():
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    digest.update(part.labels.tobytes())

    def build(file: Path) -> Record:
        return _build(name, part, source, side, None if streams else file)

    entry = cached(config.cache_folder, digest.hexdigest(), build)
    record = entry.record
    kept = _kept(part, record)
    pictures = _listed(kept.pictures, entry)
    decoded: Pixels
    if streams:
        decoded = Streamed(pictures, source.channels, side, config.processes)
    else:
        decoded = Mapped(entry.pixels, (len(kept.labels), *shape[1:]))
    bad = tuple(f"{file} ({reason})" for _, file, reason in record["skipped"])
    split = Split(pictures, torch.from_numpy(kept.labels), decoded)
    return _Loaded(split, bad, np.array(record["histogram"], np.int64))


def _build(name: str, part: Part, source: Source, side: int, file: Path | None) -> Record:
    """Decodes a split into `file` (None: only tries every picture) and returns its record; bad ones may raise."""
    config = source.config
    job = Job(part.pictures, source.channels, side, file)
    _LOG.info("%s: decoding %s pictures of %s to %d pixels", name, f"{len(part.labels):,}", config.name, side)
    if file is not None:
        reserve(file, len(part.labels) * job.row)
    reasons = decode(job, config.processes, f"{name}: decoded")
    skipped = [(index, part.pictures.name(index), reason) for index, reason in reasons.items()]
    if skipped and config.bad_images == "error":
        raise _BadPicturesError(tuple(f"{called} ({reason})" for _, called, reason in skipped))
    record: Record = {"data": config.name, "split": name, "skipped": skipped, "labels": part.labels.tolist()}
    kept = _kept(part, record)
    if file is not None and skipped:
        keep_rows(file, job.row, np.setdiff1d(np.arange(len(part.labels)), list(reasons)))
    if isinstance(kept.pictures, FilePictures):
        record["files"] = list(kept.pictures.names)
    record["labels"] = kept.labels.tolist()
    if name == "train":
        record["histogram"] = _histogram(kept, job, config.seed).tolist()
        mean, std = _moments(np.array(record["histogram"]))
        record |= {"mean": mean, "std": std}
    else:
        record["histogram"] = []
    return record


def _kept(part: Part, record: Record) -> Part:
    skipped = [index for index, _, _ in record["skipped"]]
    return part.subset(np.setdiff1d(np.arange(len(part.labels)), skipped)) if skipped else part


def _listed(pictures: Pictures, entry: Entry) -> Pictures:
    return pictures.listed_in(entry.listing) if isinstance(pictures, FilePictures) else pictures


def _histogram(part: Part, job: Job, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often each channel has each value, int64 (channels, 256): of all pixels in a file, else of a sample."""
    total = np.zeros((job.channels, 256), np.int64)
    count = len(part.labels)
    if job.file is not None and count:
        images = np.memmap(job.file, np.uint8, "r", shape=(count, job.channels, job.side, job.side))
        step = max(1, _BLOCK // job.row)
        for start in range(0, count, step):
            total += _counts(images[start : start + step])
        return total
    sample = np.random.default_rng(seed).permutation(count)[:_SAMPLE]
    for index in sample.tolist():
        try:
            total += _counts(pixels(part.pictures.open(index, job.channels), job.side)[None])
        except BadPictureError:
            continue
    return total


def _counts(images: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.stack([np.bincount(images[:, channel].ravel(), minlength=256) for channel in range(images.shape[1])])


def _moments(histogram: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation (of a sample) per channel, of values from 0 to 1; of a constant, 0 → 1."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for counts in np.asarray(histogram, np.float64):
        count = counts.sum()
        mean = counts @ values / count
        deviation = np.sqrt(counts @ (values - mean) ** 2 / max(1, count - 1))
        means.append(float(mean))
        deviations.append(float(deviation) or 1.0)
    return tuple(means), tuple(deviations)
