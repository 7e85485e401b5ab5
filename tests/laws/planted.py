"""Studies with a planted truth: accuracies whose best rule, scaling law and noise are known."""

from collections.abc import Callable

import numpy as np

from scaler.rounding import FloatArray
from scaler.scaling import lattice

Truth = Callable[[FloatArray], FloatArray]

TOP, DROP = 0.90, 0.02
"""Accuracy of the best rule, and of the worst one below it: about what shapes of one budget differ by."""


def _from(loss: Truth, best: FloatArray) -> Truth:
    """Accuracy from a loss over the triangle that is least at `best`."""
    least, most = loss(best[None])[0], loss(lattice(40)).max()
    return lambda shares: TOP - DROP * (loss(shares) - least) / (most - least)


def quadratic(best: FloatArray) -> Truth:
    """Falls with the square of the distance."""
    return _from(lambda shares: ((shares - best) ** 2).sum(axis=1), best)


def stretched(best: FloatArray) -> Truth:
    """A quadratic ten times as steep from depth to width as across it."""
    along, across = np.array([1, -1, 0]) / np.sqrt(2), np.array([1, 1, -2]) / np.sqrt(6)
    return _from(lambda shares: 10 * ((shares - best) @ along) ** 2 + ((shares - best) @ across) ** 2, best)


def bump(best: FloatArray) -> Truth:
    """A bell that levels off towards the corners."""
    return _from(lambda shares: 1 - np.exp(-((shares - best) ** 2).sum(axis=1) / (2 * 0.35**2)), best)


def cone(best: FloatArray) -> Truth:
    """Falls with the distance itself: a kink at the top."""
    return _from(lambda shares: np.linalg.norm(shares - best, axis=1), best)


def cliffs(best: FloatArray) -> Truth:
    """Falls ever steeper towards an edge, as the logarithm of a share does."""
    return _from(lambda shares: -np.log(shares + 0.1) @ (best + 0.1), best)


def decays(best: FloatArray) -> Truth:
    """Each axis has errors of its own that decay as it gets its share."""
    return _from(lambda shares: (8 ** (1.5 * (best - shares))).sum(axis=1), best)


SHAPES = {shape.__name__: shape for shape in (quadratic, stretched, bump, cone, cliffs, decays)}

PLACES = {
    "inside": np.array([0.2, 0.5, 0.3]),
    "centre": np.array([1, 1, 1]) / 3,
    "near a corner": np.array([0.1, 0.8, 0.1]),
    "on an edge": np.array([0.0, 0.6, 0.4]),
    "in a corner": np.array([0.0, 1.0, 0.0]),
}


def observed(
    truth: Truth, count: int, noise: float, rng: np.random.Generator, search: bool = False
) -> tuple[FloatArray, FloatArray]:
    """Shares (count, 3) and accuracies (count,) of a study.

    The rules are spread evenly, or, as by a search, three quarters of them within a small distance of the best one.
    """
    shares = rng.dirichlet([1, 1, 1], count)
    if search:
        pool = lattice(40)
        best = pool[int(np.argmax(truth(pool)))]
        near = rng.random(count) < 0.75
        shares[near] = 0.65 * best + 0.35 * shares[near]
    return shares, truth(shares) + rng.normal(0, noise, count)
