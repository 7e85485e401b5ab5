"""A data set as training sees it: batches of uint8 images of any size from pixels that were decoded once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize as torchvision_resize

from scaler.data.pictures import BadPictureError
from scaler.data.pixels import Pixels
from scaler.data.stores import Pictures
from scaler.errors import WorkError

INTERPOLATION = "bicubic"
"""How images are resized, in timm's word: the fast path here and timm's eval transform use the same."""

_KEPT_ON_CPU = 512 * 2**20
_BLOCK = 64 * 2**20


class Split:
    """Images with labels; `labels` is int64 (n,) on the CPU.

    It pickles small: what has been resized for one process is not sent to another.
    """

    def __init__(self, pictures: Pictures, labels: torch.Tensor, pixels: Pixels) -> None:
        self.labels = labels
        self._pictures = pictures
        self._pixels = pixels
        self._kept: tuple[int, torch.device, torch.Tensor | None, torch.Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, order: torch.Tensor | None, batch_size: int, side: int, device: torch.device
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """uint8 images (b, channels, side, side) and labels int64 (b,), both on `device`, in the given order.

        `order` is int64 (m,) on any device; None means as they lie. The last batch may be smaller. Batches are the
        caller's to change.
        """
        if order is None:
            order = torch.arange(len(self))
        if not len(order):
            return
        images, labels = self._resized(side, device)
        if images is None:
            order = order.cpu()
            for chosen, batch in zip(order.split(batch_size), self._pixels.batches(order, batch_size), strict=True):
                yield _resize(batch.to(device), side), labels.index_select(0, chosen.to(device))
        else:
            for chosen in order.to(device).split(batch_size):
                yield images.index_select(0, chosen), labels.index_select(0, chosen)

    def pictures(self) -> Iterator[Image.Image]:
        """The images in full size, upright, of mode L or RGB, as timm's own transform is to read them."""
        channels = self._pixels.shape[1]
        for index in range(len(self)):
            try:
                yield self._pictures.open(index, channels)
            except BadPictureError as error:
                name = self._pictures.name(index)
                raise WorkError(
                    f"{name} can no longer be read ({error}); put it back, or start again without it"
                ) from None

    def _resized(self, side: int, device: torch.device) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The whole split at `side` on `device` (None if it is too much to keep) and its labels there.

        Kept for the side and device last asked for.
        """
        if self._kept is None or self._kept[:2] != (side, device):
            self._kept = None
            count, channels, stored, _ = self._pixels.shape
            images = None
            if count * channels * side * side <= _room(device):
                images = torch.empty((count, channels, side, side), dtype=torch.uint8, device=device)
                batch_size = max(1, _BLOCK // (channels * max(side, stored) ** 2))
                done = 0
                for batch in self._pixels.batches(torch.arange(count), batch_size):
                    images[done : done + len(batch)] = _resize(batch.to(device), side)
                    done += len(batch)
            self._kept = side, device, images, self.labels.to(device)
        return self._kept[2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set, split, with what is measured on its training split.

    mean, std   per channel, of pixel values from 0 to 1
    resolution  side, in pixels, of the root network's input
    flip        whether a mirrored image is still of its class
    skipped     files that could not be read, each with the reason; they are in no split
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
    skipped: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return len(self.mean)


def _room(device: torch.device) -> int:
    """Bytes that a split may keep on a device."""
    return torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else _KEPT_ON_CPU


def _resize(images: torch.Tensor, side: int) -> torch.Tensor:
    """uint8 images at `side`, with antialiasing as PIL does it (off the CPU through floats, rounded and clamped)."""
    if images.shape[-1] == side:
        return images
    resized: torch.Tensor = torchvision_resize(images, [side, side], InterpolationMode.BICUBIC, antialias=True)
    return resized
