"""The leaderboard: one pandas table over any number of studies, from their trials' records alone."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from scaler.budget import Budget
from scaler.config import StudyConfig, load_study
from scaler.entries import timm_entry
from scaler.errors import InputError
from scaler.record import Record, has_record, is_finished
from scaler.study import existing_study

COLUMNS = {
    "rank": "1 is best: confirmed networks by mean test accuracy, then others by the study's objective; equals share",
    "model": "short name: study#trial, or what the baseline is",
    "family": "family of the architecture",
    "source": "discovered, rule or classic",
    "rule": "shares of depth, width and resolution",
    "budget": "limits that the network was made to fit",
    "resolution": "side of the input image, pixels",
    "depths": "blocks in each stage",
    "widths": "stem and stage channels",
    "macs": "multiply-accumulates of one image",
    "params": "trainable numbers",
    "activations": "elements in the outputs of convolution, pooling and linear layers",
    "accuracy": "validation accuracy after the full recipe, from 0 to 1",
    "balanced_accuracy": "the same, mean over the classes",
    "macro_f1": "the same, mean over the classes of the F1 score",
    "n_seeds": "number of confirmed seeds, none of which the search has used",
    "confirmed_accuracy": "mean validation accuracy over those seeds; what `accuracy` has more is the winner's curse",
    "test_accuracy": "mean test accuracy over those seeds",
    "test_std": "its standard deviation over those seeds, of two or more",
    "epochs": "epochs run",
    "train_seconds": "wall-clock time of training",
    "images_per_second": "training images over that time",
    "device": "where it was trained",
    "export_tier": "stock (timm loads it alone) or plugin (after `import scaler.models`)",
    "study": "study that the row belongs to",
    "trial": "number of the trial in its Optuna study",
    "digest": "identity of the network",
}
"""The table's columns in order, and what each holds."""

_VALUE = "value"
"""What rows that are not confirmed are ranked by: the objective of their study."""


def leaderboard(studies: Iterable[str | Path | StudyConfig | optuna.Study]) -> pd.DataFrame:
    """One row for every network that ran its full recipe.

    First come the confirmed ones by their mean test accuracy, then the others by the study's objective. The columns are
    those of `COLUMNS`. Raises `InputError` for a study without results.
    """
    rows: list[dict[str, Any]] = []
    for study in studies:
        rows.extend(_rows(*_parts(study)))
    table = pd.DataFrame(rows, columns=[*COLUMNS, _VALUE])
    for column in ("confirmed_accuracy", "test_accuracy", "test_std"):
        table[column] = table[column].astype("float64")
    table = table.sort_values(
        ["test_accuracy", _VALUE, "macs"], ascending=[False, False, True], kind="stable", ignore_index=True
    )
    confirmed = table["test_accuracy"].notna()
    keys = pd.DataFrame({"test": table["test_accuracy"].fillna(-1.0), "value": table.pop(_VALUE).mask(confirmed, 0.0)})
    is_new = keys.ne(keys.shift()).any(axis=1)
    table["rank"] = pd.Series(range(1, len(table) + 1)).where(is_new).ffill().astype("int64")
    for column in ("n_seeds", "epochs"):
        table[column] = table[column].astype("Int64")
    return table


def unranked(studies: Iterable[str | Path | StudyConfig | optuna.Study]) -> list[str]:
    """What the leaderboard leaves out, as lines such as `3 stopped early` and `1 failed: loss not finite`."""
    counts: dict[str, int] = {}
    for study in studies:
        searched, baselines, _ = _parts(study)
        for trial in [*searched.get_trials(deepcopy=False), *(baselines.get_trials() if baselines else [])]:
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


def _parts(
    study: str | Path | StudyConfig | optuna.Study,
) -> tuple[optuna.Study, optuna.Study | None, optuna.Study | None]:
    """A study's search, baselines and confirmations, in the same storage."""
    if isinstance(study, optuna.Study):
        storage = study._storage
        names = optuna.get_all_study_names(storage)
        name = study.study_name
        parts = [
            optuna.load_study(study_name=f"{name}.{part}", storage=storage) if f"{name}.{part}" in names else None
            for part in ("baselines", "confirm")
        ]
        return study, parts[0], parts[1]
    config = study if isinstance(study, StudyConfig) else load_study(study)
    searched = existing_study(config)
    if searched is None:
        raise InputError(f"study: {config.name} has no results in {config.folder}; run scaler search first")
    return searched, existing_study(config, "baselines"), existing_study(config, "confirm")


def _rows(
    searched: optuna.Study, baselines: optuna.Study | None, confirmed: optuna.Study | None
) -> list[dict[str, Any]]:
    runs: dict[str, list[dict[str, Any]]] = {}
    for trial in _completed(confirmed):
        runs.setdefault(trial.user_attrs["digest"], []).append(trial.user_attrs)
    return [
        _row(searched.study_name, trial, runs.get(trial.user_attrs["digest"], []))
        for part in (searched, baselines)
        for trial in _completed(part)
    ]


def _completed(study: optuna.Study | None) -> list[FrozenTrial]:
    if study is None:
        return []
    return [trial for trial in study.get_trials(states=(TrialState.COMPLETE,)) if has_record(trial)]


def _row(study_name: str, trial: FrozenTrial, confirmed: list[dict[str, Any]]) -> dict[str, Any]:
    record = Record.from_trial(trial)
    network = record.architecture
    cost = network.cost()
    tests = [run["test_accuracy"] for run in confirmed]
    return {
        "model": record.model,
        "family": network.family,
        "source": record.source,
        "rule": "/".join(f"{share:.2f}" for share in record.rule) if record.rule else "",
        "budget": str(Budget(**record.budget)) if record.budget else "",
        "resolution": network.resolution,
        "depths": "-".join(map(str, network.depths)),
        "widths": "-".join(map(str, network.widths)),
        "macs": cost.macs,
        "params": cost.params,
        "activations": cost.activations,
        _VALUE: trial.value,
        "accuracy": record.accuracy,
        "balanced_accuracy": record.balanced_accuracy,
        "macro_f1": record.macro_f1,
        "n_seeds": len(tests),
        "confirmed_accuracy": statistics.mean(run["accuracy"] for run in confirmed) if confirmed else None,
        "test_accuracy": statistics.mean(tests) if tests else None,
        "test_std": statistics.stdev(tests) if len(tests) > 1 else None,
        "epochs": record.epochs,
        "train_seconds": record.train_seconds,
        "images_per_second": record.images_per_second,
        "device": record.device,
        "export_tier": timm_entry(network).tier,
        "study": study_name,
        "trial": trial.number,
        "digest": network.digest,
    }
