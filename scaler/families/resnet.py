"""ResNet: He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385.

As timm builds it, which is the common variant with the stride in a bottleneck's 3×3 convolution. The published 7×7 stem
has 64 channels whatever the network's width (timm's class fixes them), so scaling leaves it alone; the deep stem, three
3×3 convolutions from He et al., "Bag of Tricks", arXiv 1812.01187, scales with the rest, and so does the single 3×3
convolution of the three-stage networks for CIFAR (section 4.2 of the paper).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from scaler import cost
from scaler.architecture import Architecture
from scaler.cost import Block, Int, Layer
from scaler.errors import InputError, unknown

BLOCKS = ("basic", "bottleneck")
STEMS = ("imagenet", "deep", "cifar")
SHORTCUTS = ("A", "B", "none")
_BOTTLENECK_EXPANSION = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNet(Architecture):
    """A residual network of three or four stages.

    widths    channels of the stem's output and of the 3×3 convolutions in each stage (a bottleneck puts out four times
              as many)
    block     basic (two 3×3 convolutions) or bottleneck (1×1, 3×3, 1×1)
    stem      imagenet (one 7×7 convolution of 64 channels), deep (three 3×3, the first two half as wide), both with
              stride 4, or cifar (one 3×3 with stride 1)
    shortcut  where a block changes the map's shape: A (every other pixel, channels padded with zeros, no parameters) or
              B (a 1×1 convolution), as the paper names them; none for a plain network, without any shortcut
    """

    block: str = "basic"
    stem: str = "imagenet"
    shortcut: str = "B"

    family: ClassVar[str] = "resnet"
    has_residual_blocks: ClassVar[bool] = True

    @property
    def stages(self) -> int:
        return len(self.depths)

    @property
    def width_names(self) -> tuple[str, ...]:
        return ("stem", *(f"layer{stage + 1}" for stage in range(self.stages)))

    @property
    def fixed_widths(self) -> tuple[int, ...]:
        return (0,) if self.stem == "imagenet" else ()

    @property
    def min_resolution(self) -> int:
        # The last stage's stride needs 2 pixels to work on; the strides before it halve the side, rounding up.
        return (1 << self.stages - (2 if self.stem == "cifar" else 0)) + 1

    @property
    def expansion(self) -> int:
        """Output channels of a block over the width of its 3×3 convolutions."""
        return _BOTTLENECK_EXPANSION if self.block == "bottleneck" else 1

    def __post_init__(self) -> None:
        if self.block not in BLOCKS:
            raise unknown("block", self.block, BLOCKS)
        if self.stem not in STEMS:
            raise unknown("stem", self.stem, STEMS)
        if self.shortcut not in SHORTCUTS:
            raise unknown("shortcut", self.shortcut, SHORTCUTS)
        if len(self.depths) not in (3, 4):
            raise InputError(f"depths: {list(self.depths)} has {len(self.depths)} numbers; {self.family} needs 3 or 4")
        Architecture.__post_init__(self)
        if self.stem == "imagenet" and self.widths[0] != 64:
            raise InputError(f"widths: the imagenet stem has 64 channels, not {self.widths[0]}; stem = 'deep' scales")
        if self.stem != "imagenet" and self.widths[0] % 2:  # timm's class doubles half of the channels
            raise InputError(f"widths: a {self.stem} stem of {self.widths[0]} channels is odd; give an even number")

    def blocks(self, depths: Sequence[Int], widths: Sequence[Int], resolution: Int) -> Iterator[Block]:
        stem = widths[0]
        if self.stem == "deep":
            half = stem // 2
            first = cost.conv("0", self.in_channels, half, resolution, kernel=3, stride=2)
            side = first.side
            yield Block(
                "conv1",
                (
                    first,
                    cost.norm("1", half, side),
                    cost.conv("3", half, half, side, kernel=3),
                    cost.norm("4", half, side),
                    cost.conv("6", half, stem, side, kernel=3),
                ),
            )
        else:
            kernel, stride = (3, 1) if self.stem == "cifar" else (7, 2)
            first = cost.conv("conv1", self.in_channels, stem, resolution, kernel=kernel, stride=stride)
            side = first.side
            yield Block("", (first,))
        yield Block("", (cost.norm("bn1", stem, side),))
        if self.stem != "cifar":
            maxpool = cost.pool("maxpool", stem, side, kernel=3, stride=2, padding=1)
            side = maxpool.side
            yield Block("", (maxpool,))

        channels = stem
        for stage, (depth, width) in enumerate(zip(depths, widths[1:], strict=True)):
            name, stride, c_out = f"layer{stage + 1}", 1 if stage == 0 else 2, width * self.expansion
            layers = self._residual_branch(channels, width, side, stride)
            yield Block(name, layers, first=0)
            if self.shortcut == "B":
                projection = cost.conv("0", channels, c_out, side, kernel=1, stride=stride)
                yield Block(
                    f"{name}.0.downsample",
                    (projection, cost.norm("1", c_out, projection.side)),
                    repeat=1 if stride != 1 else (channels != c_out) * 1,
                )
            channels, side = c_out, layers[-1].side
            yield Block(name, self._residual_branch(channels, width, side, 1), repeat=depth - 1, first=1)
        yield Block("", (cost.linear("fc", channels, self.num_classes),))

    def _residual_branch(self, c_in: Int, width: Int, side: Int, stride: int) -> tuple[Layer, ...]:
        if self.block == "basic":
            conv1 = cost.conv("conv1", c_in, width, side, kernel=3, stride=stride)
            conv2 = cost.conv("conv2", width, width, conv1.side, kernel=3)
            return (conv1, cost.norm("bn1", width, conv1.side), conv2, cost.norm("bn2", width, conv2.side))
        c_out = width * self.expansion
        conv1 = cost.conv("conv1", c_in, width, side, kernel=1)
        conv2 = cost.conv("conv2", width, width, side, kernel=3, stride=stride)
        conv3 = cost.conv("conv3", width, c_out, conv2.side, kernel=1)
        return (
            conv1,
            cost.norm("bn1", width, conv1.side),
            conv2,
            cost.norm("bn2", width, conv2.side),
            conv3,
            cost.norm("bn3", c_out, conv3.side),
        )


def _classic(block: str, *depths: int) -> ResNet:
    return ResNet(depths=depths, widths=(64, 64, 128, 256, 512), resolution=224, block=block)


def _cifar_classic(layers: int) -> ResNet:
    # Two convolutions in a block, three stages, the stem and the classifier.
    return ResNet(
        depths=((layers - 2) // 6,) * 3,
        widths=(16, 16, 32, 64),
        resolution=32,
        num_classes=10,
        stem="cifar",
        shortcut="A",
    )


CLASSICS = {
    "resnet18": _classic("basic", 2, 2, 2, 2),
    "resnet34": _classic("basic", 3, 4, 6, 3),
    "resnet50": _classic("bottleneck", 3, 4, 6, 3),
    "resnet101": _classic("bottleneck", 3, 4, 23, 3),
    "resnet152": _classic("bottleneck", 3, 8, 36, 3),
    **{f"resnet{layers}": _cifar_classic(layers) for layers in (20, 32, 44, 56, 110, 1202)},
}
