import numpy as np
import pytest

from scaler import InputError
from scaler.laws import PowerLaw, fit_power_law
from tests.conftest import FULL

REPEATS = 100 if FULL else 30
LEAST = (0.9 if FULL else 0.8) * REPEATS
"""Of few repeats, more miss by chance."""
MACS = 2e6 * 2.5 ** np.arange(5)


def truth(macs: np.ndarray, exponent: float, floor: float) -> np.ndarray:
    """An error of 0.1 at the smallest budget that falls towards the floor."""
    return (0.1 - floor) * (macs / MACS[0]) ** -exponent + floor


def law(repeat: int, budgets: int, exponent: float, floor: float, deviation: float) -> PowerLaw:
    """A law fitted to the planted one with noise."""
    noise = np.random.default_rng(repeat).normal(0, deviation, budgets)
    macs = MACS[:budgets]
    return fit_power_law(macs, truth(macs, exponent, floor) + noise, np.full(budgets, deviation))


def test_a_law_without_noise_is_found() -> None:
    errors = truth(MACS, 0.4, 0.03)
    found = fit_power_law(MACS, errors, np.full(5, 1e-4))
    assert (found.a, found.b, found.c) == pytest.approx((0.07, 0.4, 0.03), abs=0.01)
    assert found.reference == 2_000_000
    assert found.at(4e6) == pytest.approx(truth(np.array(4e6), 0.4, 0.03), abs=1e-4)
    forecast = found.forecast(200_000_000)
    assert forecast.error == pytest.approx(truth(np.array(2e8), 0.4, 0.03), abs=1e-3)
    assert forecast.extrapolation == pytest.approx(2e8 / MACS[-1])
    assert found.misfit is not None
    assert found.misfit > 0.5


@pytest.mark.parametrize("floor", [0.0, 0.03, 0.06])
@pytest.mark.parametrize("exponent", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("budgets", [3, 4, 5])
def test_forecasts_hold_the_truth(budgets: int, exponent: float, floor: float) -> None:
    held = np.zeros(2, int)
    at = np.array([2, 8]) * MACS[budgets - 1]
    for repeat in range(REPEATS):
        found = law(repeat, budgets, exponent, floor, 0.002)
        for index, (macs, error) in enumerate(zip(at, truth(at, exponent, floor), strict=True)):
            forecast = found.forecast(int(macs))
            held[index] += forecast.low <= error <= forecast.high
    assert (held >= LEAST).all(), held


def test_the_interval_widens_with_the_distance_and_narrows_with_the_noise() -> None:
    found = law(0, 3, 0.3, 0.03, 0.002)
    widths = [f.high - f.low for f in (found.forecast(int(multiple * MACS[2])) for multiple in (1, 2, 8, 64))]
    assert widths == sorted(widths)
    assert widths[3] > 3 * widths[0]
    exact = law(0, 3, 0.3, 0.03, 0.0005).forecast(int(2 * MACS[2]))
    assert exact.high - exact.low < widths[1] / 2


def test_the_bootstrap_holds_the_coefficients() -> None:
    held = np.zeros(3, int)
    for repeat in range(REPEATS):
        found = law(repeat, 4, 0.3, 0.03, 0.002)
        for index, (value, (low, high)) in enumerate(
            ((0.07, found.a_interval), (0.3, found.b_interval), (0.03, found.c_interval))
        ):
            held[index] += low <= value <= high
    assert (held >= LEAST).all(), held


def test_errors_that_do_not_fall_have_a_law_and_those_that_follow_none_are_told() -> None:
    rising = fit_power_law(MACS[:3], np.array([0.08, 0.09, 0.1]), np.full(3, 0.001))
    assert rising.a == 0
    assert rising.at(1e9) == pytest.approx(0.09)
    steeper = fit_power_law(MACS[:3], np.array([0.1, 0.08, 0.03]), np.full(3, 0.001))
    assert steeper.c == 0
    assert steeper.forecast(10**10).low >= 0
    zigzag = fit_power_law(MACS, np.array([0.1, 0.06, 0.1, 0.06, 0.1]), np.full(5, 0.001))
    assert zigzag.misfit is not None
    assert zigzag.misfit < 1e-6
    smooth = fit_power_law(MACS, truth(MACS, 0.3, 0.03), np.full(5, 0.001)).forecast(10**9)
    wild = zigzag.forecast(10**9)
    assert wild.high - wild.low > smooth.high - smooth.low


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert law(0, 3, 0.3, 0.0, 0.002).b_interval == law(0, 3, 0.3, 0.0, 0.002).b_interval


def test_too_few_budgets_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(InputError, match=r"2 budgets \(2M, 5M\) for a scaling law .* needs 3"):
        fit_power_law(MACS[:2], np.array([0.1, 0.08]), np.full(2, 0.002))
    with pytest.raises(InputError, match=r"2 budgets .* needs 3"):
        fit_power_law(MACS[[0, 1, 1]], np.array([0.1, 0.08, 0.08]), np.full(3, 0.002))
