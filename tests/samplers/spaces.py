"""Small spaces for the tests of samplers."""

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from scaler.rounding import FloatArray


class Grid:
    """Depth 1 to 12 and width 1 to 12 whose product, the cost, is at most 60: 107 networks, some of one cost."""

    limit = 60

    def __init__(self) -> None:
        self.distributions: dict[str, BaseDistribution] = {
            "depth": IntDistribution(1, 12),
            "width": IntDistribution(1, 12),
        }

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        sizes = range(1, 13)
        networks = [{"depth": d, "width": w} for d in sizes for w in sizes if d * w <= self.limit]
        if len(networks) <= n:
            return networks
        return [networks[index] for index in rng.choice(len(networks), n, replace=False)]

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        if any(params["depth"] == 12 and params["width"] == 12 for params in candidates):
            raise ValueError("no such network")
        sides = np.array([[params["depth"], params["width"]] for params in candidates], float)
        return np.log(np.column_stack([sides, sides.prod(axis=1)]))


class Box:
    """Whatever Optuna's distributions allow, at random: a space without a budget, larger than any pool."""

    def __init__(self, distributions: dict[str, BaseDistribution]) -> None:
        self.distributions = distributions

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        sampler = optuna.samplers.RandomSampler(seed=int(rng.integers(2**31)))
        study = optuna.create_study(sampler=sampler)
        drawn = [
            {name: sampler.sample_independent(study, None, name, kind) for name, kind in self.distributions.items()}
            for _ in range(n)
        ]
        return list({tuple(params.values()): params for params in drawn}.values())

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        rows = [
            [self._number(kind, params[name]) for name, kind in self.distributions.items()] for params in candidates
        ]
        return np.array(rows, float).reshape(len(candidates), len(self.distributions))

    @staticmethod
    def _number(kind: BaseDistribution, value: Any) -> float:
        if isinstance(kind, CategoricalDistribution):
            return float(kind.choices.index(value))
        logarithmic = isinstance(kind, FloatDistribution | IntDistribution) and kind.log
        return float(np.log(value)) if logarithmic else float(value)
