"""The full description of one network, as data: what every family's architecture has in common."""

import dataclasses
import functools
import hashlib
import json
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from scaler import rounding
from scaler.cost import Block, Cost, Int, Layer, expand, total
from scaler.errors import InputError, unknown
from scaler.rounding import FloatArray, IntArray
from scaler.tracing import compiled

ACTIVATIONS = ("relu", "leaky_relu", "silu", "gelu", "hard_swish", "elu", "tanh")
"""Nonlinearities without parameters, by timm's names."""

_CHUNK = 8192
"""Networks priced at once: few enough for the intermediate arrays to stay in the processor's cache."""


_PROGRAMS: dict[tuple[Any, ...], Callable[..., tuple[Int, ...]] | None] = {}
"""The recorded walk of each template that has been priced; None after the first time, which walks."""

_MAX_PROGRAMS = 1024


@dataclass(frozen=True, slots=True)
class Shapes:
    """Many networks of one family that differ in depths, widths and resolution alone.

    `depths` is (n, stages), `widths` (n, named widths), `resolution` (n,), all int64.
    """

    depths: IntArray
    widths: IntArray
    resolution: IntArray

    def __len__(self) -> int:
        return len(self.resolution)

    def __getitem__(self, index: Any) -> "Shapes":
        return Shapes(self.depths[index], self.widths[index], self.resolution[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture(ABC):
    """One network: a family's fields, the stage depths, the named widths, the resolution and the classes.

    A family subclasses this with its own fields (its knobs) and says how its layers follow from the numbers. Instances
    are frozen and validated: an impossible network raises `InputError`.

    depths       blocks in each stage
    widths       channels, one for each of `width_names`
    resolution   side of the square input image, pixels
    num_classes  outputs of the classifier
    in_channels  channels of the input image
    activation   nonlinearity after convolutions, one of `ACTIVATIONS`
    dropout      probability of dropping a feature before the classifier, in training
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    resolution: int
    num_classes: int = 1000
    in_channels: int = 3
    activation: str = "relu"
    dropout: float = 0.0

    family: ClassVar[str]
    resolution_step: ClassVar[int] = 2
    has_residual_blocks: ClassVar[bool] = False

    # -- what a family says -------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def stages(self) -> int:
        """Number of stages, the length of `depths`."""

    @property
    @abstractmethod
    def width_names(self) -> tuple[str, ...]:
        """What each entry of `widths` is."""

    @property
    @abstractmethod
    def min_resolution(self) -> int:
        """The smallest input side, in pixels, that the network takes."""

    @property
    def fixed_widths(self) -> tuple[int, ...]:
        """Indices of the widths that scaling leaves alone."""
        return ()

    @abstractmethod
    def blocks(self, depths: Sequence[Int], widths: Sequence[Int], resolution: Int) -> Iterator[Block]:
        """The layers of this network with its depths, widths and resolution replaced: ints, or int64 arrays of one
        length, one element a network."""

    @classmethod
    def round_depths(cls, depths: FloatArray) -> IntArray:
        """Numbers of blocks for real-valued depths: the nearest, halves up, at least 1."""
        return rounding.round_blocks(depths)

    @classmethod
    def round_widths(cls, widths: FloatArray) -> IntArray:
        """Channel counts that hardware likes for real-valued widths: multiples of 8, below 64 multiples of 4."""
        return rounding.round_widths(widths)

    @classmethod
    def width_step(cls, widths: IntArray) -> IntArray:
        """The distance from each width to the next larger one."""
        return rounding.width_step(widths)

    # -- what follows -------------------------------------------------------------------------------------------------

    def __post_init__(self) -> None:
        for field, length in (("depths", self.stages), ("widths", len(self.width_names))):
            values = tuple(getattr(self, field))
            object.__setattr__(self, field, values)
            if len(values) != length:
                raise InputError(f"{field}: {list(values)} has {len(values)} numbers; {self.family} needs {length}")
            for value in values:
                _check_int(field, value, minimum=1)
        _check_int("num_classes", self.num_classes, minimum=1)
        _check_int("in_channels", self.in_channels, minimum=1)
        _check_int("resolution", self.resolution, minimum=1)
        if self.activation not in ACTIVATIONS:
            raise unknown("activation", self.activation, ACTIVATIONS)
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise InputError(f"dropout: {self.dropout!r} is no probability; give a number from 0 up to 1")
        if self.resolution < self.min_resolution:
            raise InputError(
                f"resolution: {self.resolution} is too small for this {self.family}; at least {self.min_resolution}"
            )

    def cost(self) -> Cost:
        """Exact cost of one forward pass of one image."""
        numbers = (*self.depths, *self.widths, self.resolution)
        template = self._template
        # Recording pays from the second network of a template on.
        totals = self._totals if template not in _PROGRAMS else self._program(template)
        _PROGRAMS.setdefault(template, None)
        return Cost(*totals(*numbers))

    def costs(self, shapes: Shapes) -> Cost:
        """Exact costs of many networks at once, as int64 arrays of shape (n,)."""
        program = self._program(self._template)
        costs = np.empty((3, len(shapes)), np.int64)
        for start in range(0, len(shapes), _CHUNK):
            part = shapes[start : start + _CHUNK]
            totals = program(*_columns(part.depths), *_columns(part.widths), part.resolution)
            for row, count in zip(costs, totals, strict=True):
                row[start : start + _CHUNK] = count
        return Cost(*costs)

    def _totals(self, *numbers: Int) -> tuple[Int, Int, Int]:
        """MACs, parameters and activations by a walk over the layers, from depths, widths and resolution in a row."""
        depths, widths = numbers[: self.stages], numbers[self.stages : -1]
        cost = total(self.blocks(depths, widths, numbers[-1]))
        return cost.macs, cost.params, cost.activations

    def _program(self, template: tuple[Any, ...]) -> Callable[..., tuple[Int, ...]]:
        """`_totals` as straight-line arithmetic."""
        program = _PROGRAMS.get(template)
        if program is None:
            if len(_PROGRAMS) >= _MAX_PROGRAMS:
                _PROGRAMS.clear()
            program = _PROGRAMS[template] = compiled(self._totals, len(self.depths) + len(self.widths) + 1)
        return program

    @property
    def _template(self) -> tuple[Any, ...]:
        """What the operations of a walk over the layers depend on: all but the numbers that `Shapes` holds."""
        return (type(self), len(self.depths), len(self.widths), *_knobs(type(self))(self))

    def layers(self) -> list[Layer]:
        """Every layer in order; their costs add up to `cost()`."""
        return list(expand(self.blocks(self.depths, self.widths, self.resolution)))

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; an unknown field raises `InputError`."""
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise unknown(f"{self.family} field", name, known)
        return dataclasses.replace(self, **changes)

    def at(self, shapes: Shapes, index: int) -> Self:
        """The network with the numbers of `shapes[index]`."""
        return self.replace(
            depths=tuple(shapes.depths[index].tolist()),
            widths=tuple(shapes.widths[index].tolist()),
            resolution=int(shapes.resolution[index]),
        )

    def scaled(self, depth: float = 1.0, width: float = 1.0, resolution: float = 1.0) -> Self:
        """The network with its axes multiplied by three factors, each rounded as the family rounds."""
        for axis, factor in (("depth", depth), ("width", width), ("resolution", resolution)):
            if not 0 < factor < 2**20:
                raise InputError(f"{axis}: {factor} is no scaling factor; give a positive number such as 1.2")
        return self.at(self.scaled_shapes(np.array([depth]), np.array([width]), np.array([resolution])), 0)

    def scaled_shapes(self, depth: FloatArray, width: FloatArray, resolution: FloatArray) -> Shapes:
        """Depths, widths and resolution multiplied by factors of shape (n,), rounded as the family rounds.

        The factors of depth and width may also be of shape (n, stages) and (n, widths), one for each number.
        Rounding never moves a number against its factor: growing does not shrink, 1 changes nothing, and the result is
        monotone in each factor.
        """
        depth, width = (factor if factor.ndim == 2 else factor[:, None] for factor in (depth, width))
        depths = _scale(np.array(self.depths), depth, self.round_depths, minimum=1)
        widths = _scale(np.array(self.widths), width, self.round_widths, minimum=1)
        fixed = list(self.fixed_widths)
        widths[:, fixed] = np.array(self.widths)[fixed]
        step = self.resolution_step
        smallest = -(-self.min_resolution // step) * step
        side = _scale(
            np.array(self.resolution), resolution, lambda x: np.floor(x / step + 0.5).astype(np.int64) * step, smallest
        )
        return Shapes(depths, widths, side)

    def to_dict(self) -> dict[str, Any]:
        """Plain data (`family` included) that `scaler.families.from_dict` turns back into an equal architecture."""
        record: dict[str, Any] = {"family": self.family}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            record[field.name] = list(value) if isinstance(value, tuple) else value
        return record

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """An architecture of this family from the plain data of `to_dict`, `family` left out."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise unknown(f"{cls.family} field", name, known)
        missing = [name for name in ("depths", "widths", "resolution") if name not in fields]
        if missing:
            raise InputError(f"{missing[0]}: missing; a {cls.family} architecture needs it")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        return cls(**values)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that identify the network: equal networks have equal digests."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def summary(self) -> str:
        """One short line for tables and progress: resolution, depths and widths."""
        depths, widths = ("-".join(map(str, numbers)) for numbers in (self.depths, self.widths))
        return f"{self.resolution} px, depths {depths}, widths {widths}"


@functools.cache
def _knobs(family: type[Architecture]) -> Callable[[Architecture], tuple[Any, ...]]:
    varying = ("depths", "widths", "resolution", "activation", "dropout")
    names = [field.name for field in dataclasses.fields(family) if field.name not in varying]
    return operator.attrgetter(*names)


def _columns(array: IntArray) -> tuple[IntArray, ...]:
    return tuple(np.ascontiguousarray(array.T))


def _check_int(field: str, value: object, *, minimum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise InputError(f"{field}: {value!r} is not a whole number of at least {minimum}")


def _scale(base: IntArray, factor: FloatArray, rounding: Any, minimum: int) -> IntArray:
    rounded: IntArray = np.maximum(rounding(base * factor), np.minimum(minimum, base))
    return np.where(factor > 1, np.maximum(rounded, base), np.where(factor < 1, np.minimum(rounded, base), base))
