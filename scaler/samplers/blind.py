"""Samplers that do not look at what came out: the yardsticks of every other."""

from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from scaler.samplers.base import CandidateSampler, other_trials
from scaler.samplers.gaussian_process import squared_distance


class RandomCandidateSampler(CandidateSampler):
    """Any free candidate, each as likely."""

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        rng = np.random.default_rng([self._seed, trial.number])
        taken, _ = self._others(study.study_name, other_trials(study, trial))
        pool, free = self._free(trial, taken, rng)
        return dict(pool.candidates[int(rng.choice(free))])


class GridSampler(CandidateSampler):
    """The free candidate farthest from all that are taken: an even grid over the space, finer and finer."""

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        taken, _ = self._others(study.study_name, other_trials(study, trial))
        pool, free = self._free(trial, taken, np.random.default_rng([self._seed, trial.number]))
        rows = pool.features[free]
        if taken:
            distance = squared_distance(rows, self._pools.standardised(list(taken.values()))).min(axis=1)
            return dict(pool.candidates[int(free[distance.argmax()])])
        return dict(pool.candidates[int(free[(rows**2).sum(axis=1).argmin()])])
