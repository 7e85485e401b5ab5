"""Which images a study trains on."""

import os
from dataclasses import dataclass
from pathlib import Path

from scaler.cache_folder import cache_folder
from scaler.cores import available_cores
from scaler.errors import InputError, nearest, unknown

BUILT_IN = ("digits",)
"""Data sets that come with a package which scaler needs anyway."""

FOLDER = "folder:"
"""What a name starts with that is a folder of pictures."""

TORCH = (
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "image_folder",
    "imagenet",
    "inaturalist",
    "kmnist",
    "mnist",
    "places365",
    "qmnist",
)
"""What `timm.data.create_dataset` knows under torch/."""

READERS = ("hfds", "wds")
"""timm's readers that take any name: Hugging Face data sets and WebDataset shards."""

BAD_IMAGES = ("error", "skip")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which images, how they are split, and where their decoded copy is kept.

    name         digits; folder:PATH; or a name of timm's: torch/NAME, hfds/NAME, wds/NAME
    root         folder that PATH is relative to, or in which timm's data set lies
    resolution   side, in pixels, of the root network's input; by default what suits the data set
    channels     1 (grey) or 3 (colour); by default 1 if every picture is grey
    validation   share of the images that the search selects on, where the data set does not say
    test         share of the images that only `scaler confirm` looks at, where the data set does not say
    seed         seed of the stratified split
    bad_images   what to do about files that cannot be read: error, or skip them
    cache        folder for decoded images; by default scaler in $XDG_CACHE_HOME or ~/.cache
    cache_limit  largest decoded copy in GB (10⁹ bytes); a larger data set is decoded anew in every epoch
    workers      processes that decode; by default one a core

    Paths may start with ~. They are made absolute here, so that a study's resolved copy works from elsewhere: a
    folder: PATH without a root, from the current folder; with a root it is left as it is, so that moving the data
    changes the root alone, which is no part of a study's question.
    """

    name: str
    root: str | None = None
    resolution: int | None = None
    channels: int | None = None
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    bad_images: str = "error"
    cache: str | None = None
    cache_limit: float = 32.0
    workers: int | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        for field in ("validation", "test"):
            if not 0 < getattr(self, field) < 0.5:
                raise InputError(f"data.{field}: {getattr(self, field)} is no share of the images; give 0.05 to 0.45")
        if self.resolution is not None and not 8 <= self.resolution <= 4096:
            raise InputError(f"data.resolution: {self.resolution} is no side of an image; give 8 to 4096 pixels")
        if self.channels not in (None, 1, 3):
            raise InputError(f"data.channels: {self.channels} is neither 1 (grey) nor 3 (colour); give one of them")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"data.seed: {self.seed} is out of range; give 0 to 4294967295")
        if self.bad_images not in BAD_IMAGES:
            raise unknown("data.bad_images", self.bad_images, BAD_IMAGES)
        if not self.cache_limit >= 0:
            raise InputError(f"data.cache_limit: {self.cache_limit} is no size; give gigabytes, e.g. 32")
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise InputError(f"data.workers: {self.workers} is no number of processes; give at least 1")
        for field in ("root", "cache"):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, os.path.abspath(_home(field, getattr(self, field))))
        if self.name.startswith(FOLDER):
            path = _home("name", self.name.removeprefix(FOLDER))
            object.__setattr__(self, "name", FOLDER + (os.path.abspath(path) if self.root is None else path))

    @property
    def folder(self) -> Path:
        """The folder of a folder: data set."""
        return Path(self.root or "/") / self.name.removeprefix(FOLDER)

    @property
    def cache_folder(self) -> Path:
        """Where decoded images are kept."""
        return cache_folder() if self.cache is None else Path(self.cache)

    @property
    def processes(self) -> int:
        """How many processes decode."""
        return self.workers or available_cores()


def _home(field: str, path: str) -> str:
    if not path:
        raise InputError(f"data.{field}: the path is empty; name a folder")
    return os.path.expanduser(path)


def _check_name(name: str) -> None:
    if name in BUILT_IN or name.startswith(FOLDER):
        return
    prefix, slash, rest = name.partition("/")
    if slash and prefix in READERS and rest:
        return
    if slash and prefix == "torch":
        if rest not in TORCH:
            raise unknown("data.name", name, [f"torch/{known}" for known in TORCH])
        return
    if slash and prefix in ("hfids", "tfds"):
        raise InputError(f"data.name: {name!r} can only be read from front to back; use hfds/{rest} or folder:PATH")
    known = [*BUILT_IN, *(f"torch/{known}" for known in TORCH)]
    remedy = "give digits, folder:PATH, or a name of timm's: torch/NAME, hfds/NAME or wds/NAME"
    raise InputError(f"data.name: {name!r} is unknown{nearest(name, known)}; {remedy}")
