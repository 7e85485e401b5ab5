"""How well the accuracy at an early epoch foretells the final one: what stopping early at that epoch can rely on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, spearmanr

NEEDED_TRIALS = 4
"""Completed trials below which a rank correlation is not computed: its interval needs more than three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """Rank correlation between the objective after `epoch` and at the end, over `n` networks that ran to the end.

    Networks that were stopped early are not among them, so the correlation over all would be higher rather than lower.

    spearman, kendall  the coefficients; None where all values at the epoch are equal
    low, high          interval of 95 % for Spearman's (Bonett and Wright 2000)
    best_rank          place at the epoch of the network that is best at the end, 1 is first
    """

    epoch: int
    n: int
    spearman: float | None
    low: float | None
    high: float | None
    kendall: float | None
    best_rank: int


def rank_correlations(curves: Sequence[Mapping[int, float]], final: Sequence[float]) -> list[Rung]:
    """One `Rung` for each epoch that at least four networks report, the last epoch excepted.

    `curves` holds each network's objective by epoch, `final` what it came to. Networks are to be of one budget: over
    several, the larger one is better at every epoch, which foretells nothing within a budget.
    """
    epochs = sorted({epoch for curve in curves for epoch in curve})
    rungs = []
    for epoch in epochs[:-1]:
        pairs = [
            (curve[epoch], value)
            for curve, value in zip(curves, final, strict=True)
            if math.isfinite(curve.get(epoch, math.nan))
        ]
        if len(pairs) >= NEEDED_TRIALS:
            rungs.append(_rung(epoch, *np.array(pairs).T))
    return rungs


def _rung(epoch: int, early: np.ndarray, final: np.ndarray) -> Rung:
    n = len(early)
    best_rank = 1 + int((early > early[int(np.argmax(final))]).sum())
    if np.ptp(early) == 0 or np.ptp(final) == 0:
        return Rung(epoch=epoch, n=n, spearman=None, low=None, high=None, kendall=None, best_rank=best_rank)
    rho = float(spearmanr(early, final).statistic)
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / (n - 3))
    centre = math.atanh(min(max(rho, -1 + 1e-12), 1 - 1e-12))
    return Rung(
        epoch=epoch,
        n=n,
        spearman=rho,
        low=math.tanh(centre - half),
        high=math.tanh(centre + half),
        kendall=float(kendalltau(early, final).statistic),
        best_rank=best_rank,
    )
