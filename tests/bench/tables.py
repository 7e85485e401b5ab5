"""Recorded tables for the comparison of searches: every network of a space with its cost and its measured accuracies.

A CSV file of one network a row, with `macs` (and `params`, `activations` if known), one `acc_…` column for each
training with another seed, and what tells the networks apart: `layers`, a string of one digit a layer
(NAS-Bench-Macro), or else every other column of numbers. Rows that agree in cost and all accuracies are one network
under several names, as NAS-Bench-Macro has them.

Or what `scaler leaderboard --format csv` prints of studies that differ in their seed: a row for each network and study.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from scaler.budget import parse_quantity
from scaler.rounding import FloatArray

_COSTS = ("macs", "params", "activations")
_NO_PARAMETERS = ("seconds", "time", "epochs", "digest", "images")
_BUDGET = "budget"
_SHAPE = ["blocks", "width", "side"]
_NEAREST = 8


@dataclass(frozen=True, kw_only=True)
class Table:
    """The distinct networks of a table.

    distributions  the parameters as Optuna's own samplers see them
    params         each network's, one of its names
    places         where each network lies, for distances: (n, p)
    features       what a surrogate sees: (n, f)
    macs           (n,)
    accuracies     in per cent, one column a seed: (n, seeds)
    aliases        the network of every row of the file, by the row's parameters
    """

    distributions: dict[str, BaseDistribution]
    params: list[dict[str, Any]]
    places: FloatArray
    features: FloatArray
    macs: FloatArray
    accuracies: FloatArray
    aliases: dict[tuple[Any, ...], int]
    budgets: tuple[float, ...] = ()

    def row(self, params: dict[str, Any]) -> int:
        """The network with these parameters, or the nearest to them where they are no row's."""
        values = tuple(params[name] for name in self.distributions)
        if values in self.aliases:
            return self.aliases[values]
        names = list(self.aliases)
        scale = np.ptp(np.array(names, float), axis=0)
        distance = np.abs((np.array(names, float) - np.array(values, float)) / np.where(scale > 0, scale, 1)).sum(
            axis=1
        )
        return self.aliases[names[int(distance.argmin())]]

    def near(self, row: int, among: NDArray[np.intp], rng: np.random.Generator) -> int:
        """One of the nearest neighbours of a network among some: the nearest eight and what is as near as they are."""
        distance = np.abs(self.places[among] - self.places[row]).sum(axis=1)
        limit = np.sort(distance)[min(_NEAREST, len(distance)) - 1]
        return int(rng.choice(among[distance <= limit + 1e-9]))


