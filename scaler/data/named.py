"""timm's data sets: torch/NAME, hfds/NAME, wds/NAME, listed without decoding a picture.

The test split is the one that the data set calls test; where it has only one split beside train, whatever its name,
that one is the test split, and validation is taken from train.
"""

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from scaler.data.config import DataConfig
from scaler.data.idx import FOLDERS, find_idx, read_idx
from scaler.data.pictures import IMAGE_SUFFIXES
from scaler.data.splitting import Part
from scaler.data.stores import ArrayPictures, TarPictures, TimmPictures, timm_dataset
from scaler.errors import InputError
from scaler.paths import below

Opened = tuple[tuple[str, ...], dict[str, Part]]


def open_named(config: DataConfig) -> Opened:
    """The classes of one of timm's data sets and the splits that it has: "train" at least.

    Raises `InputError` if it is not where `root` says or cannot be opened.
    """
    prefix, _, name = config.name.partition("/")
    if config.root is None and prefix != "hfds":
        raise InputError(f"data.root: missing; give the folder in which {config.name} lies")
    if config.root is not None and not Path(config.root).is_dir():
        raise InputError(f"data.root: there is no folder {config.root}; give the one in which {config.name} lies")
    if prefix == "torch" and name in FOLDERS:
        return _open_idx(name, Path(config.root or ""))
    if prefix == "wds":
        return _open_shards(config)
    return _open_timm(config, prefix, name)


def _open_idx(name: str, root: Path) -> Opened:
    import torchvision

    parts = {}
    for split in ("train", "test"):
        file = find_idx(name, root, split, "images")
        labels = read_idx(find_idx(name, root, split, "labels")).astype(np.int64)
        count = len(read_idx(file))
        if labels.shape != (count,):
            raise InputError(f"data.root: {file} has {count} pictures for {labels.size} labels; get the files again")
        parts[split] = Part(ArrayPictures(np.arange(count), file), labels)
    return tuple(getattr(torchvision.datasets, FOLDERS[name]).classes), parts


def _open_timm(config: DataConfig, prefix: str, name: str) -> Opened:
    splits = _hugging_face_splits(config, name) if prefix == "hfds" else _torch_splits(name)
    found: dict[str, Part] = {}
    classes: tuple[str, ...] = ()
    for split, called in splits.items():
        try:
            opened = timm_dataset(config.name, config.root, called)
        except Exception as error:  # whatever the data set's own reader raises
            raise _cannot_open(config, error) from None
        labels, names = _labels(opened)
        classes = names or classes or tuple(str(index) for index in range(int(labels.max()) + 1))
        found[split] = Part(TimmPictures(config.name, config.root, called, np.arange(len(labels))), labels)
    for split, part in found.items():
        if len(part.labels) and (part.labels.min() < 0 or part.labels.max() >= len(classes)):
            raise InputError(
                f"data.name: the {split} split of {config.name} has pictures without a label; choose another"
            )
    return classes, found


def _torch_splits(name: str) -> dict[str, str]:
    if name in ("imagenet", "places365", "inaturalist", "image_folder"):
        return {"train": "train", "test": "validation"}
    return {"train": "train", "test": "test"}


def _hugging_face_splits(config: DataConfig, name: str) -> dict[str, str]:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"data.name: {config.name} needs the package datasets; install it with pip install datasets"
        ) from None
    try:
        there = list(datasets.get_dataset_split_names(name))
    except Exception as error:  # hub, network and file errors of many kinds
        raise _cannot_open(config, error) from None
    if "train" not in there:
        raise InputError(f"data.name: {config.name} has no split train (it has {', '.join(there)}); choose another")
    return named_splits(there)


def named_splits(there: list[str]) -> dict[str, str]:
    """Which of a data set's splits is train, validation and test, each under its own name there."""
    validation = next((name for name in ("validation", "valid", "val", "dev") if name in there), None)
    test = next((name for name in ("test", validation) if name in there), None)
    chosen = {"train": "train"}
    if test is not None:
        chosen["test"] = test
    if validation is not None and validation != test:
        chosen["validation"] = validation
    return chosen


