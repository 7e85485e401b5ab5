import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from scaler.laws import rank_correlations


def test_each_epoch_but_the_last_is_compared_with_the_end() -> None:
    rng = np.random.default_rng(0)
    final = rng.random(30)
    early, late = final + rng.normal(0, 0.3, 30), final + rng.normal(0, 0.05, 30)
    curves = [{1: a, 4: b, 6: c} for a, b, c in zip(early, late, final, strict=True)]
    first, second = rank_correlations(curves, final)
    assert (first.epoch, second.epoch, first.n) == (1, 4, 30)
    for rung, values in ((first, early), (second, late)):
        assert rung.spearman == pytest.approx(spearmanr(values, final).statistic)
        assert rung.kendall == pytest.approx(kendalltau(values, final).statistic)
        assert rung.low < rung.spearman < rung.high
        assert rung.best_rank == 1 + int((values > values[final.argmax()]).sum())
    assert first.spearman < second.spearman
    assert first.high - first.low > second.high - second.low


def test_networks_that_lack_an_epoch_are_left_out_and_few_are_not_judged() -> None:
    curves = [{1: 0.1, 2: 0.1}, {1: 0.2, 2: 0.3}, {1: 0.3, 2: 0.2}, {1: 0.4, 2: 0.4}, {2: 0.5}, {1: float("nan"), 2: 0}]
    final = [curve[2] for curve in curves]
    (rung,) = rank_correlations(curves, final)
    assert (rung.n, rung.best_rank) == (4, 1)
    assert rank_correlations(curves[:3], final[:3]) == []
    assert rank_correlations([], []) == []


def test_equal_values_have_no_correlation() -> None:
    (rung,) = rank_correlations([{1: 0.5, 2: value} for value in (0.1, 0.2, 0.3, 0.4)], [0.1, 0.2, 0.3, 0.4])
    assert (rung.spearman, rung.kendall, rung.low) == (None, None, None)
