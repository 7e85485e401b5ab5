"""The response surface: how good every rule of the triangle is within one budget, from those that were evaluated.

The response is minus the arcsine of the square root of the error, whose noise is the same at every error where noise
is that of counting errors (Anscombe, "The transformation of Poisson, binomial and negative-binomial data", 1948); being
monotone it leaves the best rule where it is. Over the triangle it is a quadratic plus polynomials of degree 3 and 4
that are shrunk to 0, as much as restricted maximum likelihood finds right (Patterson and Thompson, "Recovery of
inter-block information when block sizes are unequal", 1971): where a quadratic does, they vanish, and where it does
not, they take up what would otherwise move the optimum.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import f as f_distribution

from scaler.errors import InputError
from scaler.laws.basis import DEGREES, QUADRATIC, polynomials
from scaler.rounding import FloatArray
from scaler.scaling import lattice

NEEDED_RULES = QUADRATIC + 2
"""Evaluated networks below which no surface is fitted: a quadratic's coefficients and two for the noise."""

_SHRINKAGES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Standard deviations of a cubic coefficient, as multiples of that of the noise, that are tried."""

_QUARTIC = 0.5  # a quartic coefficient's standard deviation over that of a cubic one
_SMALLEST_NOISE = 1e-6  # below any that a count of errors has; keeps equal accuracies from dividing by 0
_RIVALS = lattice(20)
_NEIGHBOURS = 0.01 * np.array([[1, -1, 0], [-1, 1, 0], [1, 0, -1], [-1, 0, 1], [0, 1, -1], [0, -1, 1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A fitted response surface.

    coefficients   of the polynomials in use, (p,)
    factor         lower triangular (p, p), whose product with its transpose is the coefficients' precision matrix
    noise          standard deviation of one seed's response about the surface, from `degrees_of_freedom`
    observations   networks that it was fitted to
    flat           p value of the test that all rules are equally good
    """

    coefficients: FloatArray
    factor: FloatArray
    noise: float
    degrees_of_freedom: int
    observations: int
    flat: float

    def response(self, shares: FloatArray) -> FloatArray:
        """The response (n,) at shares (n, 3); the larger the better."""
        values: FloatArray = self._polynomials(shares) @ self.coefficients
        return values

    def error(self, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The error in [0, 1] of rules (n, 3), and its standard error: both (n,)."""
        angle = np.clip(-self.response(shares), 0, np.pi / 2)
        spread = np.linalg.norm(np.linalg.solve(self.factor, self._polynomials(shares).T), axis=0)
        return np.sin(angle) ** 2, spread * np.sin(2 * angle)

    def noise_at(self, error: float) -> float:
        """The standard deviation of one seed's error about `error`."""
        return float(self.noise * 2 * np.sqrt(error * (1 - error)))

    def against(self, shares: FloatArray) -> FloatArray:
        """The evidence (n,) against each of the rules (n, 3) being the best one of the triangle.

        It is the likelihood-ratio statistic of the surface as fitted against the best surface that is highest at that
        rule. The surfaces highest at a rule form a cone in the coefficients, whatever the rule's place, so corners,
        edges and surfaces without a peak need no case of their own; the distance to the cone is a least-squares problem
        with non-negative multipliers. At the truth, for a rule inside the triangle, the statistic has a χ² distribution
        with 2 degrees of freedom, exactly so (the noise being estimated) as long as the surface is a quadratic with a
        peak; on an edge or in a corner it is smaller.
        """
        rivals = np.linalg.solve(self.factor, self._polynomials(_RIVALS).T)
        target = self.factor.T @ self.coefficients
        distances = np.empty(len(shares))
        for index, rule in enumerate(shares):
            beside = rule + _NEIGHBOURS
            beside = beside[(beside >= 0).all(axis=1)]
            points = np.linalg.solve(self.factor, self._polynomials(np.vstack([rule[None], beside])).T)
            # Each column is one rival's advantage over the rule, which must not be above 0.
            advantages = np.hstack([rivals, points[:, 1:]]) - points[:, :1]
            lengths = np.linalg.norm(advantages, axis=0)
            advantages = advantages[:, lengths > 1e-9] / lengths[lengths > 1e-9]
            multipliers, _ = nnls(advantages, target, maxiter=30 * advantages.shape[1])
            distances[index] = ((advantages @ multipliers) ** 2).sum()
        # The square of a distance in estimated noise follows 2 F(2, ν); this makes χ²(2) of it.
        evidence: FloatArray = self.degrees_of_freedom * np.log1p(distances / self.degrees_of_freedom)
        return evidence

    def _polynomials(self, shares: FloatArray) -> FloatArray:
        return polynomials(shares)[:, : len(self.coefficients)]


def fit_surface(shares: FloatArray, accuracy: FloatArray, seeds: FloatArray | None = None) -> Surface:
    """The surface through networks of one budget.

    `shares` is (n, 3), `accuracy` (n,) in [0, 1]; `seeds` (n,) says how many seeds each accuracy is the mean of, 1 by
    default. Raises `InputError` if they are too few, or lie so that they say nothing about part of the triangle.
    """
    count = len(shares)
    if count < NEEDED_RULES:
        raise InputError(
            f"study: {count} networks with a rule have completed; a fit needs {NEEDED_RULES}, so search further"
        )
    weights = np.ones(count) if seeds is None else np.asarray(seeds, np.float64)
    response = -np.arcsin(np.sqrt(np.clip(1 - accuracy, 0, 1)))
    values = polynomials(shares) * np.sqrt(weights)[:, None]
    target = response * np.sqrt(weights)
    if np.linalg.matrix_rank(values[:, :QUADRATIC], tol=1e-6 * np.sqrt(count)) < QUADRATIC:
        raise InputError("study: the rules evaluated lie on a curve in the triangle; search more of it")
    fits = [_restricted_likelihood(values, target, shrinkage) for shrinkage in _SHRINKAGES]
    likelihoods = [likelihood for likelihood, _ in fits]
    chosen = int(np.argmax(likelihoods))
    shrinkage, noise = _SHRINKAGES[chosen], max(_SMALLEST_NOISE, np.sqrt(fits[chosen][1]))
    used = values[:, : len(DEGREES) if shrinkage else QUADRATIC]
    precision = used.T @ used
    if shrinkage:
        precision = precision + np.diag([0.0 if scale == 0 else scale**-2 for scale in _scales(shrinkage)])
    return Surface(
        coefficients=np.linalg.solve(precision, used.T @ target),
        factor=np.linalg.cholesky(precision) / noise,
        noise=float(noise),
        degrees_of_freedom=count - QUADRATIC,
        observations=count,
        flat=_flatness(values[:, :QUADRATIC], target, np.sqrt(weights)),
    )


def _scales(shrinkage: float) -> FloatArray:
    """The standard deviation of each coefficient, in noises; 0 stands for the free ones of the quadratic."""
    return shrinkage * np.where(DEGREES == 3, 1.0, np.where(DEGREES == 4, _QUARTIC, 0.0))


def _restricted_likelihood(values: FloatArray, target: FloatArray, shrinkage: float) -> tuple[float, float]:
    """Logarithm of the restricted likelihood of a shrinkage, and the variance of the noise under it."""
    factor = np.linalg.cholesky(np.eye(len(target)) + (values * _scales(shrinkage) ** 2) @ values.T)
    free, whitened = np.linalg.solve(factor, values[:, :QUADRATIC]), np.linalg.solve(factor, target)
    orthogonal, triangular = np.linalg.qr(free)
    residual = whitened - orthogonal @ (orthogonal.T @ whitened)
    squares, left = max(float(residual @ residual), _SMALLEST_NOISE**2), len(target) - QUADRATIC
    determinants = np.log(np.diag(factor)).sum() + np.log(np.abs(np.diag(triangular))).sum()
    return float(-left / 2 * np.log(squares) - determinants), squares / left


def _flatness(quadratic: FloatArray, target: FloatArray, constant: FloatArray) -> float:
    """p value of the F test of a quadratic against a constant."""
    left = len(target) - QUADRATIC
    residual = target - quadratic @ np.linalg.lstsq(quadratic, target, rcond=None)[0]
    level = target - constant * (constant @ target) / (constant @ constant)
    within = max(float(residual @ residual), _SMALLEST_NOISE**2)
    ratio = max(0.0, float(level @ level) - within) / (QUADRATIC - 1) / (within / left)
    return float(f_distribution.sf(ratio, QUADRATIC - 1, left))
