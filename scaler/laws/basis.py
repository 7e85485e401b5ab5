"""Orthogonal polynomials over the triangle of rules.

The triangle of shares is drawn as the equilateral one in the plane, so that depth, width and resolution are treated
alike; polynomials are made orthonormal over it degree by degree.
"""

import numpy as np

from scaler.rounding import FloatArray
from scaler.scaling import lattice

DEGREE = 4
QUADRATIC = 6
"""How many of the polynomials are of degree 2 or less."""

_PLANE = np.array([[0, 1, -1], [2, -1, -1]]) / np.sqrt([[2], [6]])
_ORDERS = [(degree - second, second) for degree in range(DEGREE + 1) for second in range(degree + 1)]

DEGREES = np.array([first + second for first, second in _ORDERS])
"""The degree of each polynomial."""


def polynomials(shares: FloatArray) -> FloatArray:
    """The polynomials' values (n, 15) at shares (n, 3)."""
    values: FloatArray = _monomials(shares) @ _TO_ORTHONORMAL
    return values


def _monomials(shares: FloatArray) -> FloatArray:
    first, second = (shares @ _PLANE.T).T
    return np.stack([first**i * second**j for i, j in _ORDERS], axis=1)


def _orthonormal() -> FloatArray:
    grid = _monomials(lattice(20))
    triangular = np.linalg.qr(grid, mode="r")
    inverse: FloatArray = np.linalg.inv(triangular) * np.sqrt(len(grid))
    return inverse


_TO_ORTHONORMAL = _orthonormal()
