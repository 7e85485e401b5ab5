"""Exact cost of a network, layer by layer, in closed form.

MACs are the multiply-accumulates of convolution and linear layers in one forward pass of one image, without bias, norm,
activation or pooling: half of what `torch.utils.flop_counter.FlopCounterMode` reports. Parameters are all trainable
numbers. Activations are the elements in the outputs of convolution, spatial pooling and linear layers, without global
average pooling (Radosavovic et al., "Designing Network Design Spaces", arXiv 2003.13678).

Every function takes plain ints and int64 arrays alike, so that one walk over a family's layers prices one network or a
hundred thousand.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

Int: TypeAlias = Any
"""An int, or an int64 array whose elements belong to as many networks."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one network costs for one image, in exact integers (or int64 arrays, one element a network)."""

    macs: Int = 0
    params: Int = 0
    activations: Int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.macs + other.macs, self.params + other.params, self.activations + other.activations)

    def __mul__(self, times: Int) -> "Cost":
        return Cost(self.macs * times, self.params * times, self.activations * times)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its output has `channels` channels of `side` × `side` pixels."""

    name: str
    kind: str
    channels: Int
    side: Int
    cost: Cost


@dataclass(frozen=True, slots=True)
class Block:
    """`layers` built `repeat` times, under the names `name.first`, `name.first + 1`, …; `first` is None for a block
    that is built once, or not at all, under `name` itself.

    With a `step` the block lies flat in a sequence: each repetition takes `step` entries from `first` on, and a layer's
    name is its offset among them. Then `first` may be an array too.
    """

    name: str
    layers: tuple[Layer, ...]
    repeat: Int = 1
    first: Int | None = None
    step: int | None = None


def conv_side(side: Int, kernel: Int, stride: int, padding: Int) -> Int:
    """Output side, in pixels, of a convolution or pooling over a square of `side` pixels."""
    return (side + 2 * padding - kernel) // stride + 1


def conv(
    name: str,
    c_in: Int,
    c_out: Int,
    side: Int,
    *,
    kernel: Int,
    stride: int = 1,
    padding: Int | None = None,
    groups: Int = 1,
    bias: bool = False,
) -> Layer:
    """A square convolution from `c_in` × `side` × `side`; `padding` defaults to half the kernel."""
    side = conv_side(side, kernel, stride, kernel // 2 if padding is None else padding)
    weights = kernel * kernel * (c_in // groups) * c_out
    area = side * side
    return Layer(name, "conv", c_out, side, Cost(weights * area, weights + c_out if bias else weights, c_out * area))


def norm(name: str, channels: Int, side: Int) -> Layer:
    """Batch normalisation with scale and shift."""
    return Layer(name, "norm", channels, side, Cost(params=2 * channels))


def pool(name: str, channels: Int, side: Int, *, kernel: int, stride: int, padding: int = 0) -> Layer:
    """Spatial pooling."""
    side = conv_side(side, kernel, stride, padding)
    return Layer(name, "pool", channels, side, Cost(activations=channels * side * side))


def adaptive_pool(name: str, channels: Int, side: int) -> Layer:
    """Average pooling onto a map of `side` pixels, whatever its input; onto 1 × 1 it is global and does not count."""
    return Layer(name, "pool", channels, side, Cost(activations=channels * side * side if side > 1 else channels * 0))


def linear(name: str, n_in: Int, n_out: Int) -> Layer:
    """A linear layer with bias."""
    return Layer(name, "linear", n_out, 1, Cost(n_in * n_out, n_in * n_out + n_out, n_out))


def total(blocks: Iterable[Block]) -> Cost:
    """The cost of all blocks together."""
    macs: Int = 0
    params: Int = 0
    activations: Int = 0
    for block in blocks:
        costs = [layer.cost for layer in block.layers]
        macs = macs + block.repeat * _sum([cost.macs for cost in costs])
        params = params + block.repeat * _sum([cost.params for cost in costs])
        activations = activations + block.repeat * _sum([cost.activations for cost in costs])
    return Cost(macs, params, activations)


def _sum(counts: list[Int]) -> Int:
    """Their sum; what a kind of layer never costs, a plain 0, makes no pass over an array."""
    return sum(count for count in counts if not (isinstance(count, int) and count == 0))


def expand(blocks: Iterable[Block]) -> Iterator[Layer]:
    """Every layer of one network in order, with its full name; the blocks' numbers must be plain ints."""
    for block in blocks:
        for index in range(block.repeat):
            for layer in block.layers:
                if block.first is None:
                    name = f"{block.name}.{layer.name}" if block.name else layer.name
                elif block.step is None:
                    name = f"{block.name}.{block.first + index}.{layer.name}"
                else:
                    name = f"{block.name}.{block.first + index * block.step + int(layer.name)}"
                yield Layer(name, layer.kind, layer.channels, layer.side, layer.cost)
