"""AlexNet: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (2012).

The network of 2012, whose grouped convolutions once kept its two halves on two GPUs; and, as torchvision builds it, the
one-tower variant of Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.

To have a depth to scale, the five convolutions are four stages of equal width; a stage's further convolutions are 3×3.
An adaptive average pooling before the classifier, torchvision's addition, lets the network take any resolution; where
the map already has the side `head_map`, as in the classics, it changes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from scaler import cost
from scaler.architecture import Architecture
from scaler.cost import Block, Int, Layer
from scaler.errors import InputError, unknown

STEMS = {"original": (11, 4, 0), "padded": (11, 4, 2), "small": (5, 1, 2)}
"""Kernel, stride and padding of the first convolution."""

NORMALISATIONS = ("lrn", "batch", "none")
_FIRST_KERNELS = (5, 3, 3)  # of stages 2 to 4
_POOLED_STAGES = (0, 1, 3)
_MIXING_STAGE = 2  # its first convolution sees both halves
_LRN_STAGES = (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlexNet(Architecture):
    """Four stages of convolutions, three of which end in an overlapping max pooling, and three fully connected layers.

    depths         convolutions in each stage: the paper's conv1; conv2; conv3 and conv4; conv5
    widths         channels of each stage, then the outputs of the two hidden fully connected layers
    stem           first convolution: original (11×11, stride 4, no padding), padded (the same, padded by 2) or small
                   (5×5, stride 1, for small images: as in Krizhevsky's cuda-convnet networks for CIFAR-10)
    groups         2 keeps two halves of the channels apart, but for the first convolution of stages 1 and 3; 1 does not
    normalisation  lrn (local response normalisation after stages 1 and 2), batch (after every convolution) or none
    head_map       side of the map that enters the first fully connected layer, pixels
    """

    stem: str = "original"
    groups: int = 2
    normalisation: str = "lrn"
    head_map: int = 6
    dropout: float = 0.5

    family: ClassVar[str] = "alexnet"

    @property
    def stages(self) -> int:
        return 4

    @property
    def width_names(self) -> tuple[str, ...]:
        return (*(f"stage{stage + 1}" for stage in range(self.stages)), "head")

    @property
    def min_resolution(self) -> int:
        # Each of the three 3×3 poolings of stride 2 needs 3 pixels, and 15 → 7 → 3 → 1.
        kernel, stride, padding = STEMS[self.stem]
        return (15 - 1) * stride + kernel - 2 * padding

    def __post_init__(self) -> None:
        if self.stem not in STEMS:
            raise unknown("stem", self.stem, STEMS)
        if self.normalisation not in NORMALISATIONS:
            raise unknown("normalisation", self.normalisation, NORMALISATIONS)
        if self.groups not in (1, 2) or isinstance(self.groups, bool):
            raise InputError(f"groups: {self.groups!r} is not possible; give 1 or 2")
        if not isinstance(self.head_map, int) or isinstance(self.head_map, bool) or self.head_map < 1:
            raise InputError(f"head_map: {self.head_map!r} is not a whole number of at least 1")
        Architecture.__post_init__(self)
        for width in self.widths[: self.stages]:
            if width % self.groups:
                raise InputError(f"widths: {width} channels cannot be halved; give an even number, or groups = 1")

    def first_convolution(self, stage: int) -> dict[str, int]:
        """Kernel, stride, padding and groups of the first convolution in the stage numbered from 0."""
        kernel, stride, padding = STEMS[self.stem] if stage == 0 else (_FIRST_KERNELS[stage - 1], 1, None)
        groups = 1 if stage in (0, _MIXING_STAGE) else self.groups
        return {
            "kernel": kernel,
            "stride": stride,
            "padding": kernel // 2 if padding is None else padding,
            "groups": groups,
        }

    def further_convolution(self) -> dict[str, int]:
        """Kernel, stride, padding and groups of every other convolution."""
        return {"kernel": 3, "stride": 1, "padding": 1, "groups": self.groups}

    def has_lrn(self, stage: int) -> bool:
        """Whether local response normalisation follows the convolutions of the stage numbered from 0."""
        return self.normalisation == "lrn" and stage in _LRN_STAGES

    def has_pool(self, stage: int) -> bool:
        """Whether the stage numbered from 0 ends in a 3×3 max pooling of stride 2."""
        return stage in _POOLED_STAGES

    def blocks(self, depths: Sequence[Int], widths: Sequence[Int], resolution: Int) -> Iterator[Block]:
        *channels, hidden = widths
        # A convolution, its norm and its activation lie one after the other in `features`.
        step = 3 if self.normalisation == "batch" else 2
        c_in: Int = self.in_channels
        side, entry = resolution, 0
        for stage, (depth, width) in enumerate(zip(depths, channels, strict=True)):
            layers = self._convolution(c_in, width, side, self.first_convolution(stage))
            side = layers[0].side
            yield Block("features", layers, first=entry, step=step)
            layers = self._convolution(width, width, side, self.further_convolution())
            yield Block("features", layers, repeat=depth - 1, first=entry + step, step=step)
            entry = entry + depth * step + self.has_lrn(stage)
            if self.has_pool(stage):
                pool = cost.pool("0", width, side, kernel=3, stride=2)
                yield Block("features", (pool,), first=entry, step=1)
                side, entry = pool.side, entry + 1
            c_in = width
        yield Block("", (cost.adaptive_pool("avgpool", c_in, self.head_map),))
        yield Block(
            "classifier",
            (
                cost.linear("1", c_in * self.head_map**2, hidden),
                cost.linear("4", hidden, hidden),
                cost.linear("6", hidden, self.num_classes),
            ),
        )

    def _convolution(self, c_in: Int, c_out: Int, side: Int, shape: dict[str, int]) -> tuple[Layer, ...]:
        conv = cost.conv("0", c_in, c_out, side, bias=True, **shape)
        return (conv, cost.norm("1", c_out, conv.side)) if self.normalisation == "batch" else (conv,)


CLASSICS = {
    "alexnet": AlexNet(depths=(1, 1, 2, 1), widths=(96, 256, 384, 256, 4096), resolution=227),
    "alexnet_one_tower": AlexNet(
        depths=(1, 1, 1, 2),
        widths=(64, 192, 384, 256, 4096),
        resolution=224,
        stem="padded",
        groups=1,
        normalisation="none",
    ),
}
