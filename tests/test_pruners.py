"""Pruners: hopeless trainings are stopped, and compared with those of their own budget alone."""

import optuna
import pytest

from scaler.pruners import make_pruner

optuna.logging.set_verbosity(optuna.logging.WARNING)


def stopped_after(
    pruner: optuna.pruners.BasePruner, curves: list[list[float]], groups: list[int] | None = None
) -> list[int]:
    """After how many epochs each of the trainings was stopped, one after the other; 0 if it was not."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    found = []
    for index, curve in enumerate(curves):
        trial = study.ask({"group": optuna.distributions.IntDistribution(0, 9)} if groups is None else None)
        if groups is not None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial({"group": groups[index]})
            trial = study.ask({"group": optuna.distributions.IntDistribution(0, 9)})
        for epoch, value in enumerate(curve, start=1):
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                found.append(epoch)
                break
        else:
            study.tell(trial, curve[-1])
            found.append(0)
    return found


def falling(count: int, epochs: int, start: float = 0.9) -> list[list[float]]:
    return [[start - 0.05 * number] * epochs for number in range(count)]


@pytest.mark.parametrize("name", ["successive_halving", "hyperband", "median"])
def test_what_is_worse_than_all_before_is_stopped_early(name: str) -> None:
    found = stopped_after(make_pruner(name, epochs=16), falling(12, 16))
    assert found[0] == 0
    assert sum(epoch > 0 for epoch in found) >= 4
    assert all(epoch == 0 or 4 <= epoch <= 16 for epoch in found)


def test_the_first_look_of_successive_halving_is_after_a_quarter() -> None:
    assert stopped_after(make_pruner("successive_halving", epochs=20), falling(3, 20)) == [0, 5, 5]
    assert stopped_after(make_pruner("successive_halving", epochs=4), falling(3, 4)) == [0, 1, 1]


def test_none_stops_nothing() -> None:
    assert stopped_after(make_pruner("none", epochs=16), falling(12, 16)) == [0] * 12


@pytest.mark.parametrize("name", ["successive_halving", "median"])
def test_small_budgets_are_not_measured_by_large_ones(name: str) -> None:
    curves = [curve for pair in zip(falling(8, 16), falling(8, 16, start=0.5)[::-1], strict=True) for curve in pair]
    groups = [number % 2 for number in range(16)]
    together = stopped_after(make_pruner(name, epochs=16), curves, groups)
    apart = stopped_after(make_pruner(name, epochs=16, group="group"), curves, groups)
    # Those of the second group get better and better, though never as good as the first group's.
    assert sum(epoch > 0 for epoch in together[1::2]) > 0
    assert sum(epoch > 0 for epoch in apart[1::2]) == 0
    assert sum(epoch > 0 for epoch in apart[0::2]) > 0
