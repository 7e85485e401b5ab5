"""Scaling rules and the largest network that a rule makes within a budget.

A rule is three shares that sum to 1: how much of the growth in compute goes to depth, to width, to resolution. Growing
MACs by a factor s multiplies depth by s^depth, width by s^(width/2) and resolution by s^(resolution/2), since MACs grow
linearly in depth and with the square of width and of resolution (Tan and Le, "EfficientNet", arXiv 1905.11946).
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scaler.architecture import Architecture, Shapes
from scaler.budget import Budget
from scaler.errors import InputError, unknown
from scaler.rounding import FloatArray, IntArray

AXES = ("depth", "width", "resolution")

A = TypeVar("A", bound=Architecture)
BoolArray = NDArray[np.bool_]

_MAX_DOUBLINGS = 24  # a growth of 16 million: beyond it a budget sets no end to the ray
_MAX_SHRINKING = 64  # beyond it every number with a share has long reached its minimum
_BISECTIONS = 40
_NO_SHARE = 1e-6  # a share below it is a rounding error of 0
_AXIS_FIRST = 1e12  # weighs the order of the axes above any ratio of growth


@dataclass(frozen=True, slots=True)
class Shares:
    """A scaling rule: the shares of growth that go to depth, width and resolution. They are at least 0 and sum to 1."""

    depth: float
    width: float
    resolution: float

    def __post_init__(self) -> None:
        values = (self.depth, self.width, self.resolution)
        if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > _NO_SHARE:
            raise InputError(f"shares: {', '.join(f'{v:g}' for v in values)} must be at least 0 and sum to 1")

    def factors(self, growth: float) -> tuple[float, float, float]:
        """The factors of depth, width and resolution that make MACs grow by `growth`."""
        return growth**self.depth, growth ** (self.width / 2), growth ** (self.resolution / 2)

    def compound(self) -> "Compound":
        """The rule in its published form, normalised to α·β²·γ² = 2."""
        return Compound(*self.factors(2.0))

    def to_list(self) -> list[float]:
        """Depth, width, resolution."""
        return [self.depth, self.width, self.resolution]


@dataclass(frozen=True, slots=True)
class Compound:
    """The published form of a rule: one step φ multiplies depth by alpha, width by beta and resolution by gamma."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            if not 1 <= getattr(self, name) < 16:
                raise InputError(f"{name}: {getattr(self, name)} is no step of growth; give a number from 1 to 16")
        if self.alpha * self.beta * self.gamma == 1:
            raise InputError("alpha, beta, gamma: all are 1, so nothing grows; raise at least one of them")

    @property
    def growth(self) -> float:
        """α·β²·γ²: the factor by which one step multiplies MACs."""
        return self.alpha * self.beta**2 * self.gamma**2

    def shares(self) -> Shares:
        """The rule as shares."""
        total = math.log(self.growth)
        depth, width = math.log(self.alpha) / total, 2 * math.log(self.beta) / total
        return Shares(depth, width, max(0.0, 1 - depth - width))


RULES: dict[str, Shares] = {
    "depth": Shares(1, 0, 0),
    "width": Shares(0, 1, 0),
    "resolution": Shares(0, 0, 1),
    "uniform": Shares(1 / 3, 1 / 3, 1 / 3),
    "compound": Compound(1.2, 1.1, 1.15).shares(),
    # Dollár et al., "Fast and Accurate Model Scaling", arXiv 2103.06877: α = 0.8 of the growth to width.
    "fast": Shares(0.1, 0.8, 0.1),
}


def lattice(divisions: int) -> FloatArray:
    """Rules on a regular grid over the triangle, corners included: (n, 3) shares in multiples of 1/divisions."""
    points = [
        (depth, width, divisions - depth - width)
        for depth in range(divisions + 1)
        for width in range(divisions + 1 - depth)
    ]
    return np.array(points, np.float64) / divisions


def as_shares(rule: "Shares | Compound | str") -> Shares:
    """A rule in any of its forms, as shares; an unknown name raises `InputError`."""
    if isinstance(rule, str):
        if rule not in RULES:
            raise unknown("rule", rule, RULES)
        return RULES[rule]
    return rule.shares() if isinstance(rule, Compound) else rule


def parse_rule(text: str) -> Shares:
    """A rule written as its name or as shares, such as 0.2/0.5/0.3; raises `InputError` for anything else."""
    parts = text.split("/")
    if len(parts) != len(AXES):
        return as_shares(text)
    try:
        return Shares(*map(float, parts))
    except ValueError as error:
        raise (
            error
            if isinstance(error, InputError)
            else InputError(f"rule: {text!r} is no rule; give a name or three shares such as 0.2/0.5/0.3")
        ) from None


