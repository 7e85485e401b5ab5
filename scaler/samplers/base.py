"""What every sampler over a candidate space does, whichever way it chooses."""

import logging
import threading
import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from scaler.errors import InputError
from scaler.rounding import FloatArray
from scaler.samplers.candidates import CandidateSpace
from scaler.samplers.observations import Key, Points, keys_of
from scaler.samplers.pool import Pool, Pools

_LOG = logging.getLogger(__name__)

_REDRAWS = 4


class CandidateSampler(BaseSampler):
    """Proposes candidates of a space, never one that is taken.

    The points of all trials are taken, those of failed ones included, and of those that are running or queued.
    Parameters outside the space, which a person may have queued, are passed over. When every candidate is taken
    (`unseen` is 0), one of them is proposed again, with a warning. Every proposal follows from the seed, the trial's
    number and the study's trials alone, so that a resumed search proposes what one never interrupted would have.

    space  where candidates come from
    seed   of the draws
    pool   most candidates looked at for one proposal; a space that has fewer is looked at as a whole
    """

    def __init__(self, space: CandidateSpace, seed: int = 0, *, pool: int = 2048) -> None:
        if pool < 1:
            raise InputError(f"sampler.pool: {pool} is too few; give 1 or more")
        self._space = space
        self._seed = seed
        self._points = Points(space)
        self._pools = Pools(space, pool, seed)
        self._proposed: dict[tuple[str, int], dict[str, Any]] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """The parameters of a candidate for a trial."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def unseen(self, study: optuna.Study, fixed: Mapping[str, Any] | None = None) -> int:
        """How many points of the space no trial has taken yet, of those that agree with the `fixed` parameters.

        Of a space larger than the pool, those of the first pool are counted.
        """
        with self._lock:
            taken, _ = self._others(study.study_name, every_trial(study))
        first, wanted = self._pools.first, (fixed or {}).items()
        pairs = zip(first.keys, first.candidates, strict=True)
        return sum(key not in taken and wanted <= candidate.items() for key, candidate in pairs)

    # -- what Optuna asks ---------------------------------------------------------------------------------------------

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._space.distributions)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        with self._lock:
            params = self._propose(study, trial)
            self._proposed[study.study_name, trial.number] = params
        return {name: value for name, value in params.items() if name in search_space}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value: for parameters that are not the space's, which the surrogate does not see."""
        self._raise_error_if_multi_objective(study)
        seeds = np.random.SeedSequence([self._seed, trial.number, zlib.crc32(param_name.encode())])
        sampler = RandomSampler(seed=int(seeds.generate_state(1)[0]))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._proposed.pop((study.study_name, trial.number), None)

    def _free(
        self,
        trial: FrozenTrial,
        taken: dict[Key, FloatArray],
        rng: np.random.Generator,
        good: Sequence[dict[str, Any]] = (),
    ) -> tuple[Pool, NDArray[np.intp]]:
        """Candidates, and the indices of those that no trial has taken; of all if there is no other.

        Of a trial that is queued with some parameters, those that agree with it, if there are any. In a space too large
        for one pool, half of the candidates lie near the `good` ones.
        """
        fixed = self._fixed(trial)
        for _ in range(_REDRAWS):
            pool = self._pools.draw(rng, list(good))
            free = [index for index, key in enumerate(pool.keys) if key not in taken]
            if free or self._pools.is_whole:
                break
        if not free:
            _LOG.warning("every candidate of the space is taken; trial %d repeats one", trial.number)
            free = list(range(len(pool)))
        agreeing = [index for index in free if fixed.items() <= pool.candidates[index].items()]
        return pool, np.array(agreeing or free, np.intp)

    def _fixed(self, trial: FrozenTrial) -> dict[str, Any]:
        """The space's parameters that a queued trial has already."""
        queued = trial.system_attrs.get("fixed_params", {}).items()
        return {name: value for name, value in queued if name in self._space.distributions}

    def _others(self, study: str, trials: list[FrozenTrial]) -> tuple[dict[Key, FloatArray], list[FloatArray]]:
        """The features of all points that trials have taken, by key, and of those not evaluated yet."""
        features = self._points.features([self._params(study, trial) for trial in trials])
        known = [(trial, row) for trial, row in zip(trials, features, strict=True) if row is not None]
        taken = dict(zip(keys_of([row for _, row in known]), (row for _, row in known), strict=True))
        return taken, [row for trial, row in known if not trial.state.is_finished()]

    def _params(self, study: str, trial: FrozenTrial) -> dict[str, Any]:
        """A trial's parameters, also where they are proposed or queued and the trial has not asked for them yet."""
        if trial.state.is_finished():
            return trial.params
        proposed = self._proposed.get((study, trial.number), {})
        return {**proposed, **trial.system_attrs.get("fixed_params", {}), **trial.params}


def every_trial(study: optuna.Study) -> list[FrozenTrial]:
    """All trials of the study; under Hyperband the study itself shows a sampler those of one bracket alone."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def other_trials(study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
    """All trials of the study but one."""
    return [other for other in every_trial(study) if other.number != trial.number]
