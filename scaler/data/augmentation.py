"""Augmentation of a batch on its device, drawn for every sample by itself.

All random numbers of a batch are drawn at once on the CPU (`Augmentation.draw`), then used (`Augmentation.apply`), so
that a batch is augmented in the same way however it is cut into micro-batches or spread over devices.
"""

import math
from dataclasses import dataclass, fields

import torch

from scaler.data.operations import erase, jitter, resized_crop, shift_and_mirror
from scaler.errors import InputError

_CROP_RATIO = (3 / 4, 4 / 3)
"""Aspect of resized crops, as in torchvision's `RandomResizedCrop`."""
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_RATIO = (0.3, 1 / 0.3)
"""Share of the area, and aspect, of what is erased, as in timm's `RandomErasing`."""
_ATTEMPTS = 10
"""How many rectangles are drawn, of which the first that fits into the image is taken; both libraries do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The random numbers of a batch, on the CPU, one row a sample; None where nothing was to be drawn.

    crop     int64 (n, 4): top, left, height, width of the part that is resized to the whole
    shift    int64 (n, 2): pixels by which the image moves up and to the left
    mirror   bool (n,)
    factors  float32 (n, 3): brightness, contrast, saturation; (n, 2) for grey images
    erased   int64 (n, 4): top, left, height, width; height 0 where nothing is erased
    """

    crop: torch.Tensor | None = None
    shift: torch.Tensor | None = None
    mirror: torch.Tensor | None = None
    factors: torch.Tensor | None = None
    erased: torch.Tensor | None = None

    def __getitem__(self, samples: slice) -> "Draws":
        """The draws of some of the samples."""
        rows = {field.name: getattr(self, field.name) for field in fields(self)}
        return Draws(**{name: None if drawn is None else drawn[samples] for name, drawn in rows.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to training images, in this order; by default nothing.

    resized_crop  a crop of at least this share of the area, of aspect 3/4 to 4/3, enlarged to the whole; 0 or 1: off
    shift         a shift by up to this share of the side, both ways and on both axes; the edge is filled with black
    flip          mirrors every other image, left to right
    color_jitter  strength s: factors from 1 - s to 1 + s on brightness, then contrast, then saturation (if in colour)
    erasing       probability that a rectangle of 2 % to 33 % of the area is filled with the image's mean colour
    """

    resized_crop: float = 0.0
    shift: float = 0.0
    flip: bool = False
    color_jitter: float = 0.0
    erasing: float = 0.0

    def __post_init__(self) -> None:
        for field, high in (("resized_crop", 1), ("shift", 0.5), ("color_jitter", 1), ("erasing", 1)):
            if not 0 <= getattr(self, field) <= high:
                raise InputError(f"recipe.{field}: {getattr(self, field)} is out of range; give 0 (off) to {high:g}")

    def draw(self, count: int, side: int, channels: int, generator: torch.Generator) -> Draws:
        """The random numbers for `count` images (channels, side, side), from a generator on the CPU."""
        crop = shift = mirror = factors = erased = None
        if 0 < self.resized_crop < 1:
            crop = _rectangles(count, side, side, (self.resized_crop, 1), _CROP_RATIO, generator)
            # torchvision falls back on the largest centred crop of an aspect in range, which in a square is all of it
            crop = torch.where(crop[:, 2:3] > 0, crop, torch.tensor([0, 0, side, side]))
        if pad := round(self.shift * side):
            shift = torch.randint(-pad, pad + 1, (count, 2), generator=generator)
        if self.flip:
            mirror = torch.rand(count, generator=generator) < 0.5
        if self.color_jitter:
            uniform = torch.rand(count, 3 if channels == 3 else 2, generator=generator)
            factors = 1 + self.color_jitter * (2 * uniform - 1)
        if self.erasing:
            chosen = torch.rand(count, 1, generator=generator) < self.erasing
            erased = _rectangles(count, side, side - 1, _ERASED_AREA, _ERASED_RATIO, generator) * chosen
        return Draws(crop=crop, shift=shift, mirror=mirror, factors=factors, erased=erased)

    @staticmethod
    def apply(images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """The images (n, channels, side, side), uint8 on any device, as the draws say.

        What comes out is uint8 too, or after colour jitter float32 from 0 to 255; the very input if nothing was drawn.
        """
        if draws.crop is not None:
            images = resized_crop(images, draws.crop)
        if draws.shift is not None or draws.mirror is not None:
            images = shift_and_mirror(images, draws.shift, draws.mirror)
        if draws.factors is not None:
            images = jitter(images, draws.factors)
        if draws.erased is not None:
            images = erase(images, draws.erased)
        return images


def _rectangles(
    count: int,
    side: int,
    largest: int,
    areas: tuple[float, float],
    ratios: tuple[float, float],
    generator: torch.Generator,
) -> torch.Tensor:
    """int64 (count, 4): top, left, height, width of rectangles in a square, at most `largest` pixels high and wide.

    `areas` are shares of the square's, drawn uniformly; `ratios` are of width / height, drawn uniformly on a log scale.
    Height is 0 where no attempt gave a rectangle that fits.
    """
    # float64: a float32 below 1, times a count of places, may be rounded up to one place too many
    uniform = torch.rand(count, _ATTEMPTS, 4, generator=generator, dtype=torch.float64)
    area = side**2 * (areas[0] + (areas[1] - areas[0]) * uniform[..., 0])
    low, high = math.log(ratios[0]), math.log(ratios[1])
    ratio = torch.exp(low + (high - low) * uniform[..., 1])
    sizes = torch.stack(((area / ratio).sqrt().round(), (area * ratio).sqrt().round()), dim=-1)
    fits = ((sizes > 0) & (sizes <= largest)).all(dim=-1, keepdim=True)
    corners = torch.floor(uniform[..., 2:] * (side - sizes + 1))
    first = fits.int().argmax(dim=1, keepdim=True).expand(count, 1, 4)
    return (torch.cat((corners, sizes), dim=-1) * fits).gather(1, first)[:, 0].long()
