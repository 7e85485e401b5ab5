import numpy as np
import pytest

from scaler import InputError
from scaler.laws import Surface, common_optimum, fit_surface, optimum
from tests.conftest import FULL
from tests.laws.planted import PLACES, observed, quadratic

REPEATS = 30 if FULL else 4
INSIDE = PLACES["inside"]


def surfaces(places: list[str], repeat: int, count: int = 40) -> list[Surface]:
    """One study for each budget, with its own planted optimum."""
    rng = np.random.default_rng(repeat)
    return [fit_surface(*observed(quadratic(PLACES[place]), count, 0.003, rng)) for place in places]


def test_the_rule_is_normalised_and_lies_in_its_ranges() -> None:
    found = optimum(surfaces(["inside"], 0)[0])
    rule = found.shares.compound()
    assert rule.alpha * rule.beta**2 * rule.gamma**2 == pytest.approx(2)
    for share, (low, high) in zip(found.shares.to_list(), found.ranges, strict=True):
        assert 0 <= low <= share <= high <= 1
    assert sum(found.shares.to_list()) == pytest.approx(1)
    assert found.area == len(found.region) / 351


def test_budgets_together_tell_more_than_each_alone_and_hold_the_truth() -> None:
    held, areas, alone = 0, [], []
    for repeat in range(REPEATS):
        parts = surfaces(["inside"] * 3, repeat)
        common = common_optimum(parts).optimum
        # The region's grid has steps of 0.04, so the truth, which is not on it, has a neighbour within 0.03.
        held += np.abs(common.region - INSIDE).max(axis=1).min() < 0.03
        areas.append(common.area)
        alone.append(optimum(parts[0]).area)
    assert held >= 0.9 * REPEATS
    assert np.median(areas) < 0.7 * np.median(alone)


def test_a_best_rule_that_moves_is_told_from_one_that_stays() -> None:
    stays = [common_optimum(surfaces(["inside"] * 3, repeat)).p_value for repeat in range(REPEATS)]
    moves = [
        common_optimum(surfaces(["in a corner", "on an edge", "centre"], repeat)).p_value for repeat in range(REPEATS)
    ]
    assert np.mean(np.array(stays) < 0.05) <= 0.1
    assert np.mean(np.array(moves) < 0.05) >= 0.5


def test_the_statistic_counts_its_degrees_of_freedom() -> None:
    assert common_optimum(surfaces(["inside"] * 2, 0)).degrees_of_freedom == 2
    assert common_optimum(surfaces(["inside"] * 3, 0)).degrees_of_freedom == 4
    with pytest.raises(InputError, match="takes at least 2"):
        common_optimum(surfaces(["inside"], 0))
