"""Inception: GoogLeNet of Szegedy et al., "Going Deeper with Convolutions", arXiv 1409.4842.

`googlenet` is the paper's network (Table 1): a 5×5 convolution in every module, biases, no batch normalisation.
`googlenet_bn` is torchvision's, which has batch normalisation and, by a bug it keeps for its weights' sake, 3×3 in
place of 5×5. Both go by torchvision's names. Max pooling rounds sides up, as published (Caffe's rule).

Width. Every published module has six numbers of its own. A stage has one width, the channels of the 3×3 convolution in
its last module, and all channels of the stage keep their published ratio to it. All are rounded as scaled widths are,
so that a width between two steps builds what the nearest step builds: a branch rounded alone could outgrow the deeper
module's.

Depth. A stage of n modules is its first published module and its last n - 1 published ones; beyond the published number
the last one is repeated. So whatever the depth, the same module takes the stage's input and a deeper stage never puts
out fewer channels, which keeps MACs monotone in depth.

The auxiliary heads help training alone: their parameters count, but an inference pass (eval mode, what torch's counter
sees) does not run them, so they add no MACs and no activations. They pool to 4×4 whatever the side, as in torchvision;
the paper's 5×5 pooling with stride 3 fits 14 pixels alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from scaler import cost
from scaler.architecture import Architecture
from scaler.cost import Block, Cost, Int, Layer
from scaler.errors import InputError, unknown

KERNELS = (3, 5)
NORMS = ("batch", "none")
STEMS = ("imagenet", "small")

# Table 1: 1×1, 3×3 reduction, 3×3, 5×5 reduction, 5×5, pool projection.
_PUBLISHED: dict[str, dict[str, tuple[int, int, int, int, int, int]]] = {
    "inception3": {
        "a": (64, 96, 128, 16, 32, 32),
        "b": (128, 128, 192, 32, 96, 64),
    },
    "inception4": {
        "a": (192, 96, 208, 16, 48, 64),
        "b": (160, 112, 224, 24, 64, 64),
        "c": (128, 128, 256, 24, 64, 64),
        "d": (112, 144, 288, 32, 64, 64),
        "e": (256, 160, 320, 32, 128, 128),
    },
    "inception5": {
        "a": (256, 160, 320, 32, 128, 128),
        "b": (384, 192, 384, 48, 128, 128),
    },
}
# Before which module a pooling stands, and the side of its window; every one has stride 2.
POOLS = {"inception4a": ("maxpool3", 3), "inception5a": ("maxpool4", 2)}
_STEM_FIRST, _STEM_LAST = 64, 192
_AUX_CONV, _AUX_HIDDEN = 128, 1024
AUX_SIDE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """The channels of one Inception module, and how often it is built: `name`, `repeat` and `first` as in `Block`."""

    name: str
    c_in: Int
    direct: Int
    reduce_middle: Int
    middle: Int
    reduce_large: Int
    large: Int
    projection: Int
    repeat: Int = 1
    first: int | None = None

    @property
    def c_out(self) -> Int:
        """Channels of the four branches together."""
        return self.direct + self.middle + self.large + self.projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Inception(Architecture):
    """GoogLeNet with three stages of Inception modules.

    widths     channels of the stem's output and of the 3×3 convolution in each stage's last module
    kernel     side of the large branch's convolution: 5 (the paper) or 3 (torchvision)
    reduction  channels of the 1×1 convolutions before the 3×3 and the large one: published (the paper's, to scale),
               or a whole number by which they divide the module's input; 1 keeps all its channels
    norm       none (the paper: biases, local response normalisation in the imagenet stem) or batch
    stem       imagenet (7×7, 1×1 and 3×3, stride 8) or small (one 3×3 and a pooling, stride 2, for small images)
    aux_heads  whether two auxiliary classifiers, after the first module of the second stage and before that stage's
               last published one, are there to train with
    """

    dropout: float = 0.4
    kernel: int = 5
    reduction: int | str = "published"
    norm: str = "none"
    stem: str = "imagenet"
    aux_heads: bool = False

    family: ClassVar[str] = "inception"

    @property
    def stages(self) -> int:
        return len(_PUBLISHED)

    @property
    def width_names(self) -> tuple[str, ...]:
        return ("stem", *_PUBLISHED)

    @property
    def min_resolution(self) -> int:
        # The last pooling needs at least 2 pixels. The others before it halve, rounding down; the 7×7 rounds up.
        return 31 if self.stem == "imagenet" else 8

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, int) or self.kernel not in KERNELS:
            raise InputError(f"kernel: {self.kernel!r} is no side of the large branch's convolution; give 5 or 3")
        if self.norm not in NORMS:
            raise unknown("norm", self.norm, NORMS)
        if self.stem not in STEMS:
            raise unknown("stem", self.stem, STEMS)
        whole = isinstance(self.reduction, int) and not isinstance(self.reduction, bool) and self.reduction >= 1
        if self.reduction != "published" and not whole:
            raise InputError(f"reduction: {self.reduction!r} is neither 'published' nor a whole number of at least 1")
        if not isinstance(self.aux_heads, bool):
            raise InputError(f"aux_heads: {self.aux_heads!r} is no choice; give true or false")
        Architecture.__post_init__(self)

    def stem_channels(self, widths: Sequence[Int]) -> Int:
        """Channels of the imagenet stem's 7×7 and 1×1 convolutions."""
        return _proportional(_STEM_FIRST, widths[0], _STEM_LAST)

    def aux_channels(self, widths: Sequence[Int]) -> tuple[Int, Int]:
        """Channels of an auxiliary head's convolution, and features of its hidden layer."""
        reference = _reference("inception4")
        return _proportional(_AUX_CONV, widths[2], reference), _proportional(_AUX_HIDDEN, widths[2], reference)

    def aux_inputs(self, depths: Sequence[Int], widths: Sequence[Int]) -> tuple[Int, Int]:
        """Channels that the two auxiliary heads take."""
        modules = {module.name: module for module in self.modules(depths, widths)}
        return modules["inception4a"].c_out, modules["inception4e"].c_in

    def modules(self, depths: Sequence[Int], widths: Sequence[Int]) -> Iterator[Module]:
        """Every module in order, under its published letter; those that the depths leave out have `repeat` 0."""
        channels = widths[0]
        for (stage, published), depth, width in zip(_PUBLISHED.items(), depths, widths[1:], strict=True):
            opening = self._module(stage, "a", width, channels)
            yield opening
            channels = opening.c_out
            for index, letter in enumerate(list(published)[1:], start=1):
                kept = (depth > len(published) - index) * 1
                module = self._module(stage, letter, width, channels, repeat=kept)
                yield module
                # Nothing but the opening module precedes one that is left out.
                channels = kept * module.c_out + (1 - kept) * opening.c_out
            repeats = (depth > len(published)) * (depth - len(published))
            yield self._module(stage, max(published), width, channels, repeat=repeats, first=0, name=f"{stage}_repeats")

    def blocks(self, depths: Sequence[Int], widths: Sequence[Int], resolution: Int) -> Iterator[Block]:
        stem, side = self._stem(widths, resolution)
        yield Block("", stem)
        for module in self.modules(depths, widths):
            if module.name in POOLS:
                name, kernel = POOLS[module.name]
                pool = _max_pool(name, module.c_in, side, kernel)
                yield Block("", (pool,))
                side = pool.side
            yield Block(module.name, self._branches(module, side), repeat=module.repeat, first=module.first)
        if self.aux_heads:
            for index, c_in in enumerate(self.aux_inputs(depths, widths), start=1):
                yield Block(f"aux{index}", self._aux_head(c_in, widths))
        # The repeated module comes last; its input is its stage's output, however often it is built.
        yield Block("", (cost.linear("fc", module.c_in, self.num_classes),))

    def _module(
        self,
        stage: str,
        letter: str,
        width: Int,
        c_in: Int,
        *,
        repeat: Int = 1,
        first: int | None = None,
        name: str | None = None,
    ) -> Module:
        reference = _reference(stage)
        direct, reduce_middle, middle, reduce_large, large, projection = (
            _proportional(channels, width, reference) for channels in _PUBLISHED[stage][letter]
        )
        if isinstance(self.reduction, int):
            kept = c_in if self.reduction == 1 else _proportional(1, c_in, self.reduction)
            reduce_middle = reduce_large = kept
        return Module(
            name=name or f"{stage}{letter}",
            c_in=c_in,
            direct=direct,
            reduce_middle=reduce_middle,
            middle=middle,
            reduce_large=reduce_large,
            large=large,
            projection=projection,
            repeat=repeat,
            first=first,
        )

    def _stem(self, widths: Sequence[Int], side: Int) -> tuple[tuple[Layer, ...], Int]:
        """The layers before the first module and the side that they leave."""
        if self.stem == "small":
            maxpool1 = _max_pool("maxpool1", widths[0], side, 3)
            return (*self._conv("conv1", self.in_channels, widths[0], side, kernel=3), maxpool1), maxpool1.side
        channels = self.stem_channels(widths)
        conv1 = self._conv("conv1", self.in_channels, channels, side, kernel=7, stride=2)
        maxpool1 = _max_pool("maxpool1", channels, conv1[0].side, 3)
        conv2 = self._conv("conv2", channels, channels, maxpool1.side, kernel=1)
        conv3 = self._conv("conv3", channels, widths[0], maxpool1.side, kernel=3)
        maxpool2 = _max_pool("maxpool2", widths[0], maxpool1.side, 3)
        return (*conv1, maxpool1, *conv2, *conv3, maxpool2), maxpool2.side

    def _branches(self, module: Module, side: Int) -> tuple[Layer, ...]:
        return (
            *self._conv("branch1", module.c_in, module.direct, side, kernel=1),
            *self._conv("branch2.0", module.c_in, module.reduce_middle, side, kernel=1),
            *self._conv("branch2.1", module.reduce_middle, module.middle, side, kernel=3),
            *self._conv("branch3.0", module.c_in, module.reduce_large, side, kernel=1),
            *self._conv("branch3.1", module.reduce_large, module.large, side, kernel=self.kernel),
            cost.pool("branch4.0", module.c_in, side, kernel=3, stride=1, padding=1),
            *self._conv("branch4.1", module.c_in, module.projection, side, kernel=1),
        )

    def _aux_head(self, c_in: Int, widths: Sequence[Int]) -> tuple[Layer, ...]:
        channels, hidden = self.aux_channels(widths)
        layers = (
            *self._conv("conv", c_in, channels, AUX_SIDE, kernel=1),
            cost.linear("fc1", channels * AUX_SIDE**2, hidden),
            cost.linear("fc2", hidden, self.num_classes),
        )
        return tuple(
            Layer(layer.name, layer.kind, layer.channels, layer.side, Cost(params=layer.cost.params))
            for layer in layers
        )

    def _conv(self, name: str, c_in: Int, c_out: Int, side: Int, *, kernel: int, stride: int = 1) -> tuple[Layer, ...]:
        """A convolution with its batch normalisation, or with a bias in its place."""
        conv = cost.conv(f"{name}.conv", c_in, c_out, side, kernel=kernel, stride=stride, bias=self.norm == "none")
        return (conv, cost.norm(f"{name}.bn", c_out, conv.side)) if self.norm == "batch" else (conv,)


def _max_pool(name: str, channels: Int, side: Int, kernel: int) -> Layer:
    """Max pooling of stride 2 that rounds the side up: the same as rounding it down with one more pixel."""
    return cost.pool(name, channels, side + 1, kernel=kernel, stride=2)


def _reference(stage: str) -> int:
    """The published channels that a stage's width stands for."""
    return _PUBLISHED[stage][max(_PUBLISHED[stage])][2]


def _proportional(published: int, width: Int, reference: int) -> Int:
    """`published` × `width` / `reference`, rounded as `Inception.round_widths`, but in whole numbers so that ints stay
    ints and arrays stay int64."""
    exact = published * width  # in units of 1 / reference
    finely = _nearest(exact, 4, reference)
    finely = finely + (10 * finely * reference < 9 * exact) * 4
    # From 64 on the nearest multiple of 8 is never 10 % off. All divisors are constants, by which numpy divides fast.
    return finely + (exact >= 64 * reference) * (_nearest(exact, 8, reference) - finely)


def _nearest(exact: Int, divisor: int, reference: int) -> Int:
    """The multiple of `divisor` nearest to `exact` / `reference`, halves up."""
    return (2 * exact + divisor * reference) // (2 * divisor * reference) * divisor


_GOOGLENET = Inception(depths=(2, 5, 2), widths=(192, 192, 320, 384), resolution=224)

CLASSICS = {
    "googlenet": _GOOGLENET,
    "googlenet_bn": _GOOGLENET.replace(kernel=3, norm="batch", dropout=0.2),
}
