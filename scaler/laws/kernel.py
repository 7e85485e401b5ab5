"""Smooth functions over the triangle of rules: the main features of a Matérn kernel of one length."""

import functools

import numpy as np

from scaler.rounding import FloatArray
from scaler.scaling import lattice

_MOST_FEATURES = 36
_SMALLEST = 1e-6  # eigenvalues below it, relative to the largest, are rounding errors
_ANCHORS = lattice(20)


def features(shares: FloatArray, length: float) -> FloatArray:
    """Features (n, p) of rules (n, 3): a constant, then those whose products add up to the kernel.

    The kernel is Matérn's of order 5/2, twice differentiable, over the Euclidean distance between shares, which is the
    same in every direction of the triangle, whose side is √2. A Gaussian kernel is too smooth here: it gave smaller
    regions, and ones that missed a peak near a corner. The features are Nyström's (Williams and Seeger, "Using the
    Nyström method to speed up kernel machines", 2001) over a grid that is dense for the lengths in use.
    """
    values = _kernel(shares, _ANCHORS, length) @ _to_features(length)
    return np.hstack([np.ones((len(shares), 1)), values])


@functools.cache
def _to_features(length: float) -> FloatArray:
    values, vectors = np.linalg.eigh(_kernel(_ANCHORS, _ANCHORS, length))
    kept = np.flatnonzero(values > _SMALLEST * values[-1])[::-1][:_MOST_FEATURES]
    scaled: FloatArray = vectors[:, kept] / np.sqrt(values[kept])
    return scaled


def _kernel(first: FloatArray, second: FloatArray, length: float) -> FloatArray:
    distance = np.sqrt(5 * ((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=2)) / length
    near: FloatArray = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return near
