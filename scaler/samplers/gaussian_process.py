"""Gaussian-process regression for some hundreds of noisy observations, in numpy.

The prior covariance is a Matérn-5/2 kernel with a length scale for each feature plus a linear kernel: most of what
depth, width or cost do to accuracy is a trend, which the linear part learns from a handful of observations, and the
Matérn part learns what departs from it. Hyperparameters are those of the highest posterior density; its gradient is
analytic (Rasmussen and Williams, 2006, chapter 5). The prior of the length scales grows with the square root of the
number of features (Hvarfner et al., ICML 2024, arXiv 2402.02229), so that dozens of features do no harm.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from scaler.rounding import FloatArray

_JITTER = 1e-6
_MAX_STEPS = 60
_BOUND = 4.0  # standard deviations of the prior that the search for hyperparameters may go

_LENGTH_LOG_MEAN = np.sqrt(2)  # for features of unit variance, before the square root of their number is counted in
_LENGTH_LOG_SD = 0.7
_SIGNAL_PRIOR = (0.0, 1.0)  # mean and standard deviation of the log, for values of unit variance
_LINEAR_PRIOR = (np.log(0.3), 1.5)
_NOISE_PRIOR = (np.log(0.02), 1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """What the prior takes as given, for features and values of zero mean and unit variance.

    lengths  length scale of each feature, (f,)
    signal   variance of the Matérn part
    linear   variance of the linear part at a point whose features are all 1
    noise    variance of an observation about the function
    """

    lengths: FloatArray
    signal: float
    linear: float
    noise: float

    @classmethod
    def from_logs(cls, logs: FloatArray) -> Self:
        """From one vector of logarithms, the length scales first."""
        signal, linear, noise = np.exp(logs[-3:]).tolist()
        return cls(lengths=np.exp(logs[:-3]), signal=signal, linear=linear, noise=noise)

    def covariance(self, x: FloatArray, other: FloatArray) -> FloatArray:
        """Prior covariance of the function at each of `x` (n, f) and each of `other` (m, f): (n, m)."""
        matern = _matern(squared_distance(x / self.lengths, other / self.lengths))
        covariance: FloatArray = self.signal * matern + self.linear / x.shape[1] * (x @ other.T)
        return covariance

    def variance(self, x: FloatArray) -> FloatArray:
        """Prior variance of the function at each of `x` (n, f): (n,)."""
        trend: FloatArray = self.linear / x.shape[1] * (x * x).sum(axis=1)
        return self.signal + trend


class GaussianProcess:
    """The function's distribution, given observations `y` (n,) at `x` (n, f).

    noise  variance of each observation beyond the hyperparameters' own, (n,) or one figure for all
    """

    def __init__(
        self, hyperparameters: Hyperparameters, x: FloatArray, y: FloatArray, noise: FloatArray | float = 0.0
    ) -> None:
        self.hyperparameters = hyperparameters
        self._x = x
        self._y = y
        self._noise = np.broadcast_to(np.asarray(noise, np.float64), len(x))
        covariance = hyperparameters.covariance(x, x)
        covariance[np.diag_indices(len(x))] += hyperparameters.noise + self._noise + _JITTER
        self._factor = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), y, check_finite=False)

    def mean(self, x: FloatArray) -> FloatArray:
        """Posterior mean of the function at each of `x` (m, f): (m,)."""
        mean: FloatArray = self.hyperparameters.covariance(x, self._x) @ self._weights
        return mean

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean and standard deviation of the function, noise left out, at each of `x` (m, f): two (m,)."""
        covariance = self.hyperparameters.covariance(self._x, x)
        explained = solve_triangular(self._factor, covariance, lower=True, check_finite=False)
        variance = self.hyperparameters.variance(x) - np.einsum("ij,ij->j", explained, explained)
        return covariance.T @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, x: FloatArray) -> "GaussianProcess":
        """This process after observing its own mean at `x` (m, f): no mean moves, and the uncertainty shrinks there."""
        if len(x) == 0:
            return self
        return GaussianProcess(
            self.hyperparameters,
            np.concatenate([self._x, x]),
            np.concatenate([self._y, self.mean(x)]),
            np.concatenate([self._noise, np.zeros(len(x))]),
        )


