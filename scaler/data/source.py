"""A data set before it is decoded: its classes, splits and shape, from names and headers alone."""

import statistics
from dataclasses import dataclass

import numpy as np

from scaler.data.config import FOLDER, DataConfig
from scaler.data.folders import open_folder
from scaler.data.named import open_named
from scaler.data.pictures import BadPictureError
from scaler.data.splitting import Part, complete
from scaler.data.stores import ArrayPictures, Pictures, digits
from scaler.errors import InputError

_SAMPLE = 256
_NOT_MIRRORED = ("digits", "torch/mnist", "torch/kmnist", "torch/qmnist")
_LARGEST_DEFAULT = 224


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set, listed and split; nothing is decoded.

    channels    1 (grey) or 3 (colour)
    resolution  side, in pixels, of the root network's input
    flip        whether a mirrored image is still of its class
    """

    config: DataConfig
    classes: tuple[str, ...]
    channels: int
    resolution: int
    flip: bool
    train: Part
    validation: Part
    test: Part

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.config.name


def open_source(config: DataConfig) -> Source:
    """The data set that a config names; equal configs give equal splits.

    Channels and resolution, where the config leaves them open, come from the headers of a sample of the training
    pictures: grey if all of them are, and the median of their shorter sides (8 to 224, in multiples of 4). Raises
    `InputError` if the data set is not there or cannot be split.
    """
    if config.name == "digits":
        _, labels, classes = digits()
        given = {"train": Part(ArrayPictures(np.arange(len(labels))), labels)}
    elif config.name.startswith(FOLDER):
        classes, given = open_folder(config)
    else:
        classes, given = open_named(config)
    parts = complete(given, classes, config)
    sizes = sample_sizes(parts["train"].pictures)
    if not sizes:
        raise InputError(
            f"data.name: none of {min(_SAMPLE, len(parts['train'].labels))} pictures of {config.name} can be read; "
            "check that they are pictures"
        )
    median = statistics.median(min(width, height) for width, height, _ in sizes)
    natural = 32 if config.name == "digits" else max(8, round(min(median, _LARGEST_DEFAULT) / 4) * 4)
    return Source(
        config=config,
        classes=classes,
        channels=config.channels or max(channels for _, _, channels in sizes),
        resolution=config.resolution or natural,
        flip=config.name not in _NOT_MIRRORED,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
    )


def sample_sizes(pictures: Pictures) -> list[tuple[int, int, int]]:
    """Width, height and channels of some hundred pictures, evenly spread; those that cannot be read are left out."""
    found = []
    for index in np.unique(np.linspace(0, len(pictures) - 1, _SAMPLE).astype(int)).tolist():
        try:
            found.append(pictures.size(index))
        except BadPictureError:
            continue
    return found
