"""A study's trials as a surrogate sees them: the points that they are, and values with their noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from scaler.rounding import FloatArray
from scaler.samplers.candidates import CandidateSpace

Key = bytes
"""A point: its features, rounded; parameter sets with equal features are one point."""

_MIN_FINALS = 3
"""Completed trials from which what is still to come after a step can be told."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a finished trial says of its point.

    value  what the trial reached, or would have; larger is better
    noise  variance of the value beyond a full training's own
    """

    trial: FrozenTrial
    features: FloatArray
    value: float
    noise: float


class Points:
    """The points that trials' parameters are in a space; what has been asked once is remembered."""

    def __init__(self, space: CandidateSpace) -> None:
        self._space = space
        self._known: dict[tuple[Any, ...], FloatArray | None] = {}

    def features(self, many: Sequence[Mapping[str, Any]]) -> list[FloatArray | None]:
        """The features of each parameter set, (f,); None where the space cannot say what it stands for."""
        sets = [self._values(params) for params in many]
        new = list(dict.fromkeys(values for values in sets if values not in self._known))
        self._known.update(dict.fromkeys(new))
        self._known.update(self._compute([values for values in new if self._in_range(values)]))
        return [self._known[values] for values in sets]

    def _values(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        """The space's own parameters, in its order; an ellipsis stands for one that is not there."""
        values = tuple(params.get(name, ...) for name in self._space.distributions)
        try:
            hash(values)
        except TypeError:  # a list, say, which no parameter may be
            return (...,) * len(values)
        return values

    def _in_range(self, values: tuple[Any, ...]) -> bool:
        """Whether the values are such as the space's parameters may have."""
        for value, distribution in zip(values, self._space.distributions.values(), strict=True):
            try:
                if not distribution._contains(distribution.to_internal_repr(value)):
                    return False
            except (ValueError, TypeError):
                return False
        return True

    def _compute(self, sets: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], FloatArray | None]:
        """The features of all, in one call unless one of them is no network at all, as what a person queued may be."""
        if not sets:
            return {}
        try:
            rows = self._space.features([dict(zip(self._space.distributions, values, strict=True)) for values in sets])
        except (ValueError, KeyError):
            if len(sets) == 1:
                return {sets[0]: None}
            return {values: self._compute([values])[values] for values in sets}
        return {values: row if np.isfinite(row).all() else None for values, row in zip(sets, rows, strict=True)}


def keys_of(features: FloatArray | Sequence[FloatArray]) -> list[Key]:
    """The point that each row of features, (n, f), is."""
    return [row.tobytes() for row in np.round(np.asarray(features, np.float64), 9)]


def in_order_of_end(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Those that are finished, in the order in which they ended, which no later trial changes."""
    ended = [trial for trial in trials if trial.state.is_finished()]
    return sorted(ended, key=lambda trial: (trial.datetime_complete or trial.datetime_start, trial.number))


def observations(finished: Sequence[FrozenTrial], points: Points, direction: StudyDirection) -> list[Observation]:
    """What the finished trials say: the completed ones their value, the pruned ones an estimate of it.

    A pruned trial is taken to end where its last value plus the mean gain of the completed trials from that step on
    would lead it; the variance of that gain is its noise. If fewer than three completed trials have a value at its last
    step, an earlier step of its serves; if none does, the trial says nothing. Failed trials and values that are not
    finite say nothing.
    """
    sign = -1.0 if direction == StudyDirection.MINIMIZE else 1.0
    completed = [trial for trial in finished if trial.state == TrialState.COMPLETE and _finite(trial.value)]
    gains: dict[int, tuple[float, float] | None] = {}
    found = []
    for trial, features in zip(finished, points.features([trial.params for trial in finished]), strict=True):
        if features is None:
            continue
        if trial.state == TrialState.COMPLETE and _finite(trial.value):
            found.append(Observation(trial, features, sign * float(trial.value or 0.0), 0.0))
        elif trial.state == TrialState.PRUNED:
            estimate = _estimate(trial, completed, gains)
            if estimate is not None:
                found.append(Observation(trial, features, sign * estimate[0], estimate[1]))
    return found


def _estimate(
    trial: FrozenTrial, completed: list[FrozenTrial], gains: dict[int, tuple[float, float] | None]
) -> tuple[float, float] | None:
    """A pruned trial's final value and the variance of that estimate; `gains` remembers each step's."""
    for step in sorted(trial.intermediate_values, reverse=True):
        value = trial.intermediate_values[step]
        if step not in gains:
            gains[step] = _gain(completed, step)
        gain = gains[step]
        if _finite(value) and gain is not None:
            return value + gain[0], gain[1]
    return None


def _gain(completed: list[FrozenTrial], step: int) -> tuple[float, float] | None:
    """Mean and variance of what the completed trials gained after a step."""
    gained = [
        float(trial.value or 0.0) - trial.intermediate_values[step]
        for trial in completed
        if _finite(trial.intermediate_values.get(step))
    ]
    if len(gained) < _MIN_FINALS:
        return None
    return float(np.mean(gained)), float(np.var(gained, ddof=1))


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
