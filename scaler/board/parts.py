"""The Optuna studies that one study consists of, and what makes their trials comparable with those of another."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from scaler.board.rows import rows_of, trial_rows
from scaler.config import StudyConfig, load_study
from scaler.data.config import FOLDER
from scaler.errors import InputError
from scaler.study import existing_study, stored_config
from scaler.trials import Trial, read_trials

PARTS = ("", "baselines", "confirm", "train")
"""Suffixes of the Optuna studies of a study: the search itself has none."""

_NO_DATA = ("cache", "cache_limit", "workers")  # how pictures are kept, not which
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A study, its trials read once, when they are first asked for.

    settings  its study file's tables
    studies   its Optuna studies, by those of `PARTS` that there are
    """

    name: str
    settings: Mapping[str, Any]
    studies: Mapping[str, optuna.Study]

    @cached_property
    def trials(self) -> Mapping[str, list[Trial]]:
        """The trials of each of its Optuna studies."""
        return {part: read_trials(study) for part, study in self.studies.items()}

    @cached_property
    def rows(self) -> Mapping[str, pd.DataFrame]:
        """What the leaderboard says of them (`trial_rows`)."""
        if "trials" in self.__dict__:
            return {part: rows_of(trials) for part, trials in self.trials.items()}
        return {part: trial_rows(study) for part, study in self.studies.items()}

    @property
    def objective(self) -> str:
        """What the search maximises."""
        return str(self.settings.get("objective", "accuracy"))

    @property
    def data(self) -> str:
        """Which images: their name and a digest, equal for studies on the same images in the same splits."""
        table = {key: value for key, value in self.settings.get("data", {}).items() if key not in _NO_DATA}
        name = str(table.get("name", ""))
        if name.startswith("torch/") and name != "torch/image_folder":
            table.pop("root", None)  # a published data set is the same wherever it lies
        return f"{name.removeprefix(FOLDER)} #{_digest(table)}"

    def recipe(self, epochs: int | None) -> str:
        """How a network was trained for so many epochs: these and a digest, equal for equal recipes."""
        table = {**self.settings.get("recipe", {}), "epochs": epochs}
        return f"{epochs} epochs #{_digest(table)}"


StudyLike = str | Path | StudyConfig | optuna.Study | Parts
"""A study as users name it, or as it was read before."""


def parts_of(study: StudyLike) -> Parts:
    """Reads a study; raises `InputError` for one without results."""
    if isinstance(study, Parts):
        return study
    if not isinstance(study, optuna.Study):
        config = study if isinstance(study, StudyConfig) else load_study(study)
        searched = existing_study(config)
        if searched is None:
            raise InputError(f"study: {config.name} has no results in {config.folder}; run scaler search first")
        study = searched
    storage, name = study._storage, study.study_name
    known = optuna.get_all_study_names(storage)
    studies = {"": study} | {
        part: optuna.load_study(study_name=f"{name}.{part}", storage=storage)
        for part in PARTS
        if part and f"{name}.{part}" in known
    }
    # Read and written again, so that settings which older studies do not have get their defaults.
    settings = stored_config(study).to_tables()
    return Parts(name=name, settings=settings, studies=studies)


def _digest(table: Mapping[str, Any]) -> str:
    text = json.dumps(table, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
