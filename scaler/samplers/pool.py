"""The candidates that one proposal is chosen from."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from scaler.errors import InputError
from scaler.rounding import FloatArray
from scaler.samplers.candidates import CandidateSpace, LocalSpace
from scaler.samplers.observations import Key, keys_of


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates that are different points.

    candidates  their parameters
    features    as the surrogate takes them: of zero mean and unit variance over the space, (n, f)
    keys        the points that they are
    """

    candidates: list[dict[str, Any]]
    features: FloatArray
    keys: list[Key]

    def __len__(self) -> int:
        return len(self.keys)


class Pools:
    """Draws pools from a space; one that holds fewer than `size` networks is always drawn as a whole.

    The scale of the features is that of the first draw, which `seed` decides.
    """

    def __init__(self, space: CandidateSpace, size: int, seed: int) -> None:
        self._space = space
        self._size = size
        candidates = space.candidates(np.random.default_rng(seed), size)
        if not candidates:
            raise InputError("space: it holds no network within budget; raise the budget")
        features = np.asarray(space.features(candidates), np.float64)
        spread = features.std(axis=0)
        self._columns = spread > 1e-9 * np.abs(features).max(axis=0)
        self._centre, self._spread = features.mean(axis=0)[self._columns], spread[self._columns]
        self.first = self._pool(candidates, features)
        self.is_whole = len(candidates) < size

    def draw(self, rng: np.random.Generator, good: list[dict[str, Any]]) -> Pool:
        """The whole space if it is small, else a new draw: half of it near the good ones, if the space can say so."""
        if self.is_whole:
            return self.first
        near = self._space.near(rng, good, self._size // 2) if good and isinstance(self._space, LocalSpace) else []
        candidates = near + self._space.candidates(rng, self._size - len(near))
        return self._pool(candidates, np.asarray(self._space.features(candidates), np.float64))

    def standardised(self, features: list[FloatArray] | FloatArray) -> FloatArray:
        """Rows of features as the surrogate takes them, (n, f); columns that never vary in the space are left out."""
        rows = np.asarray(features, np.float64).reshape(len(features), len(self._columns))[:, self._columns]
        scaled: FloatArray = (rows - self._centre) / self._spread
        return scaled

    def _pool(self, candidates: list[dict[str, Any]], features: FloatArray) -> Pool:
        """The candidates without those that are the same point as an earlier one."""
        keys = keys_of(features)
        first = sorted({key: index for index, key in reversed(list(enumerate(keys)))}.values())
        return Pool(
            [candidates[index] for index in first], self.standardised(features[first]), [keys[index] for index in first]
        )
