"""Search spaces: what may vary in a search, and the networks that it holds within a budget."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scaler.architecture import Architecture, Shapes
from scaler.budget import Budget
from scaler.errors import InputError, unknown
from scaler.families import classic
from scaler.rounding import FloatArray
from scaler.scaling import Shares, fit_shapes, fit_to_budget, lattice
from scaler.shipped import shipped
from scaler.toml import from_table, read_toml

MODES = ("compound",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What may vary, as a file in search_spaces/ says it.

    base    the classic whose shape every network grows from
    mode    compound: the triangle of scaling rules
    knobs   fields of the base that the space sets to another value, e.g. {"stem": "deep"}
    """

    base: str
    mode: str = "compound"
    knobs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("space.mode", self.mode, MODES)
        reserved = {"depths", "widths", "resolution", "num_classes", "in_channels"} & set(self.knobs)
        if reserved:
            raise InputError(f"space.knobs: {min(reserved)!r} is no knob; the search or the data decide it")
        classic(self.base).replace(**self.knobs)

    @property
    def family(self) -> str:
        """The name of the family that the space is about."""
        return classic(self.base).family

    def root(self, *, resolution: int, num_classes: int, in_channels: int) -> Architecture:
        """The base's full-size shape for images of the data at `resolution`, in pixels."""
        return classic(self.base).replace(
            resolution=resolution, num_classes=num_classes, in_channels=in_channels, **self.knobs
        )


def load_space(name_or_path: str | Path) -> Space:
    """The space in a TOML file, given by its path or by its name among the shipped ones."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        known = sorted(file.stem for file in shipped("search_spaces").glob("*.toml"))
        if str(name_or_path) not in known:
            raise unknown("space", str(name_or_path), known)
        path = shipped("search_spaces") / f"{name_or_path}.toml"
    return from_table(Space, read_toml(path), "space")


class Triangle:
    """All rules from one base within one budget: three shares that sum to 1, two free dimensions.

    The base is the root's shape, fitted with the uniform rule to the budget divided by `growth`; every rule grows that
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

    def at(self, rule: Shares) -> Architecture:
        """The network that a rule makes; raises `InputError` if none of the rule's fits."""
        return fit_to_budget(self.base, rule, self.budget)

    def classic_shape(self) -> Architecture:
        """The root with nothing but its widths shrunk (or grown) to the budget."""
        return fit_to_budget(self.root, "width", self.budget)

    def fit(self, shares: FloatArray) -> Shapes:
        """The networks of many rules at once; `shares` is (n, 3)."""
        shapes, fits = fit_shapes(self.base, shares, self.budget)
        assert fits.all(), "every rule has the base itself, which is within budget"
        return shapes

    def lattice(self, divisions: int = 50) -> FloatArray:
        """Rules on a regular grid over the triangle, corners included: (n, 3) shares in multiples of 1/divisions."""
        return lattice(divisions)

    def enumerate(self, divisions: int = 50) -> list[tuple[Shares, Architecture]]:
        """The distinct networks of the lattice, each with the middlemost of the rules that make it."""
        shares = self.lattice(divisions)
        shapes = self.fit(shares)
        numbers = np.concatenate([shapes.depths, shapes.widths, shapes.resolution[:, None]], axis=1)
        _, group = np.unique(numbers, axis=0, return_inverse=True)
        found = []
        for index in range(group.max() + 1):
            members = np.flatnonzero(group.ravel() == index)
            distance = ((shares[members] - shares[members].mean(axis=0)) ** 2).sum(axis=1)
            middle = members[distance.argmin()]
            found.append((Shares(*shares[middle].tolist()), self.base.at(shapes, int(middle))))
        return found
