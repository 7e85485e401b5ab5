"""The Optuna studies that one study consists of, and what makes their trials comparable with those of another."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from scaler.config import StudyConfig, load_study
from scaler.data.config import FOLDER
from scaler.errors import InputError
from scaler.study import existing_study, stored_config
from scaler.trials import Trial, read_trials

PARTS = ("", "baselines", "confirm", "train")
"""Suffixes of the Optuna studies of a study: the search itself has none."""

_NO_DATA = ("cache", "cache_limit", "workers")  # how pictures are kept, not which
_DIGITS = 6

StudyLike = str | Path | StudyConfig | optuna.Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A study: its name, its settings as tables, and its Optuna studies by the names in `PARTS`."""

    name: str
    settings: Mapping[str, Any]
    studies: Mapping[str, optuna.Study]

    def trials(self, part: str) -> list[Trial]:
        """The trials of a part; none if there is no such part yet."""
        return read_trials(self.studies[part]) if part in self.studies else []

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


def parts_of(study: StudyLike) -> Parts:
    """The parts of a study that exist; raises `InputError` for a study without results."""
    if isinstance(study, optuna.Study):
        storage, name = study._storage, study.study_name
        known = optuna.get_all_study_names(storage)
        found: dict[str, optuna.Study | None] = {
            part: optuna.load_study(study_name=f"{name}.{part}", storage=storage) if f"{name}.{part}" in known else None
            for part in PARTS
            if part
        }
        found = {"": study, **found}
    else:
        config = study if isinstance(study, StudyConfig) else load_study(study)
        name, found = config.name, {part: existing_study(config, part) for part in PARTS}
        if found[""] is None:
            raise InputError(f"study: {name} has no results in {config.folder}; run scaler search first")
    studies = {part: opened for part, opened in found.items() if opened is not None}
    # Read and written again, so that settings which older studies do not have get their defaults.
    return Parts(name=name, settings=stored_config(studies[""]).to_tables(), studies=studies)


def _digest(table: Mapping[str, Any]) -> str:
    text = json.dumps(table, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
