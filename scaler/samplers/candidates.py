"""What a search space must say for the budget-aware sampler to search it."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from optuna.distributions import BaseDistribution

from scaler.rounding import FloatArray


class CandidateSpace(Protocol):
    """A space whose members within budget can be drawn, or counted out, without trial and error.

    distributions  the parameters as Optuna knows them; every candidate has one value for each
    """

    distributions: dict[str, BaseDistribution]

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """At most `n` distinct parameter sets, each within budget; fewer than `n` are all that the space has."""
        ...

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        """What a surrogate sees of each candidate, log cost included: (len(candidates), f) floats.

        Candidates with equal features are one and the same network.
        """
        ...


@runtime_checkable
class LocalSpace(Protocol):
    """What a space too large to be looked at as a whole may say besides: random draws from it seldom hit on a
    small change for the better to what is good already."""

    def near(self, rng: np.random.Generator, candidates: list[dict[str, Any]], n: int) -> list[dict[str, Any]]:
        """At most `n` distinct parameter sets, each within budget and a small change to one of the candidates."""
        ...
