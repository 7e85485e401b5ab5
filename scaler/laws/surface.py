"""The response surface: how good every rule of the triangle is within one budget, from those that were evaluated.

The response is minus the arcsine of the square root of the error, whose noise is the same at every error where noise
is that of counting errors (Anscombe, "The transformation of Poisson, binomial and negative-binomial data", 1948); being
monotone it leaves the best rule where it is. Over the triangle it is a Gaussian process about an unknown constant
(Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006). Its length, its height and the noise decide
how far the highest rule may be from where it seems, so none of them is settled beforehand: every length and height
whose restricted likelihood (Patterson and Thompson 1971) is not far below the greatest remains in the surface.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from scaler.errors import InputError
from scaler.laws.kernel import features
from scaler.rounding import FloatArray
from scaler.scaling import lattice

NEEDED_RULES = 8
"""Evaluated networks below which no surface is fitted: what a peak takes, and two for the noise."""

LEVEL = 0.95
"""The probability with which a region or an interval holds the truth."""

THRESHOLD = float(chi2.ppf(LEVEL, 2))
"""The evidence against a rule below which it remains in the region."""

_PEAK = 6  # coefficients of a quadratic, which a peak takes at least
_LENGTHS = (0.8, 1.6, 3.2)  # shares; a shorter one has several peaks in the triangle
_HEIGHTS = (0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # standard deviation of the process over that of the noise
_SMALLEST_NOISE = 1e-6  # below any that a count of errors has; keeps equal accuracies from dividing by 0
_APART = 1e-12  # squared distance, relative to the largest, below which two rules are the same
_RIVALS = lattice(14)
_NEIGHBOURS = 0.01 * np.array([[1, -1, 0], [-1, 1, 0], [1, 0, -1], [-1, 0, 1], [0, 1, -1], [0, -1, 1]])


@dataclass(frozen=True, slots=True)
class _Process:
    """A Gaussian process of one length and height, given the observations.

    penalty       twice the logarithm of the greatest likelihood over this one's
    length        of the kernel
    coefficients  of the features, their mean (p,)
    factor        lower triangular (p, p); its product with its transpose is the coefficients' precision matrix
    noise         standard deviation of one seed's response
    rivals        the features of rules on a grid, whitened: (p, rivals)
    """

    penalty: float
    length: float
    coefficients: FloatArray
    factor: FloatArray
    noise: float
    rivals: FloatArray

    def response(self, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the response at shares (n, 3): (n,) each."""
        values = features(shares, self.length)
        deviations = np.sqrt((self.whitened(values) ** 2).sum(axis=0))
        return values @ self.coefficients, deviations

    def whitened(self, values: FloatArray) -> FloatArray:
        """Features (n, p) in coordinates (p, n) in which the coefficients' uncertainty is a unit ball."""
        return np.asarray(np.linalg.solve(self.factor, values.T), np.float64)

    @property
    def target(self) -> FloatArray:
        """The coefficients in those coordinates, (p,)."""
        return np.asarray(self.factor.T @ self.coefficients, np.float64)

    def single_rival(self, shares: FloatArray) -> FloatArray:
        """The squared distance (n,) to surfaces on which no rival is better than the rule, of the rules (n, 3), taking
        each rival alone and of these distances the greatest."""
        rules = self.whitened(features(shares, self.length))
        gains = (self.target @ self.rivals)[None, :] - (self.target @ rules)[:, None]
        squares = (rules**2).sum(axis=0)[:, None] + (self.rivals**2).sum(axis=0) - 2 * rules.T @ self.rivals
        # Between rules all but equal the squares are rounding errors, so such a rival says nothing.
        apart = _APART * squares.max()
        distances = np.where(gains > 0, gains, 0) ** 2 / np.maximum(squares, apart)
        return np.asarray(np.where(squares > apart, distances, 0).max(axis=1), np.float64)

    def advantages(self, rule: FloatArray, beside: FloatArray) -> FloatArray:
        """What every rival, on the grid or beside the rule, has over the rule: unit columns (p, rivals)."""
        columns = np.hstack([self.rivals, beside]) - rule[:, None]
        squares = (columns**2).sum(axis=0)
        apart = squares > _APART * squares.max()
        unit: FloatArray = columns[:, apart] / np.sqrt(squares[apart])
        return unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A fitted response surface.

    processes     what it may be, the likeliest first
    degrees_of_freedom  that the noise is estimated with, at least
    observations  networks that it was fitted to
    flat          p value of the test that all rules are equally good
    """

    processes: tuple[_Process, ...]
    degrees_of_freedom: int
    observations: int
    flat: float

    def response(self, shares: FloatArray) -> FloatArray:
        """The likeliest process's response (n,) at shares (n, 3); the larger the better."""
        return self.processes[0].response(shares)[0]

    def error(self, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The error in [0, 1] of rules (n, 3), and its standard error: both (n,).

        They are those of all processes together, each by its likelihood.
        """
        weights = np.array([np.exp(-process.penalty / 2) for process in self.processes])
        weights /= weights.sum()
        responses = [process.response(shares) for process in self.processes]
        means, deviations = (np.array([response[index] for response in responses]) for index in (0, 1))
        mean = weights @ means
        spread = np.sqrt(weights @ (deviations**2 + (means - mean) ** 2))
        angle = np.clip(-mean, 0, np.pi / 2)
        return np.sin(angle) ** 2, spread * np.sin(2 * angle)

    def noise_at(self, error: float) -> float:
        """The standard deviation of one seed's error about `error`."""
        return float(self.processes[0].noise * 2 * np.sqrt(error * (1 - error)))

    def against(self, shares: FloatArray) -> FloatArray:
        """The evidence (n,) against each of the rules (n, 3) being the best one of the triangle.

        It is the likelihood-ratio statistic of the likeliest surface against the likeliest one that is highest at that
        rule, over all lengths and heights. The surfaces highest at a rule form a cone in the coefficients, wherever the
        rule lies, so corners, edges and surfaces without a peak need no case of their own; the distance to the cone is
        a least-squares problem with non-negative multipliers. For a rule inside the triangle two slopes must vanish, so
        at the truth the statistic has about a χ² distribution with 2 degrees of freedom; on an edge or in a corner it
        is smaller.
        """
        evidence = np.full(len(shares), np.inf)
        beside = (shares[:, None, :] + _NEIGHBOURS).reshape(-1, 3)
        within: NDArray[np.bool_] = np.min(beside, axis=1) >= 0
        for process in self.processes:
            bound = process.penalty + self._evidence(process.single_rival(shares))
            rules = process.whitened(features(shares, process.length))
            near = process.whitened(features(beside, process.length))
            for index in np.flatnonzero(bound < evidence):
                around = np.arange(index * len(_NEIGHBOURS), (index + 1) * len(_NEIGHBOURS))
                advantages = process.advantages(rules[:, index], near[:, around[within[around]]])
                assert advantages.shape[1], "some rival differs from the rule; without one nnls ends the process"
                multipliers, _ = nnls(advantages, process.target, maxiter=100 * advantages.shape[1])
                distance = ((advantages @ multipliers) ** 2).sum()
                evidence[index] = min(evidence[index], process.penalty + float(self._evidence(distance)))
        return evidence

    def at_least(self, shares: FloatArray) -> FloatArray:
        """A lower bound (n,) of the evidence against rules (n, 3), at little cost: by the strongest rival alone."""
        bounds = [process.penalty + self._evidence(process.single_rival(shares)) for process in self.processes]
        return np.asarray(np.min(bounds, axis=0), np.float64)

    def _evidence(self, distances: FloatArray) -> FloatArray:
        """Squared distances in estimated noise are 2 F(2, ν); this makes χ²(2) of them."""
        evidence: FloatArray = self.degrees_of_freedom * np.log1p(distances / self.degrees_of_freedom)
        return evidence


def fit_surface(shares: FloatArray, accuracy: FloatArray, seeds: FloatArray | None = None) -> Surface:
    """The surface through networks of one budget.

    `shares` is (n, 3), `accuracy` (n,) in [0, 1]; `seeds` (n,) says how many seeds each accuracy is the mean of, 1 by
    default. Raises `InputError` if they are too few.
    """
    count = len(shares)
    if count < NEEDED_RULES:
        raise InputError(
            f"study: {count} networks with a rule have completed; a fit needs {NEEDED_RULES}, so search further"
        )
    weights = np.ones(count) if seeds is None else np.asarray(seeds, np.float64)
    response = -np.arcsin(np.sqrt(np.clip(1 - accuracy, 0, 1)))
    values = {length: features(shares, length) for length in _LENGTHS}
    tried = [
        (*_restricted_likelihood(values[length], response, weights, height), length, height)
        for length in _LENGTHS
        for height in _HEIGHTS
    ]
    greatest = max(likelihood for likelihood, *_ in tried)
    processes = [
        _process(2 * (greatest - likelihood), values[length], response, weights, length, height, noise)
        for likelihood, noise, length, height in tried
        if 2 * (greatest - likelihood) < THRESHOLD
    ]
    return Surface(
        processes=tuple(sorted(processes, key=lambda process: process.penalty)),
        degrees_of_freedom=count - _PEAK,
        observations=count,
        flat=_flatness(shares, response, weights),
    )


def _restricted_likelihood(
    values: FloatArray, response: FloatArray, weights: FloatArray, height: float
) -> tuple[float, float]:
    """Logarithm of the restricted likelihood of a height over the noise, and the noise under it."""
    covariance = np.diag(1 / weights) + height**2 * values[:, 1:] @ values[:, 1:].T
    factor = np.linalg.cholesky(covariance)
    one, white = (np.linalg.solve(factor, column) for column in (values[:, 0], response))
    residual = white - one * (one @ white) / (one @ one)
    squares, left = max(float(residual @ residual), _SMALLEST_NOISE**2), len(response) - 1
    likelihood = -left / 2 * np.log(squares) - np.log(np.diag(factor)).sum() - np.log(one @ one) / 2
    return float(likelihood), max(_SMALLEST_NOISE, float(np.sqrt(squares / left)))


def _process(
    penalty: float,
    values: FloatArray,
    response: FloatArray,
    weights: FloatArray,
    length: float,
    height: float,
    noise: float,
) -> _Process:
    precision: FloatArray = (values.T * weights) @ values
    precision[np.diag_indices(len(precision))] += [0, *[height**-2] * (len(precision) - 1)]
    factor = np.asarray(np.linalg.cholesky(precision) / noise, np.float64)
    coefficients = np.asarray(np.linalg.solve(precision, (values.T * weights) @ response), np.float64)
    return _Process(
        penalty=penalty,
        length=length,
        coefficients=coefficients,
        factor=factor,
        noise=noise,
        rivals=np.asarray(np.linalg.solve(factor, features(_RIVALS, length).T), np.float64),
    )


def _flatness(shares: FloatArray, response: FloatArray, weights: FloatArray) -> float:
    """p value of the F test of a quadratic against a constant."""
    first, second = shares[:, 0], shares[:, 1]
    quadratic = np.stack([np.ones(len(shares)), first, second, first**2, first * second, second**2], axis=1)
    root = np.sqrt(weights)
    target, constant = response * root, quadratic[:, 0] * root
    solution, _, rank, _ = np.linalg.lstsq(quadratic * root[:, None], target, rcond=None)
    residual = target - (quadratic * root[:, None]) @ solution
    level = target - constant * (constant @ target) / (constant @ constant)
    if rank < 2:
        return 1.0
    left = len(response) - int(rank)
    within = max(float(residual @ residual), _SMALLEST_NOISE**2)
    ratio = max(0.0, float(level @ level) - within) / (rank - 1) / (within / left)
    return float(f_distribution.sf(ratio, rank - 1, left))
