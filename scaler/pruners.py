"""The pruner of a study: one of Optuna's, which compares a training with those of its own budget alone."""

import math
from collections.abc import Container

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

_REDUCTION = 2
_SHARE_BEFORE_FIRST_RUNG = 0.25


def make_pruner(name: str, epochs: int, group: str | None = None) -> BasePruner:
    """The pruner that a study file names: successive_halving, hyperband, median or none.

    epochs  of a full training. Successive halving looks first after a quarter of them, then after twice as many each
            time, and lets the better half go on (ASHA: Li et al., arXiv 1810.05934).
    group   a parameter; trainings are compared with those alone that have the same value of it. Not for hyperband,
            which reads its trials from the storage by itself
    """
    assert name != "hyperband" or group is None, "the study file's checks do not let it through"
    first = max(1, math.ceil(_SHARE_BEFORE_FIRST_RUNG * epochs))
    pruner: BasePruner
    match name:
        case "successive_halving":
            pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=_REDUCTION)
        case "hyperband":
            pruner = optuna.pruners.HyperbandPruner(
                min_resource=first, max_resource=epochs, reduction_factor=_REDUCTION
            )
        case "median":
            pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first)
        case _:
            return optuna.pruners.NopPruner()
    return pruner if group is None else GroupPruner(pruner, group)


class GroupPruner(BasePruner):
    """Lets another pruner see those trials alone that have the same value of one parameter."""

    def __init__(self, pruner: BasePruner, group: str) -> None:
        self._pruner = pruner
        self._group = group

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        part = _Part(study, self._group, trial.params.get(self._group))
        return self._pruner.prune(part, trial)


class _Part(optuna.Study):
    """A study of which only the trials of one group are to be seen."""

    def __init__(self, study: optuna.Study, group: str, value: object) -> None:
        super().__init__(study.study_name, study._storage, sampler=study.sampler, pruner=study.pruner)
        self._group, self._value = group, value

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in trials if trial.params.get(self._group) == self._value]

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        return self._get_trials(deepcopy, states)
