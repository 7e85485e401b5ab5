"""Trials, epochs and studies as tables, beside the leaderboard's."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from scaler.board.parts import Parts, StudyLike, parts_of
from scaler.board.table import leaderboard
from scaler.trials import Trial, read_curves

TRIALS = {
    "study": "string",
    "trial": "Int64",
    "state": "string",
    "failure": "string",
    "source": "string",
    "model": "string",
    "value": "Float64",
    "accuracy": "Float64",
    "test_accuracy": "Float64",
    "seed": "Int64",
    "epochs": "Int64",
    "macs": "Int64",
    "params": "Int64",
    "activations": "Int64",
    "depth_share": "Float64",
    "width_share": "Float64",
    "resolution_share": "Float64",
    "resolution": "Int64",
    "train_seconds": "Float64",
    "images_per_second": "Float64",
    "device": "string",
    "began": "datetime64[us]",
    "ended": "datetime64[us]",
    "digest": "string",
}
"""Every trial, whatever became of it: the columns and their types."""

EPOCHS = {"study": "string", "trial": "Int64", "epoch": "Int64", "value": "Float64"}
"""The objective after every epoch of every trial."""

STUDIES = {
    "study": "string",
    "data": "string",
    "recipe": "string",
    "objective": "string",
    "budget": "string",
    "sampler": "string",
    "pruner": "string",
    "seed": "Int64",
    "wanted": "Int64",
    "trials": "Int64",
    "complete": "Int64",
    "pruned": "Int64",
    "failed": "Int64",
    "unfinished": "Int64",
}
"""Every Optuna study, a study's parts each by itself; `wanted` is how many trials its search is to have."""

_STATES = {"complete": ("COMPLETE",), "pruned": ("PRUNED",), "failed": ("FAIL",), "unfinished": ("RUNNING", "WAITING")}


def frames(studies: Iterable[StudyLike], *, published: bool = False) -> dict[str, pd.DataFrame]:
    """The tables `leaderboard`, `trials`, `epochs` and `studies`; raises `InputError` for a study without results."""
    read = [parts_of(study) for study in studies]
    trials: list[dict[str, Any]] = []
    epochs: list[tuple[str, int, int, float]] = []
    about: list[dict[str, Any]] = []
    for parts in read:
        for part, study in parts.studies.items():
            name = f"{parts.name}.{part}" if part else parts.name
            trials += [_trial(name, trial) for trial in parts.trials[part]]
            epochs += [
                (name, number, epoch, value)
                for number, curve in read_curves(study).items()
                for epoch, value in curve.items()
            ]
            about.append(_about(name, parts, parts.trials[part]))
    return {
        "leaderboard": leaderboard(read, published=published),
        "trials": pd.DataFrame(trials, columns=[*TRIALS]).astype(TRIALS),
        "epochs": pd.DataFrame(epochs, columns=[*EPOCHS]).astype(EPOCHS),
        "studies": pd.DataFrame(about, columns=[*STUDIES]).astype(STUDIES),
    }


def _trial(study: str, trial: Trial) -> dict[str, Any]:
    known = trial.user_attrs
    depth, width, resolution = known.get("rule") or (None, None, None)
    return {
        **{name: known.get(name) for name in TRIALS},
        "study": study,
        "trial": trial.number,
        "state": trial.state.name,
        "value": trial.value,
        "depth_share": depth,
        "width_share": width,
        "resolution_share": resolution,
        "resolution": known.get("architecture", {}).get("resolution"),
        "began": trial.datetime_start,
        "ended": trial.datetime_complete,
    }


def _about(name: str, parts: Parts, trials: list[Trial]) -> dict[str, Any]:
    search, recipe = parts.settings["search"], parts.settings["recipe"]
    states = [trial.state.name for trial in trials]
    return {
        "study": name,
        "data": parts.data,
        "recipe": parts.recipe(recipe["epochs"]),
        "objective": parts.objective,
        "budget": ", ".join(f"{limit} {value}" for limit, value in parts.settings["budget"].items()),
        **{setting: search[setting] for setting in ("sampler", "pruner", "seed")},
        "wanted": search["trials"] if name == parts.name else None,
        "trials": len(trials),
        **{column: sum(state in those for state in states) for column, those in _STATES.items()},
    }
