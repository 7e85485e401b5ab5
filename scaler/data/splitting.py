"""Splits: what a data set does not say is taken from its training images, stratified by class."""

from dataclasses import dataclass

import numpy as np

from scaler.data.config import DataConfig
from scaler.data.stores import Indices, Pictures
from scaler.errors import InputError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Part:
    """One split before it is decoded: pictures, and the index of each one's class, int64 (n,)."""

    pictures: Pictures
    labels: Indices

    def subset(self, indices: Indices) -> "Part":
        """Some of the pictures with their labels, in the given order."""
        return Part(self.pictures.subset(indices), self.labels[indices])


def complete(given: dict[str, Part], classes: tuple[str, ...], config: DataConfig) -> dict[str, Part]:
    """All three splits: those given as they are, the missing ones taken from "train", stratified, by the config's seed.

    Equal configs give equal splits. Raises `InputError` if there are too few classes or pictures, or if a class is
    missing from a split.
    """
    if len(classes) < 2:
        only = f" ({classes[0]!r})" if classes else ""
        raise InputError(
            f"data.name: {config.name} has {len(classes)} class{only}; a network needs at least two to tell apart"
        )
    for name, part in given.items():
        if len(part.labels) < len(classes):
            raise InputError(
                f"data.name: the {name} split of {config.name} has {len(part.labels)} pictures for {len(classes)} "
                "classes; give at least one of each class"
            )
    parts = dict(given)
    left = np.arange(len(given["train"].labels))
    remaining = 1.0
    for name, share in (("test", config.test), ("validation", config.validation)):
        if name not in given:
            left, taken = _stratified(given["train"].labels, left, share / remaining, classes, config)
            parts[name] = given["train"].subset(taken)
            remaining -= share
    if len(left) < len(given["train"].labels):
        parts["train"] = given["train"].subset(left)
    for name in SPLITS:
        check_classes(name, parts[name].labels, classes, config, from_train=name not in given or name == "train")
    return {name: parts[name] for name in SPLITS}


def _stratified(
    labels: Indices, left: Indices, share: float, classes: tuple[str, ...], config: DataConfig
) -> tuple[Indices, Indices]:
    from sklearn.model_selection import train_test_split

    try:
        rest, taken = train_test_split(left, test_size=share, stratify=labels[left], random_state=config.seed)
    except ValueError:  # a class of one picture, or fewer places than classes
        raise _too_small(labels, classes, config) from None
    return rest, taken


def check_classes(
    name: str, labels: Indices, classes: tuple[str, ...], config: DataConfig, *, from_train: bool
) -> None:
    """Raises `InputError` if a class has no picture in a split, which was taken from train or given."""
    counts = np.bincount(labels, minlength=len(classes))
    absent = [classes[index] for index in np.flatnonzero(counts == 0)]
    if not absent:
        return
    if from_train:
        raise InputError(
            f"data.name: class {absent[0]!r} of {config.name} has too few pictures to be in every split (none is left "
            f"for {name}); add pictures, or raise data.validation and data.test"
        )
    raise InputError(
        f"data.name: the {name} split of {config.name} has no picture of class {absent[0]!r}; "
        "add some, or remove the split to have it taken from train"
    )


def _too_small(labels: Indices, classes: tuple[str, ...], config: DataConfig) -> InputError:
    counts = np.bincount(labels, minlength=len(classes))
    smallest = int(counts.argmin())
    return InputError(
        f"data.name: class {classes[smallest]!r} of {config.name} has {counts[smallest]} of {len(labels)} "
        "pictures, too few to be in every split; add pictures, or raise data.validation and data.test"
    )
