"""The leaderboard: one pandas table over any number of studies, from their trials' records alone."""

import itertools
from collections import Counter
from collections.abc import Iterable

import pandas as pd

from scaler.board.columns import COLUMNS
from scaler.board.parts import Parts, StudyLike, parts_of
from scaler.board.rows import VALUE
from scaler.record import UNCOUNTED

GROUP = ["data", "recipe", "objective"]
"""The columns whose values rows must share to be ranked against each other."""

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
    found = [rows for rows in (_rows(parts_of(study)) for study in studies) if len(rows)]
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*COLUMNS, VALUE])
    for column in (*_FLOATS, VALUE):
        table[column] = table[column].astype("float64")
    groups = [_ranked(group) for _, group in table.groupby(GROUP, sort=False)]
    table = pd.concat(groups, ignore_index=True) if groups else table
    table = table.drop(columns=VALUE)
    if published:
        from scaler.board.published import published_rows

        table = pd.concat([table, pd.DataFrame(published_rows(), columns=[*COLUMNS])], ignore_index=True)
    for column in ("rank", "n_seeds", "epochs", "trial"):
        table[column] = table[column].astype("Int64")
    table["pareto"] = table["pareto"].astype("boolean")
    return table


def unranked(studies: Iterable[StudyLike]) -> list[str]:
    """What the leaderboard leaves out, as lines such as `3 stopped early` and `1 failed: loss not finite`."""
    counts: Counter[str] = Counter()
    for rows in itertools.chain.from_iterable(parts_of(study).rows.values() for study in studies):
        for (state, failure), count in Counter(zip(rows["state"], rows["failure"].fillna(""), strict=True)).items():
            reason = _reason(state, failure)
            if reason is not None:
                counts[reason] += count
    return [f"{count} {reason}" for reason, count in sorted(counts.items())]


def _reason(state: str, failure: str) -> str | None:
    """Why trials of this state and failure are not in the table; None if they are, or do not count."""
    match state:
        case "PRUNED":
            return "stopped early"
        case "FAIL":
            return None if failure in UNCOUNTED else f"failed: {failure or 'unknown reason'}"
        case "COMPLETE":
            return None
    return "unfinished"


def _ranked(group: pd.DataFrame) -> pd.DataFrame:
    """Comparable rows, best first, with their rank and whether they are on the front."""
    group = group.sort_values(
        ["test_accuracy", VALUE, "macs"], ascending=[False, False, True], kind="stable", ignore_index=True
    )
    confirmed = group["test_accuracy"].notna()
    keys = pd.DataFrame({"test": group["test_accuracy"].fillna(-1.0), "value": group[VALUE].mask(confirmed, 0.0)})
    is_new = keys.ne(keys.shift()).any(axis=1)
    group["rank"] = pd.Series(range(1, len(group) + 1), dtype="float64").where(is_new).ffill()
    by_cost = group.sort_values(["macs", "rank"], kind="stable")
    best_before = by_cost["rank"].cummin().shift(fill_value=float("inf"))
    group["pareto"] = (by_cost["rank"] < best_before).reindex(group.index)
    return group


def _rows(parts: Parts) -> pd.DataFrame:
    """A study's networks that ran their full recipe, with what their confirmations have found."""
    confirmed = _confirmations(parts.rows["confirm"]) if "confirm" in parts.rows else None
    found = []
    for part, trials in parts.rows.items():
        ran = trials[trials["ran"]]
        if part == "confirm" or ran.empty:
            continue
        if part == "train":  # a recipe of its own: its test accuracy is that of its one seed
            known = _confirmations(ran.drop(columns="digest").assign(digest=ran.index))
            rows = ran.drop(columns="test_accuracy").join(known)
        else:
            rows = ran.drop(columns="test_accuracy")
            rows = rows.join(confirmed, on="digest") if confirmed is not None else rows
        recipes = {epochs: parts.recipe(None if pd.isna(epochs) else int(epochs)) for epochs in rows["epochs"].unique()}
        found.append(
            rows.assign(
                objective=parts.objective,
                recipe=[recipes[epochs] for epochs in rows["epochs"]],
                data=parts.data,
                study=f"{parts.name}.{part}" if part else parts.name,
            )
        )
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    rows = rows.reindex(columns=[*COLUMNS, VALUE])
    rows["n_seeds"] = rows["n_seeds"].astype("float64").fillna(0)
    return rows


def _confirmations(trials: pd.DataFrame) -> pd.DataFrame:
    """By digest: how many trainings measured the test accuracy, and what they found."""
    by_network = trials[trials["ran"] & trials["test_accuracy"].notna()].groupby("digest")
    return by_network.agg(
        n_seeds=("test_accuracy", "size"),
        confirmed_accuracy=("accuracy", "mean"),
        accuracy_std=("accuracy", "std"),
        test_accuracy=("test_accuracy", "mean"),
        test_std=("test_accuracy", "std"),
    )
