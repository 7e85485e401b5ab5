"""The triangle of rules as an Optuna search space, and a sampler that never proposes a network twice."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from scaler.errors import unknown
from scaler.rounding import FloatArray
from scaler.scaling import Shares
from scaler.space import Triangle
from scaler.study import taken_digests

DEPTH_SHARE = "depth_share"
WIDTH_OF_REST = "width_of_rest"


def distributions() -> dict[str, BaseDistribution]:
    """The triangle's two free dimensions: the share of depth, and the part of the rest that goes to width."""
    return {DEPTH_SHARE: FloatDistribution(0, 1), WIDTH_OF_REST: FloatDistribution(0, 1)}


def params_to_shares(params: Mapping[str, float]) -> Shares:
    """The rule that a trial's parameters stand for."""
    depth, part = params[DEPTH_SHARE], params[WIDTH_OF_REST]
    return Shares(depth, (1 - depth) * part, (1 - depth) * (1 - part))


def shares_to_params(shares: Shares) -> dict[str, float]:
    """The parameters that stand for a rule."""
    rest = 1 - shares.depth
    return {DEPTH_SHARE: shares.depth, WIDTH_OF_REST: min(1.0, shares.width / rest) if rest > 0 else 0.0}


class TriangleSpace:
    """The triangle as a `CandidateSpace`: its distinct networks, each by the middlemost of the rules that make it.

    The features are the network's, not the rule's, so that two rules which make one network are one point: the logs of
    its blocks, mean width, resolution, MACs, parameters and activations. Shares are linear in the first three.
    """

    def __init__(self, triangle: Triangle) -> None:
        self._triangle = triangle
        self._networks = [shares_to_params(shares) for shares, _ in triangle.enumerate()]
        self._known: dict[tuple[float, float], FloatArray] = {}
        self.distributions = distributions()

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        """All networks, or `n` drawn from them."""
        if len(self._networks) <= n:
            return list(self._networks)
        return [self._networks[index] for index in rng.choice(len(self._networks), n, replace=False)]

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        """(len(candidates), 6) floats; rules asked for once are remembered, since solving one takes long."""
        rules = [(params[DEPTH_SHARE], params[WIDTH_OF_REST]) for params in candidates]
        new = [rule for rule in dict.fromkeys(rules) if rule not in self._known]
        if new:
            self._known.update(zip(new, self._solve(new), strict=True))
        return np.array([self._known[rule] for rule in rules]).reshape(len(rules), 6)

    def _solve(self, rules: list[tuple[float, float]]) -> FloatArray:
        shares = [params_to_shares({DEPTH_SHARE: depth, WIDTH_OF_REST: part}).to_list() for depth, part in rules]
        shapes = self._triangle.fit(np.array(shares))
        cost = self._triangle.base.costs(shapes)
        logs = [np.log(count) for count in (shapes.resolution, cost.macs, cost.params, cost.activations)]
        return np.column_stack([np.log(shapes.depths.sum(axis=1)), np.log(shapes.widths).mean(axis=1), *logs])


class TriangleSampler(BaseSampler):
    """Lets one of Optuna's samplers propose rules and moves each proposal to the nearest network not evaluated yet.

    inner  "tpe" or "random"
    seed   with the trial's number it decides every proposal, so that a resumed search proposes what one that was never
           interrupted would have
    """

    def __init__(self, triangle: Triangle, inner: str = "tpe", seed: int = 0) -> None:
        if inner not in ("tpe", "random"):
            raise unknown("sampler", inner, ("tpe", "random"))
        self._triangle = triangle
        self._inner = inner
        self._seed = seed
        self._pool = triangle.enumerate()
        self._pool_shares = np.array([shares.to_list() for shares, _ in self._pool])
        self._pool_digests = [network.digest for _, network in self._pool]

    def unseen(self, study: optuna.Study) -> int:
        """How many networks of the space no trial of the study has taken yet."""
        return len(set(self._pool_digests) - taken_digests(study))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return distributions()

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        seed = int(np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0])
        params: dict[str, Any] = {}
        if self._inner == "tpe":
            params = optuna.samplers.TPESampler(seed=seed).sample_relative(study, trial, search_space)
        if not params:
            depth, width, resolution = np.random.default_rng(seed).dirichlet([1, 1, 1]).tolist()
            params = shares_to_params(Shares(depth, width, resolution))
        return self._nearest_unseen(study, params)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(f"{param_name!r} is no parameter of the triangle; it has {', '.join(distributions())}")

    def _nearest_unseen(self, study: optuna.Study, params: dict[str, Any]) -> dict[str, Any]:
        taken = taken_digests(study)
        shares = params_to_shares(params)
        if self._triangle.at(shares).digest not in taken:
            return params
        free = [index for index, digest in enumerate(self._pool_digests) if digest not in taken]
        if not free:
            return params
        distance = ((self._pool_shares[free] - np.array(shares.to_list())) ** 2).sum(axis=1)
        return shares_to_params(self._pool[free[int(distance.argmin())]][0])
