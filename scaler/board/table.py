"""The leaderboard: one pandas table over any number of studies, from their trials' records alone."""

import itertools
import statistics
from collections.abc import Iterable
from typing import Any

import pandas as pd
from optuna.trial import TrialState

from scaler.board.columns import COLUMNS, network_columns
from scaler.board.parts import Parts, StudyLike, parts_of
from scaler.budget import Budget
from scaler.record import Record, has_record, is_finished
from scaler.trials import Trial

GROUP = ["data", "recipe", "objective"]
"""The columns whose values rows must share to be ranked against each other."""

_VALUE = "value"
"""What rows that are not confirmed are ranked by: the objective of their study."""

_FLOATS = (
    *("accuracy", "balanced_accuracy", "macro_f1", "confirmed_accuracy", "accuracy_std", "test_accuracy", "test_std"),
    *("published_top1", "train_seconds", "images_per_second"),
)


def leaderboard(studies: Iterable[StudyLike], *, published: bool = False) -> pd.DataFrame:
    """One row for every network that ran its full recipe; its columns are those of `COLUMNS`.

    Rows are ranked among those of the same data, recipe and objective alone, and stand together with them: first the
    confirmed ones by their mean test accuracy, then the others by the objective. `published` adds, below and without a
    rank, what torchvision publishes of its networks on ImageNet. Raises `InputError` for a study without results.
    """
    rows = [row for study in studies for row in _rows(parts_of(study))]
    table = pd.DataFrame(rows, columns=[*COLUMNS, _VALUE])
    for column in (*_FLOATS, _VALUE):
        table[column] = table[column].astype("float64")
    groups = [_ranked(group) for _, group in table.groupby(GROUP, sort=False)]
    table = pd.concat(groups, ignore_index=True) if groups else table
    table = table.drop(columns=_VALUE)
    if published:
        from scaler.board.published import published_rows

        table = pd.concat([table, pd.DataFrame(published_rows(), columns=[*COLUMNS])], ignore_index=True)
    for column in ("rank", "n_seeds", "epochs", "trial"):
        table[column] = table[column].astype("Int64")
    table["pareto"] = table["pareto"].astype("boolean")
    return table


def unranked(studies: Iterable[StudyLike]) -> list[str]:
    """What the leaderboard leaves out, as lines such as `3 stopped early` and `1 failed: loss not finite`."""
    counts: dict[str, int] = {}
    for study in studies:
        for trial in itertools.chain.from_iterable(parts_of(study).trials.values()):
            if trial.state == TrialState.PRUNED:
                reason = "stopped early"
            elif trial.state == TrialState.FAIL and is_finished(trial):
                reason = f"failed: {trial.user_attrs.get('failure', 'unknown reason')}"
            elif not trial.state.is_finished():
                reason = "unfinished"
            else:
                continue
            counts[reason] = counts.get(reason, 0) + 1
    return [f"{count} {reason}" for reason, count in sorted(counts.items())]


def _ranked(group: pd.DataFrame) -> pd.DataFrame:
    """Comparable rows, best first, with their rank and whether they are on the front."""
    group = group.sort_values(
        ["test_accuracy", _VALUE, "macs"], ascending=[False, False, True], kind="stable", ignore_index=True
    )
    confirmed = group["test_accuracy"].notna()
    keys = pd.DataFrame({"test": group["test_accuracy"].fillna(-1.0), "value": group[_VALUE].mask(confirmed, 0.0)})
    is_new = keys.ne(keys.shift()).any(axis=1)
    group["rank"] = pd.Series(range(1, len(group) + 1), dtype="float64").where(is_new).ffill()
    by_cost = group.sort_values(["macs", "rank"], kind="stable")
    best_before = by_cost["rank"].cummin().shift(fill_value=float("inf"))
    group["pareto"] = (by_cost["rank"] < best_before).reindex(group.index)
    return group


def _rows(parts: Parts) -> list[dict[str, Any]]:
    confirmations: dict[str, list[dict[str, Any]]] = {}
    for trial in _completed(parts.trials.get("confirm", [])):
        confirmations.setdefault(trial.user_attrs["digest"], []).append(trial.user_attrs)
    rows = []
    for part, trials in parts.trials.items():
        for trial in _completed(trials) if part != "confirm" else ():
            known = confirmations.get(trial.user_attrs["digest"], [])
            if part == "train":  # a recipe of its own: its test accuracy is that of its one seed
                known = [trial.user_attrs] if "test_accuracy" in trial.user_attrs else []
            rows.append(_row(parts, part, trial, known))
    return rows


def _completed(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.state == TrialState.COMPLETE and has_record(trial)]


def _row(parts: Parts, part: str, trial: Trial, confirmed: list[dict[str, Any]]) -> dict[str, Any]:
    record = Record.from_trial(trial)
    accuracies = [run["accuracy"] for run in confirmed]
    tests = [run["test_accuracy"] for run in confirmed]
    return {
        **network_columns(record.architecture),
        "model": record.model,
        "source": record.source,
        "rule": "/".join(f"{share:.2f}" for share in record.rule) if record.rule else "",
        "budget": str(Budget(**record.budget)) if record.budget else "",
        _VALUE: trial.value,
        "accuracy": record.accuracy,
        "balanced_accuracy": record.balanced_accuracy,
        "macro_f1": record.macro_f1,
        "n_seeds": len(tests),
        "confirmed_accuracy": statistics.mean(accuracies) if accuracies else None,
        "accuracy_std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "test_accuracy": statistics.mean(tests) if tests else None,
        "test_std": statistics.stdev(tests) if len(tests) > 1 else None,
        "epochs": record.epochs,
        "train_seconds": record.train_seconds,
        "images_per_second": record.images_per_second,
        "device": record.device,
        "objective": parts.objective,
        "recipe": parts.recipe(record.epochs),
        "data": parts.data,
        "study": f"{parts.name}.{part}" if part else parts.name,
        "trial": trial.number,
    }
