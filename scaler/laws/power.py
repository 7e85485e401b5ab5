"""The scaling law of a rule: error(MACs) = a · (MACs / reference)^(−b) + c, and the forecast that it allows.

The form is that of Hestness et al., "Deep Learning Scaling is Predictable, Empirically" (arXiv 1712.00409). With the
few budgets that one affords, the three coefficients are far from settled: a steep law with a high floor c and a flat
one without a floor fit alike. So a forecast's interval is that of the profile likelihood, which holds whatever any law
that the data allow says; bootstrap percentiles are right for the coefficients, but as a forecast they miss the truth
too often where the floor is 0, at the edge of what is possible.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from scaler.budget import format_quantity
from scaler.errors import InputError
from scaler.laws.surface import LEVEL
from scaler.rounding import FloatArray

NEEDED_BUDGETS = 3
"""Budgets below which no law is fitted: it has three coefficients."""

_EXPONENTS = np.geomspace(0.02, 3, 120)
_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The error that a law expects at a budget.

    low, high      interval of 95 % for the mean error of many seeds, provided that the law goes on to hold
    extrapolation  the budget as a multiple of the largest one with data
    """

    macs: int
    error: float
    low: float
    high: float
    extrapolation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """A fitted law, with intervals of 95 % for its coefficients from a parametric bootstrap.

    a, b, c    excess of the smallest budget's error over the floor, exponent, floor
    reference  the smallest budget, MACs
    misfit     p value of the test that the law holds, where more budgets than coefficients allow one
    macs, errors, deviations  what it was fitted to: (k,) budgets, errors and their standard errors
    """

    a: float
    b: float
    c: float
    a_interval: tuple[float, float]
    b_interval: tuple[float, float]
    c_interval: tuple[float, float]
    reference: int
    misfit: float | None
    macs: FloatArray
    errors: FloatArray
    deviations: FloatArray

    def at(self, macs: float) -> float:
        """The error at a budget, in MACs."""
        return float(self.a * (macs / self.reference) ** -self.b + self.c)

    def forecast(self, macs: int) -> Forecast:
        """The error to expect at a budget, with the interval of all laws that the data allow."""
        low, high = _profile(np.log(self.macs / self.reference), self.errors, self.deviations, macs / self.reference)
        error = self.at(macs)
        return Forecast(
            macs=macs,
            error=error,
            low=min(low, error),
            high=min(1.0, max(high, error)),
            extrapolation=macs / float(self.macs.max()),
        )


def fit_power_law(macs: FloatArray, errors: FloatArray, deviations: FloatArray, seed: int = 0) -> PowerLaw:
    """The law through a rule's errors (k,) in [0, 1] at k budgets (k,), in MACs, with their standard errors (k,).

    a and c are at least 0, b from 0.02 to 3. `seed` seeds the bootstrap. Raises `InputError` if the budgets are fewer
    than three.
    """
    distinct = len(np.unique(macs))
    if distinct < NEEDED_BUDGETS or distinct < len(macs):
        raise InputError(
            f"study: {distinct} budget{'s' if distinct > 1 else ''} ({', '.join(format_quantity(m) for m in macs)}) "
            f"for a scaling law of three coefficients; it needs {NEEDED_BUDGETS}, so search at others too"
        )
    reference = int(macs.min())
    logarithm = np.log(macs / reference)
    (a,), (b,), (c,), (misfit,) = _solve(logarithm, errors[None], deviations)
    fitted = a * np.exp(-b * logarithm) + c
    draws = fitted + np.random.default_rng(seed).normal(size=(_DRAWS, len(macs))) * deviations
    intervals = [
        (float(low), float(high))
        for low, high in (
            np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            for values in _solve(logarithm, draws, deviations)[:3]
        )
    ]
    left = len(macs) - 3
    return PowerLaw(
        a=float(a),
        b=float(b),
        c=float(c),
        a_interval=intervals[0],
        b_interval=intervals[1],
        c_interval=intervals[2],
        reference=reference,
        misfit=float(chi2.sf(misfit, left)) if left else None,
        macs=macs,
        errors=errors,
        deviations=deviations,
    )


@dataclass(frozen=True, slots=True)
class _Lines:
    """For every exponent (g,), the weighted least squares of errors (draws, k) on a · MACs^(−b) + c, a and c free."""

    powers: FloatArray
    weights: FloatArray
    sums: tuple[float, FloatArray, FloatArray]
    a: FloatArray
    c: FloatArray
    a_alone: FloatArray
    c_alone: FloatArray


