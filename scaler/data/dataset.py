"""Data sets as uint8 tensors in memory: stratified splits, resizing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize as torchvision_resize

from scaler.data.config import DataConfig

INTERPOLATION = "bicubic"
"""How images are resized, in timm's word: the fast path here and timm's eval transform use the same."""


@dataclass(frozen=True, slots=True)
class Split:
    """`images` is uint8 (n, channels, side, side) at the data's own size, `labels` int64 (n,)."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def resized(self, side: int) -> torch.Tensor:
        """The images as uint8 (n, channels, side, side), resized with antialiasing as PIL does it."""
        if self.images.shape[-1] == side:
            return self.images
        resized: torch.Tensor = torchvision_resize(self.images, [side, side], InterpolationMode.BICUBIC, antialias=True)
        return resized

    def pil_images(self) -> list[Image.Image]:
        """The images as a user of the exported network has them."""
        arrays = self.images.permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array) for array in arrays]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set, split, with what is measured on its training split.

    mean, std   per channel, of pixel values from 0 to 1
    resolution  side, in pixels, of the root network's input
    flip        whether a mirrored image is still of its class
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution: int
    flip: bool

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return len(self.mean)


@dataclass(frozen=True, slots=True)
class _Source:
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    resolution: int
    flip: bool


def _digits() -> _Source:
    """1,797 handwritten digits of 8 × 8 grey pixels, shipped with scikit-learn (UCI Optical Recognition)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    classes = tuple(str(name) for name in digits.target_names)
    return _Source(images, digits.target.astype(np.int64), classes, resolution=32, flip=False)


_SOURCES: dict[str, Callable[[], _Source]] = {"digits": _digits}


def load_data(config: DataConfig) -> Dataset:
    """The data set that the config names, split; equal configs give equal splits."""
    from sklearn.model_selection import train_test_split

    source = _SOURCES[config.name]()
    rest, test = train_test_split(
        np.arange(len(source.labels)), test_size=config.test, stratify=source.labels, random_state=config.seed
    )
    train, validation = train_test_split(
        rest,
        test_size=config.validation / (1 - config.test),
        stratify=source.labels[rest],
        random_state=config.seed,
    )
    splits = [
        Split(torch.from_numpy(source.images[indices]), torch.from_numpy(source.labels[indices]))
        for indices in (train, validation, test)
    ]
    pixels = splits[0].images.double() / 255
    return Dataset(
        name=config.name,
        classes=source.classes,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        mean=tuple(pixels.mean(dim=(0, 2, 3)).tolist()),
        std=tuple(pixels.std(dim=(0, 2, 3)).tolist()),
        resolution=config.resolution or source.resolution,
        flip=source.flip,
    )
