"""Which of many points a picture shows."""

import numpy as np

from scaler.report.thinning import thinned


def test_few_are_all_shown() -> None:
    assert thinned([0.5, 0.1, np.nan]).tolist() == [0, 1, 2]
    assert thinned([]).tolist() == []


def test_of_many_the_best_half_is_shown_and_evenly_what_is_below() -> None:
    values = np.random.default_rng(0).permutation(1000) / 1000
    shown = thinned(values, 100)
    assert shown.tolist() == sorted(set(shown.tolist()))
    kept = np.sort(values[shown])[::-1] * 1000
    assert kept[:50].tolist() == list(range(999, 949, -1))
    assert kept[-1] == 0
    assert np.ptp(np.diff(kept[50:])) <= 2
