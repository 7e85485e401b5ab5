"""Folders of pictures: a sub-folder for each class, perhaps below train/, validation/ and test/."""

import logging
import os
import re
from pathlib import Path

import numpy as np

from scaler.data.config import DataConfig
from scaler.data.pictures import find_pictures
from scaler.data.splitting import Part
from scaler.data.stores import FilePictures, shown
from scaler.errors import InputError

_LOG = logging.getLogger(__name__)

_TRAIN = ("train", "training")
_SPLIT_FOLDERS = {"validation": ("val", "valid", "validation", "eval", "evaluation"), "test": ("test", "testing")}


def open_folder(config: DataConfig) -> tuple[tuple[str, ...], dict[str, Part]]:
    """The classes of a folder and the splits that it has: "train" at least.

    Classes are in the order that timm gives them; every picture below a class's folder is of the class. Raises
    `InputError` for a folder that is not there or has not the shape.
    """
    root = config.folder
    if not root.is_dir():
        raise InputError(f"data.name: there is no folder {root}; give folder:PATH with the path of one that is there")
    folders = _subfolders(root)
    train = _named(root, folders, _TRAIN)
    if train is None or not _subfolders(train) or _direct_pictures(train):
        classes, part = _read(root, root, folders)
        return classes, {"train": part}
    classes, part = _read(root, train, _subfolders(train))
    parts = {"train": part}
    used = {train}
    for split, names in _SPLIT_FOLDERS.items():
        folder = _named(root, folders, names)
        if folder is not None:
            used.add(folder)
            _check_same_classes(folder, classes)
            parts[split] = _read(root, folder, _subfolders(folder))[1]
    for folder in folders:
        if folder not in used:
            _LOG.warning("%s is left out: it is none of train, validation and test", folder)
    return classes, parts


def class_key(name: str) -> tuple[tuple[int | str, ...], str]:
    """Sorts class folders as timm does, numbers by value and upper case like lower; the name itself breaks ties."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), name


def _subfolders(folder: Path) -> list[Path]:
    try:
        found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] not in "."]
    except OSError as error:
        raise InputError(f"data.name: {folder} cannot be read ({error.strerror}); check its permissions") from None
    return sorted((path for path in found if path.name != "__MACOSX"), key=lambda path: class_key(path.name))


def _direct_pictures(folder: Path) -> bool:
    return any(file.parent == folder for file in find_pictures(folder))


def _named(root: Path, folders: list[Path], names: tuple[str, ...]) -> Path | None:
    found = [folder for folder in folders if folder.name.lower() in names]
    if len(found) > 1:
        raise InputError(f"data.name: {root} has both {found[0].name} and {found[1].name}; keep one of them")
    return found[0] if found else None


def _read(root: Path, parent: Path, folders: list[Path]) -> tuple[tuple[str, ...], Part]:
    """The classes in a folder, each a sub-folder, and their pictures as paths relative to `root`."""
    classes: list[str] = []
    names: list[str] = []
    labels: list[int] = []
    counts = [find_pictures(folder) for folder in folders]
    if not any(counts):
        raise InputError(
            f"data.name: {parent} has no folders with pictures; put each class's pictures in a folder of its name"
        )
    for label, (folder, files) in enumerate(zip(folders, counts, strict=True)):
        if not files:
            raise InputError(f"data.name: class folder {folder} has no pictures; add some or remove the folder")
        name = shown(folder.name)
        if name in classes:
            raise InputError(f"data.name: {parent} has two folders that read {name!r}; rename or merge them")
        classes.append(name)
        names += [str(file.relative_to(root)) for file in files]
        labels += [label] * len(files)
    return tuple(classes), Part(FilePictures(root, names), np.array(labels, np.int64))


def _check_same_classes(folder: Path, classes: tuple[str, ...]) -> None:
    names = {shown(path.name) for path in _subfolders(folder)}
    if missing := sorted(set(classes) - names):
        raise InputError(
            f"data.name: {folder} has no folder of class {missing[0]!r}; add it, "
            f"or remove {folder.name} to have it taken from train"
        )
    if extra := sorted(names - set(classes)):
        raise InputError(
            f"data.name: {folder} has a class {extra[0]!r} that train has not; add it to train or remove it"
        )
