"""EfficientNet: Tan and Le, "Rethinking Model Scaling for Convolutional Neural Networks", arXiv 1905.11946.

As timm builds it: convolutions pad symmetrically, which gives the same sides, and so the same cost, as the "same"
padding of the published network. B1 to B7 are B0 with the published multipliers, under the rounding of the paper's
reference implementation: depths up, widths to multiples of 8.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scaler import cost, tracing
from scaler.architecture import Architecture
from scaler.cost import Block, Int, Layer
from scaler.errors import InputError
from scaler.rounding import FloatArray, IntArray, round_channels

STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Stride of the first block in each stage."""

_DIVISOR = 8
_NOISE = 1e-6  # a depth this little above a whole number is meant to be that number


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNet(Architecture):
    """Seven stages of inverted bottlenecks with squeeze and excitation.

    widths       channels of the stem, of the blocks' output in each stage, and of the last 1×1 convolution
    kernels      side of the depthwise convolutions in each stage, odd
    expansions   depthwise channels over a block's input channels in each stage; 1 leaves the expanding convolution out
    se_ratios    squeezed channels over a block's input channels in each stage; 0 leaves squeeze and excitation out
    stem_stride  2, or 1 for small images
    """

    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    expansions: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    se_ratios: tuple[float, ...] = (0.25,) * 7
    stem_stride: int = 2
    activation: str = "silu"
    dropout: float = 0.2

    family: ClassVar[str] = "efficientnet"
    has_residual_blocks: ClassVar[bool] = True

    @property
    def stages(self) -> int:
        return len(STRIDES)

    @property
    def width_names(self) -> tuple[str, ...]:
        return ("stem", *(f"blocks.{stage}" for stage in range(self.stages)), "head")

    @property
    def min_resolution(self) -> int:
        # The last stride needs at least 2 pixels; every stride before it halves, rounding up.
        return (self.stem_stride << STRIDES.count(2) - 1) + 1

    def __post_init__(self) -> None:
        for field in ("kernels", "expansions", "se_ratios"):
            values = tuple(getattr(self, field))
            object.__setattr__(self, field, values)
            if len(values) != self.stages:
                raise InputError(
                    f"{field}: {list(values)} has {len(values)} numbers; {self.family} needs {self.stages}"
                )
        for kernel in self.kernels:
            if not _is_int(kernel) or kernel < 3 or kernel % 2 == 0:
                raise InputError(f"kernels: {kernel!r} is no side of a convolution here; give an odd number from 3")
        for expansion in self.expansions:
            if not _is_int(expansion) or expansion < 1:
                raise InputError(f"expansions: {expansion!r} is not a whole number of at least 1")
        for ratio in self.se_ratios:
            if not (_is_int(ratio) or isinstance(ratio, float)) or not 0 <= ratio <= 1:
                raise InputError(f"se_ratios: {ratio!r} is no ratio; give a number from 0 to 1")
        # One spelling of each number, so that equal networks have equal digests.
        object.__setattr__(self, "se_ratios", tuple(float(ratio) for ratio in self.se_ratios))
        if not _is_int(self.stem_stride) or self.stem_stride not in (1, 2):
            raise InputError(f"stem_stride: {self.stem_stride!r} is neither 2 nor 1")
        Architecture.__post_init__(self)

    @classmethod
    def round_depths(cls, depths: FloatArray) -> IntArray:
        """Up, as published; what is above a whole number by rounding error alone adds no block."""
        return np.maximum(np.ceil(depths - _NOISE).astype(np.int64), 1)

    @classmethod
    def round_widths(cls, widths: FloatArray) -> IntArray:
        """Multiples of 8, as published."""
        return round_channels(widths, _DIVISOR)

    @classmethod
    def width_step(cls, widths: IntArray) -> IntArray:
        return np.full_like(widths, _DIVISOR)

    def blocks(self, depths: Sequence[Int], widths: Sequence[Int], resolution: Int) -> Iterator[Block]:
        channels, *stage_widths, head = widths
        stem = cost.conv("conv_stem", self.in_channels, channels, resolution, kernel=3, stride=self.stem_stride)
        yield Block("", (stem, cost.norm("bn1", channels, stem.side)))
        side = stem.side
        for stage, (depth, width) in enumerate(zip(depths, stage_widths, strict=True)):
            layers = self._block(stage, channels, width, side, STRIDES[stage])
            yield Block(f"blocks.{stage}", layers, first=0)
            channels, side = width, layers[-1].side
            yield Block(f"blocks.{stage}", self._block(stage, width, width, side, 1), repeat=depth - 1, first=1)
        conv_head = cost.conv("conv_head", channels, head, side, kernel=1)
        yield Block("", (conv_head, cost.norm("bn2", head, side), cost.linear("classifier", head, self.num_classes)))

    def _block(self, stage: int, c_in: Int, c_out: Int, side: Int, stride: int) -> tuple[Layer, ...]:
        kernel, expansion, ratio = self.kernels[stage], self.expansions[stage], self.se_ratios[stage]
        if expansion == 1:
            depthwise = cost.conv("conv_dw", c_in, c_in, side, kernel=kernel, stride=stride, groups=c_in)
            side = depthwise.side
            return (
                depthwise,
                cost.norm("bn1", c_in, side),
                *_squeeze_excite(c_in, ratio),
                cost.conv("conv_pw", c_in, c_out, side, kernel=1),
                cost.norm("bn2", c_out, side),
            )
        middle = _expanded(c_in, expansion)
        depthwise = cost.conv("conv_dw", middle, middle, side, kernel=kernel, stride=stride, groups=middle)
        return (
            cost.conv("conv_pw", c_in, middle, side, kernel=1),
            cost.norm("bn1", middle, side),
            depthwise,
            cost.norm("bn2", middle, depthwise.side),
            *_squeeze_excite(middle, ratio / expansion),
            cost.conv("conv_pwl", middle, c_out, depthwise.side, kernel=1),
            cost.norm("bn3", c_out, depthwise.side),
        )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _expanded(c_in: Int, expansion: int) -> Int:
    """`round_channels` of the product, in whole numbers; the multiples of 8 themselves where `c_in` is one."""
    channels = c_in * expansion
    rounded = (channels + _DIVISOR // 2) // _DIVISOR * _DIVISOR
    return rounded + (10 * rounded < 9 * channels) * _DIVISOR


def _squeeze_excite(channels: Int, ratio: float) -> tuple[Layer, ...]:
    """The two 1×1 convolutions over the pooled map of `channels`, squeezed to `ratio` of them, at least 1."""
    if ratio == 0:
        return ()
    squeezed = tracing.apply(_squeezed, channels, ratio)
    return (
        cost.conv("se.conv_reduce", channels, squeezed, 1, kernel=1, bias=True),
        cost.conv("se.conv_expand", squeezed, channels, 1, kernel=1, bias=True),
    )


def _squeezed(channels: Int, ratio: float) -> Int:
    """The float product and its rounding, half to even, are timm's, to the last bit."""
    product = channels * ratio
    if isinstance(product, float):
        return max(1, round(product))
    return np.maximum(np.rint(product), 1).astype(np.int64)


_B0 = EfficientNet(
    depths=(1, 2, 2, 3, 3, 4, 1), widths=(32, 16, 24, 40, 80, 112, 192, 320, 1280), resolution=224, dropout=0.2
)


def _classic(width: float, depth: float, resolution: int, dropout: float) -> EfficientNet:
    return _B0.scaled(depth=depth, width=width).replace(resolution=resolution, dropout=dropout)


# The multipliers of width and depth, the resolution and the dropout of the paper's reference implementation.
CLASSICS = {
    "efficientnet_b0": _B0,
    "efficientnet_b1": _classic(1.0, 1.1, 240, 0.2),
    "efficientnet_b2": _classic(1.1, 1.2, 260, 0.3),
    "efficientnet_b3": _classic(1.2, 1.4, 300, 0.3),
    "efficientnet_b4": _classic(1.4, 1.8, 380, 0.4),
    "efficientnet_b5": _classic(1.6, 2.2, 456, 0.4),
    "efficientnet_b6": _classic(1.8, 2.6, 528, 0.5),
    "efficientnet_b7": _classic(2.0, 3.1, 600, 0.5),
}
