"""Of thousands of points, those that a picture shows: more would make the page heavy and show no more."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_POINTS = 1500


def thinned(values: ArrayLike, most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Places of at most so many of the values (n,), in their order: the best half, and evenly of the ranks below."""
    ranked = np.argsort(-np.nan_to_num(np.asarray(values, float), nan=-np.inf), kind="stable")
    if len(ranked) <= most:
        return np.arange(len(ranked))
    best = most // 2
    below = np.linspace(best, len(ranked) - 1, most - best).astype(int)
    return np.sort(np.concatenate([ranked[:best], ranked[below]]))
