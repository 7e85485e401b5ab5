"""The budget-aware sampler: a Gaussian process chooses among networks that are all within budget."""

import logging
import threading
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from scaler.errors import InputError
from scaler.rounding import FloatArray
from scaler.samplers.acquisition import Scale, log_expected_improvement
from scaler.samplers.candidates import CandidateSpace
from scaler.samplers.gaussian_process import GaussianProcess, Hyperparameters, fit, squared_distance
from scaler.samplers.observations import Key, Observation, Points, in_order_of_end, keys_of, observations
from scaler.samplers.pool import Pool, Pools

_LOG = logging.getLogger(__name__)

_REDRAWS = 4
_SPREAD_CHOICES = 10
_GOOD = 5  # trials near which a space that can say so is searched
_LOCAL = 3  # times `startup` trials that must have told a value first: until then the good are merely the first

_OWN = 0.5
"""Of the variance that the surrogate takes for noise, the part that is a network's own: what its features do not tell.

Trained again, a network would keep this part of its distance to the surrogate's mean and lose the rest, which was the
seed's. The two cannot be told apart where every network is trained once. On recorded tables one half recommends better
than either extreme.
"""


class BudgetSampler(BaseSampler):
    """Proposes the candidate that promises most, given all that the study's trials say; never one that is taken.

    The first proposals fill the space; once `startup` trials have told a value, a Gaussian process over the candidates'
    features (`gaussian_process`) takes over, and the proposal is the candidate of the highest expected improvement on
    the best posterior mean, which a lucky seed does not flatter. Running and queued trials count as if they had come
    out as expected, so that many workers get different points. Pruned trials count by an estimate of where they would
    have ended, with its uncertainty (`observations`). The points of all trials are taken, those of failed ones
    included. Parameters outside the space, which a person may have queued, are passed over. When every candidate is
    taken (`unseen` is 0), one of them is proposed again, with a warning.

    Every proposal follows from the seed, the trial's number and the study's trials alone, so that a resumed search
    proposes what one that was never interrupted would have.

    space             where candidates come from
    seed              of the draws
    startup           trials with a value before the surrogate is asked
    pool              most candidates looked at for one proposal; a space that has fewer is looked at as a whole
    max_observations  most trials the surrogate is built from
    """

    def __init__(
        self,
        space: CandidateSpace,
        seed: int = 0,
        startup: int = 8,
        *,
        pool: int = 2048,
        max_observations: int = 256,
    ) -> None:
        least = {"startup": (startup, 2), "pool": (pool, 1), "max_observations": (max_observations, 8)}
        for name, (value, smallest) in least.items():
            if value < smallest:
                raise InputError(f"sampler.{name}: {value} is too few; give {smallest} or more")
        self._space = space
        self._seed = seed
        self._startup = startup
        self._max_observations = max_observations
        self._points = Points(space)
        self._pools = Pools(space, pool, seed)
        self._proposed: dict[tuple[str, int], dict[str, Any]] = {}
        self._last_fit: tuple[Any, Hyperparameters] | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def unseen(self, study: optuna.Study) -> int:
        """How many points of the space no trial has taken yet; of a space larger than the pool, of the first pool."""
        with self._lock:
            taken, _ = self._others(study.study_name, _every_trial(study))
        return sum(key not in taken for key in self._pools.first.keys)

    def recommend(self, study: optuna.Study) -> FrozenTrial:
        """The completed trial whose network is expected to do best if trained again; no lucky seed puts it there.

        That is the highest posterior mean of the network's own value (`_OWN`). Before `startup` trials have told a
        value it is the best value. Raises `InputError` if none has completed.
        """
        self._raise_error_if_multi_objective(study)
        with self._lock:
            finished = in_order_of_end(_every_trial(study))
            told = observations(finished, self._points, study.direction)
            if len(told) >= self._startup:
                told = self._most_telling(told)
                features, values, _ = self._scaled(told)
                means = self._process(finished, told, study.direction).mean(features)
                scores = (means + _OWN * (values - means)).tolist()
            else:
                scores = [item.value for item in told]
        completed = [
            (score, -item.trial.number, item.trial)
            for score, item in zip(scores, told, strict=True)
            if item.trial.state == TrialState.COMPLETE
        ]
        if not completed:
            raise InputError(f"study: {study.study_name} has no completed trial within the space yet; run it first")
        return max(completed, key=lambda entry: entry[:2])[2]

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

    # -- the proposal -------------------------------------------------------------------------------------------------

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        rng = np.random.default_rng([self._seed, trial.number])
        trials = _every_trial(study)
        finished = in_order_of_end(trials)
        taken, pending = self._others(study.study_name, [other for other in trials if other.number != trial.number])
        told = observations(finished, self._points, study.direction)
        good = sorted(told, key=lambda item: -item.value)[:_GOOD] if len(told) >= _LOCAL * self._startup else []
        pool, free = self._free(trial, taken, [self._own_params(item.trial) for item in good], rng)
        if len(told) < self._startup:
            chosen = self._farthest(pool, free, list(taken.values()), rng)
        else:
            process = self._process(finished, self._most_telling(told), study.direction)
            process = process.believing(self._pools.standardised(pending))
            mean, deviation = process.predict(pool.features[free])
            promise = log_expected_improvement(mean, deviation, process.best_mean())
            chosen = int(free[promise.argmax()])
        return dict(pool.candidates[chosen])

    def _free(
        self, trial: FrozenTrial, taken: dict[Key, FloatArray], good: list[dict[str, Any]], rng: np.random.Generator
    ) -> tuple[Pool, NDArray[np.intp]]:
        """Candidates, and the indices of those that no trial has taken; of all if there is no other.

        Of a trial that is queued with some parameters, those that agree with it, if there are any.
        """
        queued = trial.system_attrs.get("fixed_params", {}).items()
        fixed = {name: value for name, value in queued if name in self._space.distributions}
        for _ in range(_REDRAWS):
            pool = self._pools.draw(rng, good)
            free = [index for index, key in enumerate(pool.keys) if key not in taken]
            if free or self._pools.is_whole:
                break
        if not free:
            _LOG.warning("every candidate of the space is taken; trial %d repeats one", trial.number)
            free = list(range(len(pool)))
        agreeing = [index for index in free if fixed.items() <= pool.candidates[index].items()]
        return pool, np.array(agreeing or free, np.intp)

    def _farthest(self, pool: Pool, free: NDArray[np.intp], taken: list[FloatArray], rng: np.random.Generator) -> int:
        """Of a few free candidates drawn at random, the one farthest from all that is taken.

        That is farther than at random, yet not at the outermost corners, where candidates are few and odd.
        """
        choices = rng.choice(free, size=min(_SPREAD_CHOICES, len(free)), replace=False)
        if not taken:
            return int(choices[0])
        distance = squared_distance(pool.features[choices], self._pools.standardised(taken)).min(axis=1)
        return int(choices[distance.argmax()])

    def _others(self, study: str, trials: list[FrozenTrial]) -> tuple[dict[Key, FloatArray], list[FloatArray]]:
        """The features of all points that trials have taken, by key, and of those not evaluated yet."""
        features = self._points.features([self._params(study, trial) for trial in trials])
        known = [(trial, row) for trial, row in zip(trials, features, strict=True) if row is not None]
        taken = dict(zip(keys_of([row for _, row in known]), (row for _, row in known), strict=True))
        return taken, [row for trial, row in known if not trial.state.is_finished()]

    def _own_params(self, trial: FrozenTrial) -> dict[str, Any]:
        """Of a trial's parameters those that are the space's."""
        return {name: trial.params[name] for name in self._space.distributions}

    def _params(self, study: str, trial: FrozenTrial) -> dict[str, Any]:
        """A trial's parameters, also where they are proposed or queued and the trial has not asked for them yet."""
        if trial.state.is_finished():
            return trial.params
        proposed = self._proposed.get((study, trial.number), {})
        return {**proposed, **trial.system_attrs.get("fixed_params", {}), **trial.params}

    # -- the surrogate ------------------------------------------------------------------------------------------------

    def _process(
        self, finished: list[FrozenTrial], told: list[Observation], direction: StudyDirection
    ) -> GaussianProcess:
        return GaussianProcess(self._fitted(finished, direction), *self._scaled(told))

    def _fitted(self, finished: list[FrozenTrial], direction: StudyDirection) -> Hyperparameters:
        """The hyperparameters, fitted anew whenever the study has grown by some per cent.

        They follow from the trials that had ended by then, whoever asks for them when.
        """
        first = finished[: _last_refit(len(finished))]
        moment = tuple((trial._trial_id, trial.number, trial.datetime_complete) for trial in first)
        if self._last_fit is None or self._last_fit[0] != moment:
            told = observations(first, self._points, direction)
            if len(told) < self._startup:  # the first trials have told too little; all have told enough
                told = observations(finished, self._points, direction)
                moment = ()
            self._last_fit = moment, fit(*self._scaled(self._most_telling(told)))
        return self._last_fit[1]

    def _most_telling(self, told: list[Observation]) -> list[Observation]:
        """At most `max_observations`: half of them the best, the others from there to the worst evenly."""
        if len(told) <= self._max_observations:
            return told
        ranked = sorted(told, key=lambda item: -item.value)
        best = self._max_observations // 2
        others = np.linspace(best, len(ranked) - 1, self._max_observations - best).round().astype(int)
        return ranked[:best] + [ranked[index] for index in others]

    def _scaled(self, told: list[Observation]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Features, values and noise as the surrogate takes them."""
        values = np.array([item.value for item in told])
        noise = np.array([item.noise for item in told])
        return self._pools.standardised([item.features for item in told]), *Scale.of(values).apply(values, noise)


def _every_trial(study: optuna.Study) -> list[FrozenTrial]:
    """All trials of the study; under Hyperband the study itself shows a sampler those of one bracket alone."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def _last_refit(count: int) -> int:
    """The last number of ended trials, up to `count`, at which hyperparameters are fitted: every one of the first 50,
    then every second, from 100 on every fourth, and so on."""
    step: int = 2 ** max(0, int(np.log2(max(count, 1) / 25)))
    return count - count % step