class TableSpace:
    """Some of a table's networks as a `CandidateSpace`."""

    def __init__(self, table: Table, rows: NDArray[np.intp]) -> None:
        self._table = table
        self._rows = rows
        self.distributions = table.distributions

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        rows = self._rows if len(self._rows) <= n else rng.choice(self._rows, n, replace=False)
        return [self._table.params[row] for row in rows]

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        return self._table.features[[self._table.row(params) for params in candidates]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One search: the networks of a table within a cap, and the accuracies that this search happens to measure.

    rows      the networks within the cap
    measured  what each network of the table reaches in the one training that it gets
    """

    name: str
    table: Table
    rows: NDArray[np.intp]
    measured: FloatArray

    @property
    def checkpoints(self) -> tuple[int, int, int, int]:
        """The numbers of evaluations after which searches are compared: 20, 25, 50 and 100, or, where there are fewer
        than 400 networks, about a sixth, a fifth, two fifths and four fifths of them."""
        count = len(self.rows)
        return (20, 25, 50, 100) if count >= 400 else (count // 6, count // 5, 2 * count // 5, 4 * count // 5)

    def regret(self, row: int) -> float:
        """How far the mean over all seeds lies below the best within the cap, in percentage points."""
        means = self.table.accuracies.mean(axis=1)
        return float(means[self.rows].max() - means[row])


def make_case(table: Table, name: str, low: float, high: float, seed: int) -> Case:
    """The networks of `low` to `high` MACs, each measured with a seed of the table's that `seed` decides."""
    rows = np.flatnonzero((table.macs >= low) & (table.macs <= high))
    columns = np.random.default_rng([seed, 7]).integers(table.accuracies.shape[1], size=len(table.macs))
    return Case(name=name, table=table, rows=rows, measured=table.accuracies[np.arange(len(columns)), columns])


def read_table(path: Path) -> Table:
    """The table in a CSV file."""
    frame = pd.read_csv(path, dtype={"layers": str})
    budgets: tuple[float, ...] = ()
    if "digest" in frame.columns:
        frame = _of_leaderboard(frame)
        budgets = tuple(sorted(frame[_BUDGET].unique().tolist()))
    accuracies = [name for name in frame.columns if name.startswith("acc")]
    costs = [name for name in _COSTS if name in frame.columns]
    same = frame.groupby(costs + accuracies, sort=False).ngroup().to_numpy()
    _, last = np.unique(same[::-1], return_index=True)
    last = len(same) - 1 - last
    measured = frame[accuracies].to_numpy(float)[last]
    logs = np.log(frame[costs].to_numpy(float)[last])
    if "layers" in frame.columns:
        digits = np.array([[int(digit) for digit in name] for name in frame.layers])
        distributions, values, places, features = _of_layers(digits)
    else:
        shape = [name for name in _SHAPE if budgets]
        distributions, values, places, features = _of_numbers(frame.drop(columns=accuracies + costs + shape))
        if budgets:  # what a study's domain has for features
            features = np.log(frame[[*_SHAPE, _BUDGET]].to_numpy(float))
    params = [dict(zip(distributions, row, strict=True)) for row in values]
    return Table(
        distributions=distributions,
        params=[params[index] for index in last],
        places=places[last],
        features=np.column_stack([features[last], logs]),
        macs=frame.macs.to_numpy(float)[last],
        accuracies=measured * (100 if measured.max() <= 1 else 1),
        aliases={values[index]: int(network) for index, network in enumerate(same)},
        budgets=budgets,
    )


_Columns = tuple[dict[str, BaseDistribution], list[tuple[Any, ...]], FloatArray, FloatArray]


def _of_layers(digits: NDArray[np.int64]) -> _Columns:
    """One choice a layer. The features are one-hot, and how many layers have each choice: 0 is no layer."""
    choices = range(int(digits.max()) + 1)
    one_hot = np.concatenate([digits == choice for choice in choices], axis=1).astype(float)
    distributions: dict[str, BaseDistribution] = {
        f"layer{index}": CategoricalDistribution(tuple(choices)) for index in range(digits.shape[1])
    }
    counts = np.column_stack([(digits == choice).sum(axis=1) for choice in choices])
    return distributions, [tuple(row) for row in digits.tolist()], one_hot, np.column_stack([one_hot, counts])


def _of_leaderboard(frame: pd.DataFrame) -> pd.DataFrame:
    """A leaderboard's networks: shares, budget, shape, cost, and an accuracy for each of its studies."""
    ruled = frame[frame.source == "discovered"]
    accuracies = ruled.pivot(index="digest", columns="study", values="accuracy").dropna()
    first = ruled.drop_duplicates("digest").set_index("digest").loc[accuracies.index]
    shares = np.array([rule.split("/") for rule in first.rule], float)
    networks = pd.DataFrame({"depth_share": shares[:, 0], "width_share": shares[:, 1]}, index=first.index)
    networks[_BUDGET] = [float(parse_quantity("budget", text.split()[0])) for text in first.budget]
    networks["blocks"] = [sum(map(int, depths.split("-"))) for depths in first.depths]
    networks["width"] = [np.exp(np.mean(np.log([int(width) for width in text.split("-")]))) for text in first.widths]
    networks["side"] = first.resolution
    return networks.join(first[list(_COSTS)]).join(accuracies.add_prefix("acc_")).reset_index(drop=True)


def _of_numbers(frame: pd.DataFrame) -> _Columns:
    """Every column of numbers that is not a record of the training."""
    chosen = frame.select_dtypes("number")
    chosen = chosen.drop(columns=[name for name in chosen if any(word in str(name) for word in _NO_PARAMETERS)])
    values = chosen.to_numpy(float)
    low, high = values.min(axis=0), values.max(axis=0)
    distributions: dict[str, BaseDistribution] = {
        str(name): FloatDistribution(*limits) for name, *limits in zip(chosen, low.tolist(), high.tolist(), strict=True)
    }
    places = (values - low) / np.where(high > low, high - low, 1)
    return distributions, [tuple(row) for row in values.tolist()], places, places
