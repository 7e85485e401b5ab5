"""VGG: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556.

As timm builds it: the fully connected layers are convolutions over the last map. Where that map is larger than
`head_map`, timm's network slides its head over it; here it is pooled to `head_map` first, so that the head's cost does
not grow with the resolution. Where it is smaller, both pool it up. At the published resolution neither happens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from scaler import cost
from scaler.architecture import Architecture
from scaler.cost import Block, Int, Layer
from scaler.errors import InputError, unknown

KERNELS = ("stack", "single")
NORMALISATIONS = ("none", "batch")
_STAGES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class VGG(Architecture):
    """Five stages of 3×3 convolutions and three fully connected layers.

    depths         3×3 convolutions in each stage
    widths         channels of each stage, then the outputs of the two hidden fully connected layers
    kernel         stack (a stage of depth n is n 3×3 convolutions) or single (it is one convolution of the same
                   receptive field, 2n + 1 pixels square: argued in the paper's section 2.3 and compared in 4.1)
    normalisation  none (as published) or batch (after every convolution)
    pools          how many stages, from the first on, end in a 2×2 max pooling of stride 2: all 5 as published, fewer
                   for small images
    head_map       side of the map that enters the first fully connected layer, pixels
    """

    kernel: str = "stack"
    normalisation: str = "none"
    pools: int = _STAGES
    head_map: int = 7
    dropout: float = 0.5

    family: ClassVar[str] = "vgg"

    @property
    def stages(self) -> int:
        return _STAGES

    @property
    def width_names(self) -> tuple[str, ...]:
        return (*(f"stage{stage + 1}" for stage in range(self.stages)), "head")

    @property
    def min_resolution(self) -> int:
        # Each pooling halves, rounding down, and needs 2 pixels.
        return 1 << self.pools

    @property
    def last_side(self) -> int:
        """Side of the map after the last stage, pixels."""
        return self.resolution >> self.pools

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise unknown("kernel", self.kernel, KERNELS)
        if self.normalisation not in NORMALISATIONS:
            raise unknown("normalisation", self.normalisation, NORMALISATIONS)
        for field, value, limit in (("pools", self.pools, _STAGES), ("head_map", self.head_map, None)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1 or (limit and value > limit):
                extent = f"from 1 to {limit}" if limit else "of at least 1"
                raise InputError(f"{field}: {value!r} is not a whole number {extent}")
        Architecture.__post_init__(self)

    def blocks(self, depths: Sequence[Int], widths: Sequence[Int], resolution: Int) -> Iterator[Block]:
        *channels, hidden = widths
        # A convolution, its norm and its activation lie one after the other in `features`.
        step = 3 if self.normalisation == "batch" else 2
        c_in: Int = self.in_channels
        side, entry = resolution, 0
        for stage, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            if self.kernel == "single":
                yield Block("features", self._convolution(c_in, width, side, 2 * depth + 1), first=entry, step=step)
                entry = entry + step
            else:
                yield Block("features", self._convolution(c_in, width, side, 3), first=entry, step=step)
                layers = self._convolution(width, width, side, 3)
                yield Block("features", layers, repeat=depth - 1, first=entry + step, step=step)
                entry = entry + depth * step
            if stage < self.pools:
                pool = cost.pool("0", width, side, kernel=2, stride=2)
                yield Block("features", (pool,), first=entry, step=1)
                side, entry = pool.side, entry + 1
            c_in = width
        adapted = cost.adaptive_pool("pool", c_in, self.head_map)
        yield Block("pre_logits", (adapted,), repeat=(side != self.head_map) * 1)
        fc1 = cost.conv("fc1", c_in, hidden, self.head_map, kernel=self.head_map, padding=0, bias=True)
        yield Block("pre_logits", (fc1, cost.conv("fc2", hidden, hidden, 1, kernel=1, bias=True)))
        yield Block("head", (cost.linear("fc", hidden, self.num_classes),))

    def _convolution(self, c_in: Int, c_out: Int, side: Int, kernel: Int) -> tuple[Layer, ...]:
        conv = cost.conv("0", c_in, c_out, side, kernel=kernel, bias=True)
        return (conv, cost.norm("1", c_out, side)) if self.normalisation == "batch" else (conv,)


def _classic(normalisation: str, *depths: int) -> VGG:
    widths = (64, 128, 256, 512, 512, 4096)
    return VGG(depths=depths, widths=widths, resolution=224, normalisation=normalisation)


CLASSICS = {
    "vgg11": _classic("none", 1, 1, 2, 2, 2),
    "vgg11_bn": _classic("batch", 1, 1, 2, 2, 2),
    "vgg13": _classic("none", 2, 2, 2, 2, 2),
    "vgg13_bn": _classic("batch", 2, 2, 2, 2, 2),
    "vgg16": _classic("none", 2, 2, 3, 3, 3),
    "vgg16_bn": _classic("batch", 2, 2, 3, 3, 3),
    "vgg19": _classic("none", 2, 2, 4, 4, 4),
    "vgg19_bn": _classic("batch", 2, 2, 4, 4, 4),
}