def _cannot_open(config: DataConfig, error: Exception) -> InputError:
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    where = config.root or "its default folder"
    return InputError(f"data.root: {config.name} cannot be opened in {where} ({reason}); check name and root")


def _labels(opened: Any) -> tuple[Any, tuple[str, ...]]:
    """Labels int64 (n,) and class names (empty if it has none) of a data set that timm opened."""
    reader = getattr(opened, "reader", None)
    if reader is not None:
        labels = np.fromiter((-1 if label is None else label for label in reader.iter_targets()), np.int64)
        return labels, tuple(sorted(reader.class_to_idx, key=reader.class_to_idx.__getitem__))
    if hasattr(opened, "index"):  # iNaturalist
        return np.array([label for label, _ in opened.index], np.int64), tuple(opened.all_categories)
    labels = np.asarray(opened.targets, dtype=np.int64)
    names = [name if isinstance(name, str) else name[0] for name in getattr(opened, "classes", [])]
    return labels if labels.ndim == 1 else labels[:, 0], tuple(names)  # QMNIST's first column is the digit


def _open_shards(config: DataConfig) -> Opened:
    """WebDataset shards: tar files listed in info.json or named after their split, pictures beside .cls files."""
    root = Path(config.root or "")
    info = next((root / name for name in ("_info.json", "info.json") if (root / name).is_file()), None)
    shards: dict[str, list[str]] = {}
    if info is not None:
        try:
            told = json.loads(info.read_text(encoding="utf-8"))["splits"]
            shards = {split: list(about["filenames"]) for split, about in told.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"data.root: {info} lists no splits with filenames; correct it") from None
    else:
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.tar"))
        for split in ("train", "validation", "valid", "val", "test"):
            if chosen := [name for name in names if split in name]:
                shards[split] = chosen
        if "validation" in shards:
            shards.pop("valid", None)
            shards.pop("val", None)
        elif "valid" in shards:
            shards.pop("val", None)
    if "train" not in shards:
        raise InputError(
            f"data.root: {root} has no train shards (train-*.tar, or listed in info.json); give another folder"
        )
    parts = {
        split: _read_shards([below(root, name, "data.root") for name in shards[called]])
        for split, called in named_splits(list(shards)).items()
    }
    return tuple(str(index) for index in range(max(int(part.labels.max()) for part in parts.values()) + 1)), parts


def _read_shards(shards: list[Path]) -> Part:
    places: list[tuple[int, int, int]] = []
    labels: list[int] = []
    for number, shard in enumerate(shards):
        pictures: dict[str, tuple[int, int]] = {}
        classes: dict[str, int] = {}
        try:
            with tarfile.open(shard, "r:") as tar:
                for member in tar:
                    folder, _, name = member.name.rpartition("/")
                    stem, _, suffix = name.partition(".")
                    key = f"{folder}/{stem}"
                    if suffix == "cls" and (file := tar.extractfile(member)) is not None:
                        classes[key] = int(file.read())
                    elif f".{suffix.lower()}" in IMAGE_SUFFIXES:
                        pictures[key] = (member.offset_data, member.size)
        except (OSError, tarfile.TarError, ValueError) as error:
            raise InputError(f"data.root: shard {shard} cannot be read ({error}); get it again") from None
        for key, (offset, size) in pictures.items():
            if key not in classes:
                raise InputError(f"data.root: {key.lstrip('/')} in {shard} has no .cls file with its label; add it")
            places.append((number, offset, size))
            labels.append(classes[key])
    if not places:
        raise InputError(f"data.root: {shards[0]} and its like hold no pictures; give another folder")
    return Part(TarPictures(tuple(shards), np.array(places, np.int64)), np.array(labels, np.int64))
