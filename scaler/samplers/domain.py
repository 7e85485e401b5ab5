"""The domain of a study's search: every network that it may propose, under the parameters that Optuna knows it by."""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from scaler.architecture import Architecture, Shapes
from scaler.budget import Budget, Budgets
from scaler.record import LEVEL
from scaler.region import Region, Stages, Triangle
from scaler.rounding import FloatArray
from scaler.scaling import Shares
from scaler.space import Space

_SPACE = "space"
_REGIONS = {"compound": Triangle, "stages": Stages}
_MAX_ENUMERATED = 16
"""Regions that are counted out; of more, points are drawn."""
_OTHER_SETTING = 0.25
"""Of the networks near a good one, the part that differs in a choice."""
_STEP = 0.1
"""Standard deviation of a small step on a region's coordinates, which run from 0 to 1."""
_SPARE = 1.5
"""Points drawn for one that is wanted, since some of them are the same network."""

Place = tuple[int, int, int]
"""A region of the domain: level of the budget, space, setting of the space's choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The network that a trial's parameters stand for.

    space   its number among the study's spaces
    budget  what it was made to fit
    rule    the scaling rule that made it; None for one that grew stage by stage
    """

    architecture: Architecture
    space: int
    budget: Budget
    rule: Shares | None


@dataclass(frozen=True, slots=True)
class _Solved:
    """A candidate's network, one of many of its region that were solved together, and what the surrogate sees of it."""

    base: Architecture
    shapes: Shapes
    index: int
    features: FloatArray

    @property
    def network(self) -> Architecture:
        return self.base.at(self.shapes, self.index)