def _lines(logarithm: FloatArray, errors: FloatArray, deviations: FloatArray) -> _Lines:
    weights = deviations**-2.0
    powers = np.exp(-_EXPONENTS[:, None] * logarithm)
    total, first, second = float(weights.sum()), powers @ weights, powers**2 @ weights
    level, slope = (errors @ weights)[:, None], (errors * weights) @ powers.T
    determinant = second * total - first**2
    return _Lines(
        powers,
        weights,
        (total, first, second),
        a=(slope * total - first * level) / determinant,
        c=(second * level - first * slope) / determinant,
        a_alone=slope / second,
        c_alone=level / total,
    )


def _solve(
    logarithm: FloatArray, errors: FloatArray, deviations: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """The least-squares law of each row of errors (draws, k): a, b, c and the sum of squares, (draws,) each."""
    lines = _lines(logarithm, errors, deviations)
    rising, floorless = lines.a < 0, lines.c < 0
    a = np.where(rising, 0, np.where(floorless, lines.a_alone, lines.a))
    c = np.where(rising, lines.c_alone, np.where(floorless, 0, lines.c))
    squares = _squares(lines, errors[:, None, :], a, c)
    best = squares.argmin(axis=1)
    row = np.arange(len(errors))
    return a[row, best], _EXPONENTS[best], c[row, best], squares[row, best]


def _squares(lines: _Lines, errors: FloatArray, a: FloatArray, c: FloatArray) -> FloatArray:
    squares: FloatArray = ((errors - a[..., None] * lines.powers - c[..., None]) ** 2 @ lines.weights).astype(float)
    return squares


def _profile(logarithm: FloatArray, errors: FloatArray, deviations: FloatArray, multiple: float) -> tuple[float, float]:
    """Lowest and highest error, at a multiple of the reference, of any law about as likely as the likeliest one.

    For one exponent the laws that are likely enough are an ellipse of a and c, and the error is linear in them: it is
    extreme on the ellipse's rim, or, where that is below 0 in a or c, on the line a = 0 or c = 0.
    """
    lines = _lines(logarithm, errors[None], deviations)
    total, first, second = lines.sums
    a, c, a_alone, c_alone = lines.a[0], lines.c[0], lines.a_alone[0], np.broadcast_to(lines.c_alone[0], first.shape)
    least = float(_solve(logarithm, errors[None], deviations)[3][0])
    # A law that misses by more than its errors' standard errors has these too small (Birge's ratio).
    inflation = max(1.0, least / (len(errors) - 3)) if len(errors) > 3 else 1.0
    limit = least + inflation * float(chi2.ppf(LEVEL, 1))
    power = multiple**-_EXPONENTS
    determinant = second * total - first**2
    found: list[tuple[FloatArray, FloatArray]] = []
    room = limit - _squares(lines, errors, a, c)
    # Covariance of (a, c) is [[total, -first], [-first, second]] / determinant.
    toward_a, toward_c = (power * total - first) / determinant, (second - power * first) / determinant
    length = np.sqrt(np.maximum(power * toward_a + toward_c, 1e-300))
    for sign in (-1, 1):
        step = sign * np.sqrt(np.maximum(room, 0)) / length
        found.append(_allowed(a + step * toward_a, c + step * toward_c, room))
        room_a = limit - _squares(lines, errors, a_alone, np.zeros_like(a))
        found.append(_allowed(a_alone + sign * np.sqrt(np.maximum(room_a, 0) / second), np.zeros_like(a), room_a))
        room_c = limit - _squares(lines, errors, np.zeros_like(a), c_alone)
        found.append(_allowed(np.zeros_like(a), c_alone + sign * np.sqrt(np.maximum(room_c, 0) / total), room_c))
    forecasts = np.concatenate([(a * power + c)[np.isfinite(a)] for a, c in found])
    return float(forecasts.min()), float(forecasts.max())


def _allowed(a: FloatArray, c: FloatArray, room: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The laws of which no coefficient is below 0; the others become not-a-number."""
    allowed: NDArray[np.bool_] = (room >= 0) & (a >= 0) & (c >= 0)
    return np.where(allowed, a, np.nan), np.where(allowed, c, np.nan)