def fit_to_budget(base: A, rule: Shares | Compound | str, budget: Budget, *, spend: bool = True) -> A:
    """The largest network on the rule's ray from `base` whose exact cost is within budget.

    What rounding leaves over is spent in single steps (a block, a channel step, a resolution step) on the axes whose
    share is above 0, largest share first, the least grown number first within an axis; `spend=False` gives the pure
    ray. Raises `InputError` if nothing on the ray fits, naming its smallest network, and if the budget does not end it.
    """
    shapes, fits = fit_shapes(base, np.array([as_shares(rule).to_list()]), budget, spend=spend)
    found = base.at(shapes, 0)
    if not fits[0]:
        cost = found.cost()
        raise InputError(
            f"budget: {budget} admits no network of this rule; the smallest it can make ({found.summary()}) has "
            f"{cost.macs:,} MACs, {cost.params:,} params, {cost.activations:,} activations"
        )
    return found


def fit_shapes(
    base: Architecture, shares: FloatArray, budget: Budget, *, spend: bool = True
) -> tuple[Shapes, BoolArray]:
    """`fit_to_budget` for many rules at once.

    `shares` is (n, 3), or (n, stages + widths + 1) with a share of its own for each depth, each width and the
    resolution, which then need not sum to 1. Returns the n networks and a bool array (n,) that says which are within
    budget; where it is False, the network is the smallest that the rule can make. Raises `InputError` if the budget
    does not end a ray.
    """

    exponents = shares / np.array([1, 2, 2])[axes_of(base, shares.shape[1])]

    def on_ray(doublings: FloatArray) -> tuple[Shapes, BoolArray]:
        factors = np.exp2(exponents * doublings[:, None])
        shapes = base.scaled_shapes(*by_axis(base, factors))
        return shapes, np.asarray(budget.admits(base.costs(shapes)))

    # Bracket the largest growth that fits: doublings of MACs, where `low` fits and `high` does not.
    low = np.zeros(len(shares))
    shapes, fits = on_ray(low)
    growing = fits.copy()
    while growing.any():
        low = np.where(growing, low + 1, low)
        growing &= on_ray(low)[1]
        if low.max() > _MAX_DOUBLINGS:
            raise InputError(
                f"budget: {budget} sets no end to the growth of {base.family} on every axis searched; also limit macs"
            )
    shrinking = ~fits
    low = np.where(fits, low - 1, low)
    while shrinking.any() and low.min() > -_MAX_SHRINKING:
        low = np.where(shrinking, low - 1, low)
        shrinking &= ~on_ray(low)[1]
    high = low + 1
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        fits = on_ray(middle)[1]
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    shapes, fits = on_ray(low)
    return (_spend(base, shapes, fits, shares, budget) if spend else shapes), fits


def axes_of(base: Architecture, columns: int) -> IntArray:
    """Which of `AXES` each column of shares is about: there are as many as axes, or one for each number of `base`."""
    if columns == len(AXES):
        return np.arange(columns)
    return np.array([0] * len(base.depths) + [1] * len(base.widths) + [2])


def by_axis(base: Architecture, factors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Columns of factors, as in `axes_of`, as those of depth, width and resolution."""
    if factors.shape[1] == len(AXES):
        return factors[:, 0], factors[:, 1], factors[:, 2]
    stages = len(base.depths)
    return factors[:, :stages], factors[:, stages:-1], factors[:, -1]


def _spend(base: Architecture, shapes: Shapes, fits: BoolArray, shares: FloatArray, budget: Budget) -> Shapes:
    """Single steps on the axes with a share, while any of them fits: see `fit_to_budget`."""
    stages, named = len(base.depths), len(base.widths)
    # Which column of the shares each number has.
    column = np.arange(stages + named + 1) if shares.shape[1] > len(AXES) else axes_of(base, stages + named + 1)
    scalable = np.ones(stages + named + 1, bool)
    scalable[[stages + index for index in base.fixed_widths]] = False
    start = np.array([*base.depths, *base.widths, base.resolution])
    numbers = np.concatenate([shapes.depths, shapes.widths, shapes.resolution[:, None]], axis=1)
    # The largest share comes first; equal shares keep the order depth, width, resolution.
    order = np.argsort(np.argsort(-shares, axis=1, kind="stable"), axis=1)[:, column]
    allowed = scalable & (shares[:, column] > _NO_SHARE) & fits[:, None]
    open_lanes = np.flatnonzero(allowed.any(axis=1))
    while len(open_lanes):
        lane = numbers[open_lanes]
        step = np.ones_like(lane)
        step[:, stages:-1] = base.width_step(lane[:, stages:-1])
        step[:, -1] = base.resolution_step
        # Every lane's candidates: one number a step further, (lanes, numbers, numbers).
        candidates = lane[:, None, :] + step[:, :, None] * np.eye(lane.shape[1], dtype=np.int64)
        flat = candidates.reshape(-1, lane.shape[1])
        cost = base.costs(Shapes(flat[:, :stages], flat[:, stages:-1], flat[:, -1]))
        fitting = allowed[open_lanes] & np.asarray(budget.admits(cost)).reshape(lane.shape)
        preference = np.where(fitting, order[open_lanes] * _AXIS_FIRST + lane / start, np.inf)
        best = preference.argmin(axis=1)
        moved = np.isfinite(preference[np.arange(len(lane)), best])
        numbers[open_lanes[moved]] = candidates[moved, best[moved]]
        open_lanes = open_lanes[moved]
    return Shapes(numbers[:, :stages], numbers[:, stages:-1], numbers[:, -1])
