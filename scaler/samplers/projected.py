"""Optuna's own samplers, moved to networks that are within budget and not taken yet."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, TPESampler
from optuna.trial import FrozenTrial

from scaler.errors import unknown
from scaler.samplers.base import CandidateSampler, other_trials
from scaler.samplers.candidates import CandidateSpace
from scaler.samplers.gaussian_process import squared_distance
from scaler.samplers.observations import keys_of


def _qmc(seed: int) -> BaseSampler:
    return QMCSampler(seed=seed, scramble=True, warn_asynchronous_seeding=False, warn_independent_sampling=False)


def _cmaes(seed: int) -> BaseSampler:
    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


INNER: Mapping[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
    "cmaes": _cmaes,
    "qmc": _qmc,
}
"""Optuna's samplers by name, made from a seed."""

_ONE_SEQUENCE = frozenset({"qmc", "cmaes"})
"""Those that need the same seed for every trial, because the trials are parts of one sequence."""


class ProjectedSampler(CandidateSampler):
    """Lets one of Optuna's samplers propose, and takes the free candidate nearest to the proposal.

    Every parameter set of a `CandidateSpace` stands for a network within budget, so the proposal itself is taken if it
    is free; else the candidate whose features are nearest to the proposal's.

    inner  one of `INNER`
    """

    def __init__(self, space: CandidateSpace, inner: str = "tpe", seed: int = 0, *, pool: int = 2048) -> None:
        if inner not in INNER:
            raise unknown("sampler", inner, INNER)
        super().__init__(space, seed, pool=pool)
        self._inner = inner

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        wanted = {**self._wanted(study, trial), **self._fixed(trial)}
        taken, _ = self._others(study.study_name, other_trials(study, trial))
        (features,) = self._points.features([wanted])
        assert features is not None, "an Optuna sampler keeps to the distributions"
        (own,) = keys_of([features])
        if own not in taken:
            return wanted
        pool, free = self._free(trial, taken, np.random.default_rng([self._seed, trial.number]))
        distance = squared_distance(pool.features[free], self._pools.standardised([features]))
        return dict(pool.candidates[int(free[distance.ravel().argmin()])])

    def _wanted(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """What Optuna's sampler proposes, taken or not."""
        number = 0 if self._inner in _ONE_SEQUENCE else trial.number
        distributions = self._space.distributions
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = INNER[self._inner](int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]))
            joint = sampler.infer_relative_search_space(study, trial)
            params = sampler.sample_relative(study, trial, {name: distributions[name] for name in joint})
            for name, distribution in distributions.items():
                if name not in params:
                    params[name] = sampler.sample_independent(study, trial, name, distribution)
        return {name: params[name] for name in distributions}
