"""The best rule of the triangle, the region that holds it, and whether it is the same for every budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from scaler.errors import InputError
from scaler.laws.surface import THRESHOLD, Surface
from scaler.rounding import FloatArray
from scaler.scaling import Shares, lattice

_REGION = lattice(25)
_FINE = lattice(100)
_FIRST = 5  # rules of the coarse grid whose evidence bounds that of the best one
_NEARBY = 0.06  # within it of the coarse grid's best rule, the fine grid is searched


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The best rule, as fitted.

    shares  depth, width, resolution; `shares.compound()` is the rule as α, β, γ with α·β²·γ² = 2
    region  rules (m, 3) of a regular grid over the triangle that may be the best one, at the level of 95 %
    area    the part of the triangle, from 0 to 1, that the region takes up: 1 says that the data tell nothing
    """

    shares: Shares
    region: FloatArray
    area: float

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """The smallest and the largest share of depth, of width, of resolution in the region."""
        rules = np.vstack([self.region, self.shares.to_list()])
        return list(zip(rules.min(axis=0).tolist(), rules.max(axis=0).tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The best rule over several budgets, taken to be the same for all, and how far the data bear that out.

    optimum    the common best rule
    statistic  evidence against there being one, that is for the best rule to move with the budget: the least sum, over
               all rules, of the evidence that each budget has against the rule
    degrees_of_freedom, p_value  of that statistic's χ² distribution if there is one; for a best rule on an edge of the
               triangle the p value is too large rather than too small
    """

    optimum: Optimum
    statistic: float
    degrees_of_freedom: int
    p_value: float


def optimum(surface: Surface) -> Optimum:
    """The surface's highest rule, and all those that could be: the likelihood-ratio region of `Surface.against`."""
    best = _FINE[int(np.argmax(surface.response(_FINE)))]
    return _optimum(best, _evidence([surface], _REGION, THRESHOLD), THRESHOLD)


def common_optimum(surfaces: Sequence[Surface]) -> Common:
    """The one rule that the surfaces, one a budget, best agree on; each keeps its own height and shape.

    Raises `InputError` for fewer than two surfaces.
    """
    if len(surfaces) < 2:
        raise InputError(f"study: {len(surfaces)} budget; whether the best rule moves takes at least 2")
    bounds = np.sum([surface.at_least(_REGION) for surface in surfaces], axis=0)
    likely = _REGION[np.argsort(bounds)[:_FIRST]]
    limit = float(_evidence(surfaces, likely, np.inf).min())
    coarse = _evidence(surfaces, _REGION, limit + THRESHOLD)
    near = _FINE[np.abs(_FINE - _REGION[int(np.argmin(coarse))]).max(axis=1) < _NEARBY]
    fine = _evidence(surfaces, near, float(coarse.min()))
    least = min(float(fine.min()), float(coarse.min()))
    best = near[int(np.argmin(fine))] if fine.min() <= coarse.min() else _REGION[int(np.argmin(coarse))]
    freedom = 2 * (len(surfaces) - 1)
    return Common(
        optimum=_optimum(best, coarse, least + THRESHOLD),
        statistic=least,
        degrees_of_freedom=freedom,
        p_value=float(chi2.sf(least, freedom)),
    )


def _evidence(surfaces: Sequence[Surface], rules: FloatArray, limit: float) -> FloatArray:
    """The sum of the surfaces' evidence (n,) against rules (n, 3), exact where it is at most `limit`."""
    total: FloatArray = np.sum([surface.at_least(rules) for surface in surfaces], axis=0)
    close = total <= limit
    if close.any():
        total[close] = np.sum([surface.against(rules[close]) for surface in surfaces], axis=0)
    return total


def _optimum(best: FloatArray, against: FloatArray, limit: float) -> Optimum:
    inside = against <= limit
    depth, width, _ = np.round(best, 6).tolist()
    shares = Shares(depth, width, max(0.0, round(1 - depth - width, 6)))
    return Optimum(shares=shares, region=_REGION[inside], area=float(inside.mean()))
