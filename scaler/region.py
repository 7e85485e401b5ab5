"""Regions: the networks that one base can be grown into within one budget, each named by a point of the unit cube."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from scaler.architecture import Architecture, Shapes
from scaler.budget import Budget
from scaler.errors import InputError
from scaler.rounding import FloatArray
from scaler.scaling import RULES, Shares, fit_shapes, fit_to_budget, lattice

_DIVISIONS = 50
_DECIMALS = 12


class Region(ABC):
    """What one base grows into within one budget: points of a unit cube, each on the budget.

    The base is the root's shape, fitted with the uniform rule to the budget divided by `growth`; every point grows that
    same base to the budget.
    """

    def __init__(self, root: Architecture, budget: Budget, growth: float = 8.0) -> None:
        self.root = root
        self.budget = budget
        self.growth = growth
        try:
            self.base = fit_to_budget(root, "uniform", budget.divided(growth), spend=False)
        except InputError as error:
            raise InputError(f"{error} (the base gets 1/{growth:g} of the budget; raise the budget)") from None

    @property
    @abstractmethod
    def coordinates(self) -> tuple[str, ...]:
        """The names of a point's coordinates, each from 0 to 1."""

    @abstractmethod
    def shares(self, points: FloatArray) -> FloatArray:
        """The shares of growth, as `scaling.fit_shapes` reads them, of points (n, coordinates)."""

    @abstractmethod
    def draw(self, random: np.random.Generator, count: int) -> tuple[FloatArray, Shapes]:
        """Points (m, coordinates) from all over the region, m at most `count`, and their networks, all distinct."""

    def fit(self, points: FloatArray) -> Shapes:
        """The networks of points (n, coordinates)."""
        shapes, fits = fit_shapes(self.base, self.shares(points), self.budget)
        assert fits.all(), "every point has the base itself, which is within budget"
        return shapes

    def network(self, point: Sequence[float]) -> Architecture:
        """The network of one point."""
        return self.base.at(self.fit(np.array([point], np.float64)), 0)

    def at(self, rule: Shares) -> Architecture:
        """The network that a rule makes; raises `InputError` if none of the rule's fits."""
        return fit_to_budget(self.base, rule, self.budget)

    def classic_shape(self) -> Architecture:
        """The root with nothing but its widths shrunk (or grown) to the budget."""
        return fit_to_budget(self.root, "width", self.budget)

    @property
    def largest_resolution(self) -> int:
        """The largest side, in pixels, of any of the region's networks."""
        return max(self.at(RULES["resolution"]).resolution, self.root.resolution)


class Triangle(Region):
    """All scaling rules: three shares that sum to 1, two free dimensions."""

    def __init__(self, root: Architecture, budget: Budget, growth: float = 8.0) -> None:
        super().__init__(root, budget, growth)
        self._every: tuple[FloatArray, Shapes] | None = None

    @property
    def coordinates(self) -> tuple[str, ...]:
        return ("depth_share", "width_of_rest")

    def shares(self, points: FloatArray) -> FloatArray:
        depth, part = points.T
        # Rounded, so that shares which are equal remain so.
        return np.stack([depth, (1 - depth) * part, (1 - depth) * (1 - part)], axis=1).round(_DECIMALS)

    @staticmethod
    def rule(point: Sequence[float]) -> Shares:
        """The rule that a point stands for."""
        depth, part = point
        return Shares(*(round(x, _DECIMALS) for x in (depth, (1 - depth) * part, (1 - depth) * (1 - part))))

    @staticmethod
    def point(rule: Shares) -> tuple[float, float]:
        """The point that stands for a rule."""
        rest = 1 - rule.depth
        return rule.depth, min(1.0, rule.width / rest) if rest > 0 else 0.0

    def draw(self, random: np.random.Generator, count: int) -> tuple[FloatArray, Shapes]:
        points = np.array([self.point(Shares(*rule)) for rule in random.dirichlet([1, 1, 1], count).tolist()])
        return _distinct(points, self.fit(points))

    def every(self) -> tuple[FloatArray, Shapes]:
        """The distinct networks of the lattice, each at the point of the middlemost rule that makes it."""
        if self._every is None:
            found = self.enumerate()
            points = np.array([self.point(rule) for rule, _ in found])
            self._every = points, self.fit(points)
        return self._every

    def lattice(self, divisions: int = _DIVISIONS) -> FloatArray:
        """Rules on a regular grid over the triangle, corners included: (n, 3) shares in multiples of 1/divisions."""
        return lattice(divisions)

    def enumerate(self, divisions: int = _DIVISIONS) -> list[tuple[Shares, Architecture]]:
        """The distinct networks of the lattice, each with the middlemost of the rules that make it."""
        shares = self.lattice(divisions)
        shapes, _ = fit_shapes(self.base, shares, self.budget)
        found = []
        for members in _same_networks(shapes):
            distance = ((shares[members] - shares[members].mean(axis=0)) ** 2).sum(axis=1)
            middle = members[distance.argmin()]
            found.append((Shares(*shares[middle].tolist()), self.base.at(shapes, int(middle))))
        return found


class Stages(Region):
    """Every depth, every width and the resolution with a share of the growth of its own.

    A coordinate is a number's share relative to the others': 0 leaves the base's number as it is, equal coordinates
    multiply MACs alike (width and resolution count half, since MACs grow with their square).
    """

    @property
    def coordinates(self) -> tuple[str, ...]:
        depths = [f"depth_{stage + 1}" for stage in range(len(self.base.depths))]
        free = [name for index, name in enumerate(self.base.width_names) if index not in self.base.fixed_widths]
        return (*depths, *(f"width_{name}" for name in free), "resolution")

    def shares(self, points: FloatArray) -> FloatArray:
        stages, widths = len(self.base.depths), len(self.base.widths)
        free = [index for index in range(widths) if index not in self.base.fixed_widths]
        columns = [*range(stages), *(stages + index for index in free), stages + widths]
        shares = np.zeros((len(points), stages + widths + 1))
        # A point that grows nothing grows everything alike.
        shares[:, columns] = np.where(points.any(axis=1, keepdims=True), points, 1.0)
        scaled: FloatArray = shares / shares.max(axis=1, keepdims=True)
        return scaled

    def draw(self, random: np.random.Generator, count: int) -> tuple[FloatArray, Shapes]:
        stages, total = len(self.base.depths), len(self.coordinates)
        axis = np.array([0] * stages + [1] * (total - stages - 1) + [2])
        # A rule of the triangle, bent from stage to stage, a quarter of them not at all.
        bend = np.where(random.random((count, 1)) < 0.25, 1.0, random.random((count, total)))
        points = random.dirichlet([1, 1, 1], count)[:, axis] * bend
        points /= points.max(axis=1, keepdims=True)
        return _distinct(points, self.fit(points))


def _distinct(points: FloatArray, shapes: Shapes) -> tuple[FloatArray, Shapes]:
    """The first point of each network."""
    first = np.sort([members[0] for members in _same_networks(shapes)])
    return points[first], shapes[first]


def _same_networks(shapes: Shapes) -> list[np.ndarray]:
    """Indices of the shapes, in one array for each distinct network."""
    numbers = np.concatenate([shapes.depths, shapes.widths, shapes.resolution[:, None]], axis=1)
    _, group = np.unique(numbers, axis=0, return_inverse=True)
    group = group.ravel()
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
