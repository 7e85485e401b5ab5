"""Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", arXiv 1512.00567.

A classic to compare with, as timm and torchvision build it (without the auxiliary head): its modules differ in kind
from stage to stage, so there is no rule that scales it, and none here. The resolution may vary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from scaler import cost
from scaler.architecture import Architecture
from scaler.cost import Block, Cost, Int, Layer
from scaler.errors import InputError
from scaler.rounding import FloatArray, IntArray

_DEPTHS = (3, 5, 3)
_WIDTHS = (192, 288, 768, 2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class InceptionV3(Architecture):
    """Inception v3, whose depths and widths are the published ones.

    depths  modules named Mixed_5, Mixed_6 and Mixed_7
    widths  channels of the output of the stem and of each of these stages
    """

    family: ClassVar[str] = "inception_v3"

    @property
    def stages(self) -> int:
        return len(_DEPTHS)

    @property
    def width_names(self) -> tuple[str, ...]:
        return ("stem", "Mixed_5", "Mixed_6", "Mixed_7")

    @property
    def min_resolution(self) -> int:
        # The last stride's window is 3 pixels, and nothing before it pads.
        return 75

    def __post_init__(self) -> None:
        Architecture.__post_init__(self)
        for field, published in (("depths", _DEPTHS), ("widths", _WIDTHS)):
            if getattr(self, field) != published:
                raise _fixed(field, getattr(self, field))

    @classmethod
    def round_depths(cls, depths: FloatArray) -> IntArray:
        """Raises `InputError`: nothing but the published network exists."""
        raise _fixed("depths", "scaling")

    @classmethod
    def round_widths(cls, widths: FloatArray) -> IntArray:
        """Raises `InputError`: nothing but the published network exists."""
        raise _fixed("widths", "scaling")

    @classmethod
    def width_step(cls, widths: IntArray) -> IntArray:
        """Raises `InputError`: nothing but the published network exists."""
        raise _fixed("widths", "scaling")

    def blocks(self, depths: Sequence[Int], widths: Sequence[Int], resolution: Int) -> Iterator[Block]:
        layers, side = _stem(self.in_channels, resolution)
        yield Block("", layers)
        channels = widths[0]
        for letter, projection in zip("bcd", (32, 64, 64), strict=True):
            yield Block(f"Mixed_5{letter}", _module_a(channels, side, projection))
            channels = 64 + 64 + 96 + projection
        yield Block("Mixed_6a", layers := _module_b(channels, side))
        channels, side = widths[2], layers[-1].side
        for letter, inner in zip("bcde", (128, 160, 160, 192), strict=True):
            yield Block(f"Mixed_6{letter}", _module_c(channels, side, inner))
        yield Block("Mixed_7a", layers := _module_d(channels, side))
        channels, side = 320 + 192 + channels, layers[-1].side
        for letter in "bc":
            yield Block(f"Mixed_7{letter}", _module_e(channels, side))
            channels = widths[3]
        yield Block("", (cost.linear("fc", channels, self.num_classes),))


_Conv = tuple[str, int, int, int]
"""Name, output channels, height and width of the kernel."""


def _chain(c_in: Int, side: Int, *convs: _Conv, stride: int = 1, padded: bool = True) -> tuple[Layer, ...]:
    """Convolutions in a row, with batch normalisation; `stride` and `padded` say how the last one goes."""
    layers: list[Layer] = []
    for index, (name, c_out, height, width) in enumerate(convs, start=1):
        weights = height * width * c_in * c_out
        if index == len(convs):
            kernel = max(height, width)
            side = cost.conv_side(side, kernel, stride, kernel // 2 if padded else 0)
        area = side * side
        layers.append(Layer(f"{name}.conv", "conv", c_out, side, Cost(weights * area, weights, c_out * area)))
        layers.append(cost.norm(f"{name}.bn", c_out, side))
        c_in = c_out
    return tuple(layers)


def _stem(in_channels: int, side: Int) -> tuple[tuple[Layer, ...], Int]:
    """The layers before the first module and the side that they leave."""
    layers = list(_chain(in_channels, side, ("Conv2d_1a_3x3", 32, 3, 3), stride=2, padded=False))
    layers += _chain(32, layers[-1].side, ("Conv2d_2a_3x3", 32, 3, 3), padded=False)
    layers += _chain(32, layers[-1].side, ("Conv2d_2b_3x3", 64, 3, 3))
    layers.append(cost.pool("Pool1", 64, layers[-1].side, kernel=3, stride=2))
    layers += _chain(64, layers[-1].side, ("Conv2d_3b_1x1", 80, 1, 1))
    layers += _chain(80, layers[-1].side, ("Conv2d_4a_3x3", 192, 3, 3), padded=False)
    layers.append(cost.pool("Pool2", 192, layers[-1].side, kernel=3, stride=2))
    return tuple(layers), layers[-1].side


def _module_a(c_in: Int, side: Int, projection: int) -> tuple[Layer, ...]:
    return (
        *_chain(c_in, side, ("branch1x1", 64, 1, 1)),
        *_chain(c_in, side, ("branch5x5_1", 48, 1, 1), ("branch5x5_2", 64, 5, 5)),
        *_chain(
            c_in,
            side,
            ("branch3x3dbl_1", 64, 1, 1),
            ("branch3x3dbl_2", 96, 3, 3),
            ("branch3x3dbl_3", 96, 3, 3),
        ),
        *_pool_branch(c_in, side, projection),
    )


def _module_b(c_in: Int, side: Int) -> tuple[Layer, ...]:
    dbl = (("branch3x3dbl_1", 64, 1, 1), ("branch3x3dbl_2", 96, 3, 3), ("branch3x3dbl_3", 96, 3, 3))
    return (
        *_chain(c_in, side, ("branch3x3", 384, 3, 3), stride=2, padded=False),
        *_chain(c_in, side, *dbl, stride=2, padded=False),
        cost.pool("max_pool", c_in, side, kernel=3, stride=2),
    )


def _module_c(c_in: Int, side: Int, inner: int) -> tuple[Layer, ...]:
    return (
        *_chain(c_in, side, ("branch1x1", 192, 1, 1)),
        *_chain(c_in, side, ("branch7x7_1", inner, 1, 1), ("branch7x7_2", inner, 1, 7), ("branch7x7_3", 192, 7, 1)),
        *_chain(
            c_in,
            side,
            ("branch7x7dbl_1", inner, 1, 1),
            ("branch7x7dbl_2", inner, 7, 1),
            ("branch7x7dbl_3", inner, 1, 7),
            ("branch7x7dbl_4", inner, 7, 1),
            ("branch7x7dbl_5", 192, 1, 7),
        ),
        *_pool_branch(c_in, side, 192),
    )


def _module_d(c_in: Int, side: Int) -> tuple[Layer, ...]:
    narrow = (("branch7x7x3_1", 192, 1, 1), ("branch7x7x3_2", 192, 1, 7), ("branch7x7x3_3", 192, 7, 1))
    return (
        *_chain(c_in, side, ("branch3x3_1", 192, 1, 1), ("branch3x3_2", 320, 3, 3), stride=2, padded=False),
        *_chain(c_in, side, *narrow, ("branch7x7x3_4", 192, 3, 3), stride=2, padded=False),
        cost.pool("max_pool", c_in, side, kernel=3, stride=2),
    )


def _module_e(c_in: Int, side: Int) -> tuple[Layer, ...]:
    # The two last convolutions of a branch stand side by side; their input has as many channels as their outputs each.
    return (
        *_chain(c_in, side, ("branch1x1", 320, 1, 1)),
        *_chain(c_in, side, ("branch3x3_1", 384, 1, 1), ("branch3x3_2a", 384, 1, 3), ("branch3x3_2b", 384, 3, 1)),
        *_chain(
            c_in,
            side,
            ("branch3x3dbl_1", 448, 1, 1),
            ("branch3x3dbl_2", 384, 3, 3),
            ("branch3x3dbl_3a", 384, 1, 3),
            ("branch3x3dbl_3b", 384, 3, 1),
        ),
        *_pool_branch(c_in, side, 192),
    )


def _pool_branch(c_in: Int, side: Int, projection: int) -> tuple[Layer, ...]:
    pool = cost.pool("avg_pool", c_in, side, kernel=3, stride=1, padding=1)
    return (pool, *_chain(c_in, side, ("branch_pool", projection, 1, 1)))


def _fixed(field: str, value: object) -> InputError:
    return InputError(f"{field}: inception_v3 is a fixed classic and takes no {value}; scale googlenet instead")


CLASSICS = {"inception_v3": InceptionV3(depths=_DEPTHS, widths=_WIDTHS, resolution=299)}
