"""What is worth evaluating next, and the scale on which a surrogate sees values."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import log_ndtr, ndtr

from scaler.rounding import FloatArray

_LOG_ROOT_TWO_PI = 0.5 * np.log(2 * np.pi)
_TINY = 1e-12


def log_expected_improvement(mean: FloatArray, deviation: FloatArray, best: float) -> FloatArray:
    """Log of how far above `best` a normal variable is expected to come, also where that is too small for a float.

    With z the distance in standard deviations it is log(σ (φ(z) + z Φ(z))), rewritten where z is far below 0 (Ament et
    al., NeurIPS 2023, arXiv 2310.20708).
    """
    z = (mean - best) / deviation
    near = z > -1
    middle = ~near & (z > -1000)
    safe = np.where(near, z, 0.0)
    improvement = np.log(np.exp(-0.5 * safe * safe - _LOG_ROOT_TWO_PI) + safe * ndtr(safe))
    below = np.where(near, -1.0, z)
    log_density = -0.5 * below * below - _LOG_ROOT_TWO_PI
    inner = np.where(middle, below, -1.0)
    ratio = np.log(-inner) + log_ndtr(inner) + 0.5 * inner * inner + _LOG_ROOT_TWO_PI  # of |z| Φ(z) to φ(z)
    tail = log_density + np.where(middle, np.log(-np.expm1(ratio)), -2 * np.log(-below))
    logs: FloatArray = np.log(deviation) + np.where(near, improvement, tail)
    return logs


@dataclass(frozen=True, slots=True)
class Scale:
    """Values of zero mean and unit variance, those far below the better half drawn nearer.

    A few hopeless networks would otherwise set the scale on which the good ones all look alike. From one spread below
    the median on, the distance counts by its logarithm; the spread is that of the better half about the median.
    """

    median: float
    spread: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        """The scale that these values, larger is better, give themselves."""
        median = float(np.median(values))
        better = values[values >= median]
        spread = float(np.sqrt(np.mean((better - median) ** 2))) or float(values.std()) or 1.0
        drawn, _ = _draw_near(values, median, spread)
        return cls(median, spread, float(drawn.mean()), max(float(drawn.std()), _TINY))

    def apply(self, values: FloatArray, noise: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The values, and the variances of their noise, on this scale."""
        drawn, slope = _draw_near(values, self.median, self.spread)
        return (drawn - self.mean) / self.deviation, noise * (slope / self.deviation) ** 2


def _draw_near(values: FloatArray, median: float, spread: float) -> tuple[FloatArray, FloatArray]:
    """The values with the low ones drawn near, and how much of a small difference is left at each."""
    distance = np.maximum((median - values) / spread, 1.0)
    drawn = np.where(distance > 1, median - spread * (1 + np.log(distance)), values)
    return drawn, 1 / distance
