"""A study in its storage: opening it, its trials, and who drives it."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import optuna
import tomli_w
from optuna.trial import FrozenTrial, TrialState

from scaler.budget import parse_quantity
from scaler.config import StudyConfig
from scaler.errors import InputError
from scaler.paths import inside
from scaler.pruners import make_pruner
from scaler.record import DRIVER, INTERRUPTED, LEVEL, has_record, is_finished
from scaler.storage import Storage, open_storage

SCHEMA = 2
"""Raised whenever the records of older studies can no longer be read."""

_T = TypeVar("_T")

_ATTRIBUTE = "scaler"
_IDENTITY = ("space", "objective", "budget", "data", "recipe")
_NO_QUESTION = ("data.root", "data.cache", "data.cache_limit", "data.workers")  # where the data lies, not what it is


def open_study(config: StudyConfig, part: str = "") -> optuna.Study:
    """The Optuna study of a config, created if it is new: the search itself, or its part "baselines" or "confirm".

    Raises `InputError` if the stored study asks another question, is of another schema or cannot be opened.
    """
    name = f"{config.name}.{part}" if part else config.name
    writable_folder(config)
    study = optuna.create_study(
        storage=open_storage(config.storage_url, patience=config.storage.patience),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=make_pruner(config.search.pruner, config.recipe.epochs, LEVEL if config.has_levels else None),
    )
    stored = study.user_attrs.get(_ATTRIBUTE)
    if stored is None and study.get_trials(deepcopy=False):
        raise InputError(f"study: {name} in this storage was not made by scaler; choose another name with --name")
    if stored is not None:
        _check_same_question(config, stored)
    settings = {"schema": SCHEMA, "config": _without_storage(config)}
    if stored != settings:
        study.set_user_attr(_ATTRIBUTE, settings)
        (config.folder / "study.toml").write_text(tomli_w.dumps(_without_storage(config)), encoding="utf-8")
    return study


def existing_study(config: StudyConfig, part: str = "") -> optuna.Study | None:
    """`open_study` for readers: None if the study has no such part yet; nothing is created."""
    if config.storage.url is None and not (config.folder / "study.db").is_file():
        return None
    storage = open_storage(config.storage_url, patience=config.storage.patience)
    name = f"{config.name}.{part}" if part else config.name
    if name not in optuna.get_all_study_names(storage):
        return None
    study = optuna.load_study(study_name=name, storage=storage)
    _check_schema(study.user_attrs.get(_ATTRIBUTE, {}), name)
    return study


def storage_of(study: optuna.Study) -> Storage:
    """The storage of a study that this module has opened."""
    storage = study._storage
    assert isinstance(storage, Storage), "open_study makes no other"
    return storage


def stored_config(study: optuna.Study, root: Path | None = None) -> StudyConfig:
    """The config of a study made by scaler, from its storage."""
    stored = study.user_attrs.get(_ATTRIBUTE)
    if stored is None:
        raise InputError(f"study: {study.study_name} was not made by scaler")
    _check_schema(stored, study.study_name)
    name = study.study_name.partition(".")[0]
    return StudyConfig.from_tables(stored["config"], default_name=name, folder=root or Path.cwd())


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count, in order: see `is_finished`."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]


def taken_digests(study: optuna.Study) -> set[str]:
    """Digests of the networks that a trial has evaluated, is evaluating or is queued for."""
    return {
        trial.user_attrs["digest"]
        for trial in study.get_trials(deepcopy=False)
        if has_record(trial) and (is_finished(trial) or not trial.state.is_finished())
    }


def best_trial(study: optuna.Study, budget: int | None = None) -> FrozenTrial:
    """The completed trial of the highest value, the first of equals; raises `InputError` if none has completed.

    `budget` is a limit; then only networks that were made to fit it count.
    """
    completed = completed_trials(study, budget)
    if not completed:
        within = "" if budget is None else f" within a budget of {budget:,}"
        raise InputError(f"study: {study.study_name} has no completed trial{within} yet; run scaler search first")
    return max(completed, key=lambda trial: (trial.value, -trial.number))


def completed_trials(study: optuna.Study, budget: int | None = None) -> list[FrozenTrial]:
    """The trials that ran their full recipe, in order; with a `budget`, those that were made to fit that limit."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if budget is None or budget in (trial.user_attrs.get("budget") or {}).values()
    ]