def fit(x: FloatArray, y: FloatArray, noise: FloatArray | float = 0.0) -> Hyperparameters:
    """The hyperparameters of the highest posterior density; the same for the same observations."""
    centre, spread = _prior(x.shape[1])
    limits = np.column_stack([centre - _BOUND * spread, centre + _BOUND * spread])
    extra = np.broadcast_to(np.asarray(noise, np.float64), len(x))
    found = minimize(
        negative_log_density,
        centre,
        args=(x, y, extra),
        jac=True,
        method="L-BFGS-B",
        bounds=limits,
        options={"maxiter": _MAX_STEPS},
    )
    return Hyperparameters.from_logs(found.x)


def negative_log_density(logs: FloatArray, x: FloatArray, y: FloatArray, noise: FloatArray) -> tuple[float, FloatArray]:
    """Minus the log of likelihood times prior, up to a constant, and its gradient in the hyperparameters' logs."""
    prior = Hyperparameters.from_logs(logs)
    count, features = x.shape
    distance = squared_distance(x / prior.lengths, x / prior.lengths)
    np.fill_diagonal(distance, 0.0)
    matern = _matern(distance)
    trend = x @ x.T / features
    covariance = prior.signal * matern + prior.linear * trend
    covariance[np.diag_indices(count)] += prior.noise + noise + _JITTER
    centre, spread = _prior(features)
    z = (logs - centre) / spread
    try:
        factor = cholesky(covariance, lower=True, check_finite=False)
    except LinAlgError:
        return 1e10, np.zeros_like(logs)
    weights = cho_solve((factor, True), y, check_finite=False)
    value = 0.5 * float(y @ weights) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(z @ z)

    # d value / d covariance, entry by entry; each hyperparameter's derivative is its product with d covariance.
    pull = 0.5 * (cho_solve((factor, True), np.eye(count), check_finite=False) - np.outer(weights, weights))
    by_distance = pull * prior.signal * _matern_slope(distance)
    gradient = np.empty_like(logs)
    # Σ_ij B_ij (x_ik − x_jk)², without an array of all pairs and features.
    squares = 2 * (by_distance.sum(axis=1) @ (x * x) - ((by_distance @ x) * x).sum(axis=0))
    gradient[:-3] = -2 * squares / prior.lengths**2
    gradient[-3] = prior.signal * (pull * matern).sum()
    gradient[-2] = prior.linear * (pull * trend).sum()
    gradient[-1] = prior.noise * np.trace(pull)
    return value, gradient + z / spread


def _prior(features: int) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each hyperparameter's log."""
    length = _LENGTH_LOG_MEAN + 0.5 * np.log(features)
    centre = [length] * features + [_SIGNAL_PRIOR[0], _LINEAR_PRIOR[0], _NOISE_PRIOR[0]]
    spread = [_LENGTH_LOG_SD] * features + [_SIGNAL_PRIOR[1], _LINEAR_PRIOR[1], _NOISE_PRIOR[1]]
    return np.array(centre), np.array(spread)


def _matern(squared_distance: FloatArray) -> FloatArray:
    """The Matérn-5/2 correlation at each squared distance."""
    scaled = np.sqrt(5 * squared_distance)
    correlation: FloatArray = (1 + scaled * (1 + scaled / 3)) * np.exp(-scaled)
    return correlation


def _matern_slope(squared_distance: FloatArray) -> FloatArray:
    """The derivative of `_matern`."""
    scaled = np.sqrt(5 * squared_distance)
    slope: FloatArray = -5 / 6 * (1 + scaled) * np.exp(-scaled)
    return slope


def squared_distance(x: FloatArray, other: FloatArray) -> FloatArray:
    """Squared Euclidean distance of each of `x` (n, f) to each of `other` (m, f): (n, m)."""
    squares = (x * x).sum(axis=1)[:, None] + (other * other).sum(axis=1) - 2 * (x @ other.T)
    distance: FloatArray = np.maximum(squares, 0.0)
    return distance
