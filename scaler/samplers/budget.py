"""The budget-aware sampler: a Gaussian process chooses among networks that are all within budget."""

from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from scaler.errors import InputError
from scaler.rounding import FloatArray
from scaler.samplers.acquisition import Scale, log_expected_improvement
from scaler.samplers.base import CandidateSampler, every_trial
from scaler.samplers.candidates import CandidateSpace
from scaler.samplers.gaussian_process import GaussianProcess, Hyperparameters, fit, squared_distance
from scaler.samplers.observations import Observation, in_order_of_end, observations
from scaler.samplers.pool import Pool

_SPREAD_CHOICES = 10
_GOOD = 5  # trials near which a space that can say so is searched
_FEWEST = 2  # observations of which a surrogate can be built
_SPACE_PER_STARTUP = 5  # networks of the space for each that is evaluated blindly
_LOCAL = 3  # times `startup` trials that must have told a value first: until then the good are merely the first

_OWN = 0.5
"""Of the variance that the surrogate takes for noise, the part that is a network's own: what its features do not tell.

Trained again, a network would keep this part of its distance to the surrogate's mean and lose the rest, which was the
seed's. The two cannot be told apart where every network is trained once. On recorded tables one half recommends better
than either extreme.
"""


class BudgetSampler(CandidateSampler):
    """Proposes the candidate that promises most, given all that the study's trials say; never one that is taken.

    The first proposals fill the space; once `startup` trials have told a value, a Gaussian process over the candidates'
    features (`gaussian_process`) takes over, and the proposal is the candidate of the highest expected improvement on
    the best posterior mean, which a lucky seed does not flatter. Running and queued trials count as if they had come
    out as expected, so that many workers get different points. Pruned trials count by an estimate of where they would
    have ended, with its uncertainty (`observations`). What a queued trial has been given already (its budget, say)
    narrows the candidates, and those whose posterior is to be improved on.

    space             where candidates come from
    seed              of the draws
    startup           trials with a value before the surrogate is asked; at most a fifth of a small space
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
        super().__init__(space, seed, pool=pool)
        least = {"startup": (startup, _FEWEST), "max_observations": (max_observations, 8)}
        for name, (value, smallest) in least.items():
            if value < smallest:
                raise InputError(f"sampler.{name}: {value} is too few; give {smallest} or more")
        self._startup = startup
        if self._pools.is_whole:
            self._startup = min(startup, max(_FEWEST, len(self._pools.first) // _SPACE_PER_STARTUP))
        self._max_observations = max_observations
        self._last_fit: tuple[Any, Hyperparameters] | None = None

    def recommend(self, study: optuna.Study) -> FrozenTrial:
        """The completed trial whose network is expected to do best if trained again; no lucky seed puts it there.

        That is the highest posterior mean of the network's own value (`_OWN`). Before `startup` trials have told a
        value it is the best value. Raises `InputError` if none has completed.
        """
        self._raise_error_if_multi_objective(study)
        with self._lock:
            finished = in_order_of_end(every_trial(study))
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

    # -- the proposal -------------------------------------------------------------------------------------------------

    def _propose(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        rng = np.random.default_rng([self._seed, trial.number])
        trials = every_trial(study)
        finished = in_order_of_end(trials)
        taken, pending = self._others(study.study_name, [other for other in trials if other.number != trial.number])
        told = observations(finished, self._points, study.direction)
        rivals = sorted(self._rivals(told, trial), key=lambda item: -item.value)
        good = rivals[:_GOOD] if len(told) >= _LOCAL * self._startup else []
        pool, free = self._free(trial, taken, rng, [self._own_params(item.trial) for item in good])
        if len(told) < self._startup:
            chosen = self._farthest(pool, free, list(taken.values()), rng)
        else:
            telling = self._most_telling(told)
            process = self._process(finished, telling, study.direction)
            process = process.believing(self._pools.standardised(pending))
            mean, deviation = process.predict(pool.features[free])
            reached = self._pools.standardised([item.features for item in self._rivals(telling, trial)])
            promise = log_expected_improvement(mean, deviation, float(process.mean(reached).max()))
            chosen = int(free[promise.argmax()])
        return dict(pool.candidates[chosen])

    def _rivals(self, told: list[Observation], trial: FrozenTrial) -> list[Observation]:
        """The observations to improve on: those that agree with what the trial has been given, if there are any."""
        fixed = self._fixed(trial).items()
        return [item for item in told if fixed <= item.trial.params.items()] or told

    def _farthest(self, pool: Pool, free: NDArray[np.intp], taken: list[FloatArray], rng: np.random.Generator) -> int:
        """Of a few free candidates drawn at random, the one farthest from all that is taken.

        That is farther than at random, yet not at the outermost corners, where candidates are few and odd.
        """
        choices = rng.choice(free, size=min(_SPREAD_CHOICES, len(free)), replace=False)
        if not taken:
            return int(choices[0])
        distance = squared_distance(pool.features[choices], self._pools.standardised(taken)).min(axis=1)
        return int(choices[distance.argmax()])

    def _own_params(self, trial: FrozenTrial) -> dict[str, Any]:
        """Of a trial's parameters those that are the space's."""
        return {name: trial.params[name] for name in self._space.distributions}

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


def _last_refit(count: int) -> int:
    """The last number of ended trials, up to `count`, at which hyperparameters are fitted: every one of the first 50,
    then every second, from 100 on every fourth, and so on."""
    step: int = 2 ** max(0, int(np.log2(max(count, 1) / 25)))
    return count - count % step