def find_trial(searched: optuna.Study, trial: str | int) -> FrozenTrial:
    """The completed trial that a user names; raises `InputError` if there is none.

    "best", "best@5M" for the best of those made to fit that budget, or a trial's number or digest.
    """
    if trial == "best":
        return best_trial(searched)
    if str(trial).startswith("best@"):
        return best_trial(searched, parse_quantity("trial", str(trial).removeprefix("best@")))
    for candidate in completed_trials(searched):
        if str(trial) in (str(candidate.number), candidate.user_attrs.get("digest")):
            return candidate
    numbers = [candidate.number for candidate in completed_trials(searched)]
    raise InputError(f"trial: {trial!r} is no completed trial of {searched.study_name}; 'best' or one of {numbers}")


def artifacts_folder(config: StudyConfig) -> Path:
    """Where the weights of the study's networks are kept; created if need be."""
    folder = config.folder / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def weights_file(config: StudyConfig, artifact: str) -> Path:
    """The file of weights that a record names; raises `InputError` if the name leads out of the study's artifacts."""
    return inside(artifacts_folder(config), artifact, "weights")


def writable_folder(config: StudyConfig) -> Path:
    """The folder for the study's results, created if need be; raises `InputError` if it cannot be written."""
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder: {config.folder} cannot be created ({error.strerror}); run elsewhere") from None
    if not os.access(config.folder, os.W_OK):
        raise InputError(f"folder: {config.folder} cannot be written; run elsewhere")
    return config.folder


def claimed(study: optuna.Study, work: Callable[[], _T]) -> _T:
    """What `work` returns, done while no other driver asks, tells or queues: see `Storage.claimed`."""
    return storage_of(study).claimed(study._study_id, work)


def interrupt(study: optuna.Study, trial: optuna.Trial) -> None:
    """Fails a running trial as interrupted and queues its network again; call it under the study's claim."""
    params = trial.params
    attributes = {name: value for name, value in trial.user_attrs.items() if name not in ("failure", DRIVER)}
    trial.set_user_attr("failure", INTERRUPTED)
    study.tell(trial, state=TrialState.FAIL)
    if "architecture" in attributes:
        study.enqueue_trial(params, user_attrs=attributes)


def _check_schema(stored: Mapping[str, Any], name: str) -> None:
    if stored.get("schema") != SCHEMA:
        raise InputError(
            f"study: {name} has schema {stored.get('schema')}, this scaler reads {SCHEMA}; "
            "use the scaler that made it, or start anew with --name"
        )


def _check_same_question(config: StudyConfig, stored: Mapping[str, Any]) -> None:
    _check_schema(stored, config.name)
    # Read and written again, so that settings which older studies do not have get their defaults.
    asked_before = StudyConfig.from_tables(stored["config"], default_name=config.name, folder=config.root)
    before, now = _flat(_without_storage(asked_before)), _flat(_without_storage(config))
    for key in sorted(before.keys() | now.keys()):
        asked = (key.split(".")[0] in _IDENTITY and key not in _NO_QUESTION) or key == "search.growth"
        if asked and before.get(key) != now.get(key):
            raise InputError(
                f"{key}: the trials of {config.name} were run with {before.get(key)!r}, not {now.get(key)!r}; "
                "give the new question its own name with --name"
            )


def _flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _without_storage(config: StudyConfig) -> dict[str, Any]:
    """The tables without the storage's URL, which may hold a password; plain JSON types."""
    tables = config.to_tables()
    tables.pop("storage", None)
    plain: dict[str, Any] = json.loads(json.dumps(tables))
    return plain
