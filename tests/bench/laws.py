"""How often `scaler fit`'s 95 % regions and intervals hold a planted truth, and how much of the triangle they take.

`python -m tests.bench.laws [REPEATS]`: 100 by default, about half an hour on one core.
"""

import sys

import numpy as np

from scaler.laws import common_optimum, fit_power_law, fit_surface, optimum
from scaler.laws.surface import THRESHOLD
from tests.laws.planted import PLACES, SHAPES, observed, quadratic

_AREAS = 7
"""Repeats of which the whole region is computed; of the others it is asked whether it holds the truth."""


def main(repeats: int = 100) -> None:
    _optima(repeats)
    _moving(repeats)
    _forecasts(repeats)


def _optima(repeats: int) -> None:
    print(f"optimum: repeats of {repeats} in which the region holds the truth, and its median part of the triangle")
    settings = [(30, 0.003, False), (60, 0.002, False), (60, 0.003, False), (60, 0.004, False), (60, 0.003, True)]
    print(f"{'':24}", *(f"n={n} sd={sd}{' near' if near else ''}".rjust(18) for n, sd, near in settings))
    for shape, make in SHAPES.items():
        for place, best in PLACES.items():
            cells = []
            for count, noise, search in settings:
                held, areas = 0, []
                for repeat in range(repeats):
                    rng = np.random.default_rng([repeat, count])
                    surface = fit_surface(*observed(make(best), count, noise, rng, search))
                    held += surface.against(best[None])[0] <= THRESHOLD
                    if repeat < _AREAS:
                        areas.append(optimum(surface).area)
                cells.append(f"{held} {np.median(areas):.2f}".rjust(18))
            print(f"{shape:10}{place:14}", *cells, flush=True)


def _moving(repeats: int) -> None:
    print("three budgets, n=40 sd=0.003 each, quadratic: p < 0.05 for a moving optimum; common region; its area")
    for places in (["inside"] * 3, ["on an edge"] * 3, ["in a corner", "on an edge", "centre"]):
        found, held, areas = 0, 0, []
        for repeat in range(repeats // 2):
            rng = np.random.default_rng(repeat)
            common = common_optimum(
                [fit_surface(*observed(quadratic(PLACES[place]), 40, 0.003, rng)) for place in places]
            )
            found += common.p_value < 0.05
            distance = np.abs(common.optimum.region - PLACES[places[0]]).max(axis=1).min()
            held += distance < 0.03
            areas.append(common.optimum.area)
        print(f"{', '.join(places):42} {found} of {repeats // 2}; {held}; {np.median(areas):.2f}", flush=True)


def _forecasts(repeats: int) -> None:
    print("law: repeats in which the interval holds the truth at 2 and at 8 times the largest budget; median widths")
    for budgets in (3, 4, 5):
        macs = 2e6 * 2.5 ** np.arange(budgets)
        for exponent in (0.15, 0.3, 0.6):
            for floor in (0.0, 0.03, 0.06):
                cells = []
                for deviation in (0.0015, 0.003):
                    held, widths = np.zeros(2, int), []
                    for repeat in range(repeats):
                        rng = np.random.default_rng(repeat)
                        at = np.array([2, 8]) * macs[-1]
                        truth, ahead = (
                            (0.1 - floor) * (values / macs[0]) ** -exponent + floor for values in (macs, at)
                        )
                        law = fit_power_law(
                            macs, truth + rng.normal(0, deviation, budgets), np.full(budgets, deviation)
                        )
                        forecasts = [law.forecast(int(value)) for value in at]
                        held += [f.low <= t <= f.high for f, t in zip(forecasts, ahead, strict=True)]
                        widths.append([f.high - f.low for f in forecasts])
                    cells.append(f"sd={deviation} {held[0]} {held[1]} ±{np.median(widths, 0) / 2}")
                print(f"{budgets} budgets b={exponent} c={floor}", *cells, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
