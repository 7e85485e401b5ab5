from dataclasses import replace

import numpy as np
import pytest

from scaler import InputError
from scaler.laws import NEEDED_RULES, fit_surface, optimum
from scaler.laws.kernel import features
from scaler.laws.surface import THRESHOLD
from scaler.scaling import lattice
from tests.conftest import FULL
from tests.laws.planted import DROP, PLACES, SHAPES, TOP, observed, quadratic

REPEATS = 100 if FULL else 20
INSIDE = PLACES["inside"]


def held(shape: str, place: str, count: int, noise: float, search: bool = False) -> int:
    """In how many of the repeats the region holds the planted best rule."""
    truth = SHAPES[shape](PLACES[place])
    surfaces = [
        fit_surface(*observed(truth, count, noise, np.random.default_rng([repeat, count]), search))
        for repeat in range(REPEATS)
    ]
    return sum(bool(surface.against(PLACES[place][None])[0] <= THRESHOLD) for surface in surfaces)


@pytest.mark.parametrize(("count", "noise", "area"), [(30, 0.003, 0.6), (60, 0.004, 0.6), (60, 0.002, 0.3)])
def test_the_region_holds_the_planted_optimum_and_is_no_whole_triangle(count: int, noise: float, area: float) -> None:
    assert held("quadratic", "inside", count, noise) >= 0.9 * REPEATS
    areas = [
        optimum(fit_surface(*observed(quadratic(INSIDE), count, noise, np.random.default_rng(repeat)))).area
        for repeat in range(20 if FULL else 5)
    ]
    assert 0.01 < np.median(areas) < area


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_region_holds_optima_of_other_shapes_and_places(shape: str, place: str) -> None:
    """All but a kink near a corner, which no smooth surface follows: it is held less often than it should be."""
    share = 0.75 if (shape, place) == ("cone", "near a corner") else 0.9
    assert held(shape, place, 60, 0.003) >= share * REPEATS


def test_the_region_holds_the_optimum_of_rules_that_a_search_has_drawn_to_it() -> None:
    assert held("quadratic", "inside", 60, 0.003, search=True) >= 0.9 * REPEATS


def test_the_fitted_optimum_nears_the_planted_one() -> None:
    for place in PLACES.values():
        surface = fit_surface(*observed(quadratic(place), 300, 0.0005, np.random.default_rng(0)))
        assert np.abs(np.array(optimum(surface).shares.to_list()) - place).max() < 0.05


def test_evidence_is_the_likelihood_ratio_of_surfaces_whose_slope_is_zero_there() -> None:
    """Near a clear peak inside, being highest means that the two slopes vanish: least squares under two linear
    equations, solved here by itself, for the one length and height that are left."""
    surface = fit_surface(*observed(quadratic(INSIDE), 400, 0.001, np.random.default_rng(3)))
    process = surface.processes[0]
    surface = replace(surface, processes=(process,))
    rule, step = np.array([0.24, 0.49, 0.27]), 1e-4
    slopes = np.array(
        [
            (features((rule + step * way)[None], process.length) - features((rule - step * way)[None], process.length))[
                0
            ]
            for way in np.array([[1, -1, 0], [0, 1, -1]])
        ]
    )
    inverse = np.linalg.inv(process.factor @ process.factor.T)
    slope = slopes @ process.coefficients
    distance = slope @ np.linalg.solve(slopes @ inverse @ slopes.T, slope)
    expected = 394 * np.log1p(distance / 394)
    assert expected > 5
    assert surface.against(rule[None])[0] == pytest.approx(expected, rel=0.3)


def test_the_cheap_bound_is_never_above_the_evidence() -> None:
    surface = fit_surface(*observed(quadratic(INSIDE), 60, 0.003, np.random.default_rng(0)))
    rules = lattice(8)
    bounds, evidence = surface.at_least(rules), surface.against(rules)
    assert (bounds <= evidence + 1e-9).all()
    assert np.median(bounds / evidence) > 0.3


def test_there_is_no_evidence_against_the_highest_rule_and_much_against_the_lowest() -> None:
    surface = fit_surface(*observed(quadratic(INSIDE), 60, 0.002, np.random.default_rng(0)))
    grid = lattice(100)
    response = surface.response(grid)
    assert surface.against(grid[[response.argmax()]])[0] == pytest.approx(0, abs=0.05)
    assert surface.against(grid[[response.argmin()]])[0] > THRESHOLD


def test_error_and_its_deviation_hold_the_truth() -> None:
    inside, noises = 0, []
    for repeat in range(40):
        surface = fit_surface(*observed(quadratic(INSIDE), 60, 0.003, np.random.default_rng(repeat)))
        errors, deviations = surface.error(INSIDE[None])
        inside += abs(errors[0] - (1 - TOP)) < 1.96 * deviations[0]
        noises.append(surface.noise_at(1 - TOP))
        assert deviations[0] < 0.002
    assert inside >= 36
    assert np.mean(noises) == pytest.approx(0.003, rel=0.1)


def test_equal_rules_leave_every_rule_in_the_region() -> None:
    areas, flat = [], []
    for repeat in range(20 if FULL else 4):
        rng = np.random.default_rng(repeat)
        surface = fit_surface(rng.dirichlet([1, 1, 1], 40), TOP + rng.normal(0, 0.003, 40))
        areas.append(optimum(surface).area)
        flat.append(surface.flat)
    assert np.median(areas) > 0.6
    assert np.mean(np.array(flat) < 0.05) <= 0.25
    planted = fit_surface(*observed(quadratic(INSIDE), 40, 0.003, np.random.default_rng(0)))
    assert planted.flat < 0.001


def test_accuracies_that_leave_nothing_to_fit_are_no_error() -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    for accuracy in (0.0, 0.5, 1.0):
        assert optimum(fit_surface(shares, np.full(20, accuracy))).area == 1
    exact = fit_surface(shares, quadratic(INSIDE)(shares))
    assert np.abs(np.array(optimum(exact).shares.to_list()) - INSIDE).max() < 0.03


def test_an_accuracy_over_many_seeds_weighs_more() -> None:
    shares, accuracy = observed(quadratic(INSIDE), 40, 0.003, np.random.default_rng(0))
    accuracy[0] += DROP
    seeds = np.ones(40)
    once = fit_surface(shares, accuracy, seeds)
    seeds[0] = 100
    often = fit_surface(shares, accuracy, seeds)
    missed = [abs(1 - surface.error(shares[:1])[0][0] - accuracy[0]) for surface in (once, often)]
    assert missed[1] < 0.3 * missed[0]


def test_features_add_up_to_the_kernel_and_treat_the_axes_alike() -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 30)
    for length in (0.8, 1.6, 3.2):
        values = features(shares, length)[:, 1:]
        distance = np.sqrt(5) * np.linalg.norm(shares[:, None] - shares, axis=2) / length
        kernel = (1 + distance + distance**2 / 3) * np.exp(-distance)
        assert values @ values.T == pytest.approx(kernel, abs=0.03)
        turned = features(shares[:, [1, 2, 0]], length)[:, 1:]
        assert turned @ turned.T == pytest.approx(values @ values.T, abs=0.03)


def test_too_little_is_refused_in_one_line() -> None:
    shares, accuracy = observed(quadratic(INSIDE), NEEDED_RULES, 0.003, np.random.default_rng(0))
    fit_surface(shares, accuracy)
    with pytest.raises(InputError, match=f"7 networks with a rule have completed; a fit needs {NEEDED_RULES}"):
        fit_surface(shares[1:], accuracy[1:])
