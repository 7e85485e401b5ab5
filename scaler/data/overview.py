"""What a data set holds, in figures: classes, splits, balance, sizes, pixel statistics, files that cannot be read."""

import statistics
from collections import Counter
from dataclasses import dataclass

import numpy as np

from scaler.data.dataset import Dataset
from scaler.data.source import Source, sample_sizes
from scaler.data.splitting import SPLITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large the pictures are: of `sampled` pictures, evenly spread over the splits, in pixels.

    grey           how many of them are grey
    width, height  smallest, median and largest
    shorter_side   how many pictures have a shorter side of from (inclusive) to (exclusive) so many pixels, by octaves
    """

    sampled: int
    grey: int
    width: tuple[int, float, int]
    height: tuple[int, float, int]
    shorter_side: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A data set in figures.

    counts      pictures of each class in each split, in the order of `classes`
    imbalance   pictures of the largest class for each one of the smallest
    mean, std   per channel over the training split, of pixel values from 0 to 1
    resolution  side, in pixels, of the root network's input
    flip        whether a mirrored picture is still of its class
    skipped     files that cannot be read, each with the reason; they are in no count
    """

    name: str
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    imbalance: float
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resolution: int
    flip: bool
    sizes: Sizes
    skipped: tuple[str, ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """Pictures of each class over all splits."""
        return tuple(sum(column) for column in zip(*self.counts.values(), strict=True))


def overview(source: Source, data: Dataset) -> Overview:
    """The figures of a data set, from its listing and its decoded form."""
    counts = {
        name: tuple(np.bincount(getattr(data, name).labels.numpy(), minlength=len(data.classes)).tolist())
        for name in SPLITS
    }
    totals = [sum(column) for column in zip(*counts.values(), strict=True)]
    return Overview(
        name=data.name,
        classes=data.classes,
        counts=counts,
        imbalance=max(totals) / min(totals),  # every class has a picture in every split
        channels=data.channels,
        mean=data.mean,
        std=data.std,
        resolution=data.resolution,
        flip=data.flip,
        sizes=_sizes(source),
        skipped=data.skipped,
    )


def _sizes(source: Source) -> Sizes:
    found = [size for name in SPLITS for size in sample_sizes(getattr(source, name).pictures)]
    widths, heights, channels = zip(*found, strict=True)
    octaves = Counter(min(width, height).bit_length() - 1 for width, height, _ in found)
    return Sizes(
        sampled=len(found),
        grey=channels.count(1),
        width=(min(widths), statistics.median(widths), max(widths)),
        height=(min(heights), statistics.median(heights), max(heights)),
        shorter_side=tuple((2**octave, 2 ** (octave + 1), octaves[octave]) for octave in sorted(octaves)),
    )