class Domain:
    """All networks of a study's spaces within its budgets, as a `CandidateSpace`.

    Each budget, space and setting of the space's choices is a region; a candidate is a point of one of them. Where
    there are several spaces, each has parameters of its own, and those of the others say nothing.

    spaces      what the search chooses from
    budgets     what a network may cost
    growth      factor from a region's base to its budget
    resolution, num_classes, in_channels
                what the data look like; resolution in pixels
    """

    def __init__(
        self,
        spaces: Sequence[Space],
        budgets: Budgets,
        growth: float = 8.0,
        *,
        resolution: int,
        num_classes: int,
        in_channels: int,
    ) -> None:
        self.spaces = tuple(spaces)
        self.budgets = budgets
        self.growth = growth
        self._data = {"resolution": resolution, "num_classes": num_classes, "in_channels": in_channels}
        self._settings = [space.settings() for space in self.spaces]
        self._labels = _labels(self.spaces)
        self._regions: dict[Place, Region] = {}
        self._first = [self.region(0, space) for space in range(len(self.spaces))]
        self.distributions = dict(self._distributions())
        self._drawn: dict[tuple[Any, ...], _Solved] = {}

    def region(self, level: int = 0, space: int = 0, setting: int = 0) -> Region:
        """The region of a budget, a space and a setting of its choices, each by its number."""
        place = level, space, setting
        if place not in self._regions:
            chosen = self.spaces[space]
            root = chosen.root(**self._data, setting=self._settings[space][setting])
            self._regions[place] = _REGIONS[chosen.mode](root, self.budgets.levels[level], self.growth)
        return self._regions[place]

    def regions(self) -> Iterator[tuple[Place, Region]]:
        """All regions."""
        for place in self._places():
            yield place, self.region(*place)

    @property
    def largest_resolution(self) -> int:
        """The largest side, in pixels, that any network of the domain looks at."""
        return max(region.largest_resolution for _, region in self.regions())

    def label(self, space: int) -> str:
        """A short name for a space, different from the others'."""
        return self._labels[space]

    # -- parameters ---------------------------------------------------------------------------------------------------

    def proposal(self, params: Mapping[str, Any]) -> Proposal:
        """The network that a trial's parameters stand for."""
        place, point = self._place(params), self._point(params)
        region = self.region(*place)
        rule = region.rule(point) if isinstance(region, Triangle) else None
        drawn = self._drawn.get(self._key(params))
        network = region.network(point) if drawn is None else drawn.network
        return Proposal(architecture=network, space=place[1], budget=region.budget, rule=rule)

    def params(self, place: Place, point: Sequence[float]) -> dict[str, Any]:
        """The parameters that stand for a point of a region."""
        level, space, setting = place
        params = {name: _neutral(distribution) for name, distribution in self.distributions.items()}
        chosen: dict[str, Any] = {LEVEL: level, _SPACE: self._labels[space]}
        prefix = self._prefix(space)
        for name, value in self._settings[space][setting].items():
            chosen[prefix + name] = _category(value)
        for name, coordinate in zip(self._first[space].coordinates, point, strict=True):
            chosen[prefix + name] = float(coordinate)
        return params | {name: value for name, value in chosen.items() if name in params}

    def _distributions(self) -> Iterator[tuple[str, BaseDistribution]]:
        if len(self.budgets.levels) > 1:
            yield LEVEL, IntDistribution(0, len(self.budgets.levels) - 1)
        if len(self.spaces) > 1:
            yield _SPACE, CategoricalDistribution(self._labels)
        for index, space in enumerate(self.spaces):
            prefix = self._prefix(index)
            for name, values in space.choices.items():
                yield prefix + name, CategoricalDistribution([_category(value) for value in values])
            for name in self._first[index].coordinates:
                yield prefix + name, FloatDistribution(0, 1)

    def _prefix(self, space: int) -> str:
        return f"{self._labels[space]}." if len(self.spaces) > 1 else ""

    def _place(self, params: Mapping[str, Any]) -> Place:
        space = self._labels.index(params[_SPACE]) if len(self.spaces) > 1 else 0
        prefix = self._prefix(space)
        wanted = {name: params[prefix + name] for name in self.spaces[space].choices}
        settings = [{k: _category(v) for k, v in setting.items()} for setting in self._settings[space]]
        return params.get(LEVEL, 0), space, settings.index(wanted)

    def _key(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(params[name] for name in self.distributions)

    def _point(self, params: Mapping[str, Any]) -> tuple[float, ...]:
        space = self._labels.index(params[_SPACE]) if len(self.spaces) > 1 else 0
        return tuple(params[self._prefix(space) + name] for name in self._first[space].coordinates)

    # -- a candidate space --------------------------------------------------------------------------------------------

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """All networks of the domain if it has no more than `n`, else at most `n` of them, of every region alike."""
        places = list(self._places())
        whole = all(space.mode == "compound" for space in self.spaces) and len(places) <= _MAX_ENUMERATED
        if not whole and len(places) > n:
            places = [places[index] for index in rng.choice(len(places), n, replace=False)]
        drawn: list[tuple[dict[str, Any], _Solved]] = []
        for place in places:
            region = self.region(*place)
            if whole and isinstance(region, Triangle):
                points, shapes = region.every()
            else:
                points, shapes = region.draw(rng, math.ceil(_SPARE * n / len(places)))
            rows = self._rows(place, region, shapes)
            drawn.extend(
                (self.params(place, point), _Solved(region.base, shapes, index, row))
                for index, (point, row) in enumerate(zip(points.tolist(), rows, strict=True))
            )
        if len(drawn) > n:
            drawn = [drawn[index] for index in np.sort(rng.choice(len(drawn), n, replace=False))]
        self._drawn = {self._key(params): solved for params, solved in drawn}
        return [params for params, _ in drawn]

    def near(self, rng: np.random.Generator, candidates: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
        """At most `n` distinct parameter sets, each a small step from one of the candidates in its region,
        or the same point under another setting of its space's choices."""
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for parent in rng.integers(len(candidates), size=n).tolist():
            (level, space, setting), point = self._place(candidates[parent]), np.array(self._point(candidates[parent]))
            if len(self._settings[space]) > 1 and rng.random() < _OTHER_SETTING:
                setting = int(rng.integers(len(self._settings[space])))
            else:
                moved = rng.random(len(point)) < 0.5
                point = np.clip(point + np.where(moved, rng.normal(scale=_STEP, size=len(point)), 0), 0, 1)
            params = self.params((level, space, setting), point.tolist())
            found[tuple(params.values())] = params
        return list(found.values())

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        """What tells networks apart, (len(candidates), f): logs of blocks, mean width, resolution and cost; which space
        and choices; of a space searched by stages, the log of every number; the log of one of several budgets."""
        keys = [self._key(params) for params in candidates]
        groups: dict[Place, list[int]] = {}
        for index, key in enumerate(keys):
            if key not in self._drawn:
                groups.setdefault(self._place(candidates[index]), []).append(index)
        solved: dict[int, FloatArray] = {}
        for place, members in groups.items():
            region = self.region(*place)
            shapes = region.fit(np.array([self._point(candidates[index]) for index in members], np.float64))
            solved.update(zip(members, self._rows(place, region, shapes), strict=True))
        rows = [solved[index] if index in solved else self._drawn[key].features for index, key in enumerate(keys)]
        return np.array(rows, np.float64).reshape(len(candidates), -1)

    def _rows(self, place: Place, region: Region, shapes: Shapes) -> FloatArray:
        level, space, setting = place
        cost = region.base.costs(shapes)
        columns = [
            np.log(shapes.depths.sum(axis=1)),
            np.log(shapes.widths).mean(axis=1),
            *(np.log(count) for count in (shapes.resolution, cost.macs, cost.params, cost.activations)),
        ]
        limit = next(iter(self.budgets.levels[level].limits.values()))
        apart = len(self.budgets.levels) > 1 and not self.budgets.band
        constants = [np.log(limit)] if apart else []
        for index, base in enumerate(self.spaces):
            here = index == space
            if len(self.spaces) > 1:
                constants.append(float(here))
            for name, values in base.choices.items():
                chosen = _category(self._settings[space][setting][name]) if here else None
                constants.extend(float(_category(value) == chosen) for value in values)
        rows = np.column_stack(
            [*columns, *np.broadcast_to(np.array(constants)[:, None], (len(constants), len(shapes)))]
        )
        for index, base in enumerate(self.spaces):
            if base.mode == "stages":
                first = self._first[index].base
                numbers = np.zeros((len(shapes), len(first.depths) + len(first.widths) + 1))
                if index == space:
                    numbers = np.log(np.column_stack([shapes.depths, shapes.widths, shapes.resolution]))
                rows = np.column_stack([rows, numbers])
        return rows

    def _places(self) -> Iterator[Place]:
        for level, space in itertools.product(range(len(self.budgets.levels)), range(len(self.spaces))):
            for setting in range(len(self._settings[space])):
                yield level, space, setting


def _labels(spaces: Sequence[Space]) -> list[str]:
    """The spaces' bases, numbered where one occurs more than once."""
    bases = [space.base for space in spaces]
    return [
        base if bases.count(base) == 1 else f"{base}-{bases[: index + 1].count(base)}"
        for index, base in enumerate(bases)
    ]


def _category(value: Any) -> Any:
    """A choice as Optuna stores it."""
    return value if isinstance(value, (str, int, float, bool)) else json.dumps(value)


def _neutral(distribution: BaseDistribution) -> Any:
    """The value of a parameter that says nothing."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[0]
        case IntDistribution():
            return distribution.low
    return 0.5
