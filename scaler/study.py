"""A study: its question (study.toml), its storage, and the record of a trial."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import optuna
import tomli_w
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from scaler.architecture import Architecture
from scaler.budget import Budget
from scaler.data import DataConfig
from scaler.errors import InputError, nearest, unknown
from scaler.families import from_dict
from scaler.recipe import Recipe
from scaler.shipped import shipped
from scaler.space import Space, load_space
from scaler.toml import from_table, read_toml

SCHEMA = 1
"""Raised whenever the records of older studies can no longer be read."""

INTERRUPTED = "interrupted"
"""The failure of a trial whose process ended before the trial did; its network is evaluated again."""

DUPLICATE = "duplicate"
"""The failure of a trial whose network another trial had taken already; it is not evaluated and does not count."""

SAMPLERS = ("tpe", "random")
PRUNERS = ("none", "median", "successive_halving", "hyperband")
OBJECTIVES = ("accuracy",)
EXECUTORS = ("local",)

_ATTRIBUTE = "scaler"
_IDENTITY = ("space", "objective", "budget", "data", "recipe")


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """How the space is searched.

    trials   networks to evaluate
    sampler  which of Optuna's samplers proposes rules: tpe or random
    pruner   which of Optuna's pruners stops hopeless trainings: none, median, successive_halving or hyperband
    seed     seed of the sampler and of every training
    growth   factor from the base's MACs to the budget, sensible between 4 and 32
    """

    trials: int = 50
    sampler: str = "tpe"
    pruner: str = "none"
    seed: int = 0
    growth: float = 8.0

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InputError(f"search.trials: {self.trials} is no number of trials; give at least 1")
        if self.sampler not in SAMPLERS:
            raise unknown("search.sampler", self.sampler, SAMPLERS)
        if self.pruner not in PRUNERS:
            raise unknown("search.pruner", self.pruner, PRUNERS)
        if not 0 <= self.seed < 2**31:
            raise InputError(f"search.seed: {self.seed} is out of range; give 0 to 2147483647")
        if not 1 < self.growth <= 1024:
            raise InputError(f"search.growth: {self.growth:g} is no growth; give 4 to 32")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorConfig:
    """Where the networks are evaluated.

    kind     local: one after another in this process
    threads  CPU threads of a training; torch's own number by default. Small networks do best with 1
    """

    kind: str = "local"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise InputError(f"executor.threads: {self.threads} is no number of threads; give at least 1")
        if self.kind not in EXECUTORS:
            raise unknown("executor.kind", self.kind, EXECUTORS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """Where the study's trials are kept: an SQLAlchemy URL, by default an SQLite file beside the results."""

    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _StudyFile:
    """The tables of a study.toml, before they are read any further."""

    space: str | dict[str, Any]
    budget: dict[str, Any]
    data: dict[str, Any]
    name: str | None = None
    objective: str = "accuracy"
    recipe: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    executor: dict[str, Any] = field(default_factory=dict)
    storage: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """One question: a space, data, a budget, a recipe, and how to search.

    root is the folder that holds `runs/`, where results go; the current folder by default.
    """

    name: str
    space: Space
    budget: Budget
    data: DataConfig
    recipe: Recipe = field(default_factory=Recipe)
    objective: str = "accuracy"
    search: SearchConfig = field(default_factory=SearchConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    root: Path = field(default_factory=Path.cwd)

    def __post_init__(self) -> None:
        if not self.name or any(character in '/\\:"' for character in self.name) or self.name.startswith("."):
            raise InputError(f"name: {self.name!r} cannot name a folder; use letters, digits, '-' and '_'")
        if "." in self.name:
            raise InputError(f"name: {self.name!r} has a dot, which marks a study's parts; use '-' or '_'")
        if self.objective not in OBJECTIVES:
            raise unknown("objective", self.objective, OBJECTIVES)

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any], default_name: str, folder: Path) -> Self:
        """The config in a study file's tables; a space given as a path is relative to `folder`."""
        file = from_table(_StudyFile, tables, "study")
        if isinstance(file.space, dict):
            space = from_table(Space, file.space, "space")
        else:
            is_path = file.space.endswith(".toml")
            space = load_space(folder / file.space if is_path else file.space)
        return cls(
            name=file.name or default_name,
            space=space,
            budget=Budget.from_table(file.budget),
            data=from_table(DataConfig, file.data, "data"),
            recipe=from_table(Recipe, file.recipe, "recipe"),
            objective=file.objective,
            search=from_table(SearchConfig, file.search, "search"),
            executor=from_table(ExecutorConfig, file.executor, "executor"),
            storage=from_table(StorageConfig, file.storage, "storage"),
        )

    def to_tables(self) -> dict[str, Any]:
        """The resolved config as a study file's tables, every default spelled out."""
        tables = _without_none(dataclasses.asdict(self))
        del tables["root"]
        return tables

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.root / "runs" / self.name

    @property
    def storage_url(self) -> str:
        """The storage that holds the trials."""
        return self.storage.url or f"sqlite:///{self.folder / 'study.db'}"


def load_study(study: str | Path, overrides: Mapping[str, Any] | None = None) -> StudyConfig:
    """The study in a folder, in a .toml file, with results in runs/ under a name, or shipped under a name.

    `overrides` replaces single settings by their dotted names, e.g. `{"budget.macs": "5M"}`; None values are ignored.
    """
    path = Path(study)
    if path.is_dir():
        path = path / "study.toml"
    elif path.suffix != ".toml" and (Path.cwd() / "runs" / path / "study.toml").is_file():
        path = Path.cwd() / "runs" / path / "study.toml"
    elif path.suffix != ".toml":
        known = sorted(folder.parent.name for folder in shipped("studies").glob("*/study.toml"))
        if str(study) not in known:
            raise InputError(
                f"study: {str(study)!r} is no folder, .toml file or shipped study{nearest(str(study), known)}; "
                f"shipped: {', '.join(known)}"
            )
        path = shipped("studies") / str(study) / "study.toml"
    if not path.is_file():
        raise InputError(f"study: there is no {path}; give a folder with a study.toml")
    tables = read_toml(path)
    for name, value in (overrides or {}).items():
        if value is None:
            continue
        table, _, key = name.rpartition(".")
        target = tables.setdefault(table, {}) if table else tables
        if isinstance(target, dict):
            target[key] = value
    return StudyConfig.from_tables(tables, default_name=path.resolve().parent.name, folder=path.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a trial says about itself, in Optuna user attributes; the leaderboard reads nothing else.

    source         discovered, rule or classic
    model          a short name for tables
    rule           shares of depth, width and resolution, or None
    seed           seed of the training
    weights        id of the artifact that holds the weights
    repeats        number of the trial of the main study that has the same network and seed, or the same network
    failure        why it failed
    """

    architecture: Architecture
    source: str
    model: str
    seed: int
    rule: list[float] | None = None
    epochs: int | None = None
    train_seconds: float | None = None
    images_per_second: float | None = None
    device: str | None = None
    weights: str | None = None
    repeats: int | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    failure: str | None = None

    def to_attributes(self) -> dict[str, Any]:
        """The record as user attributes, cost and digest included."""
        attributes = {
            item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "architecture"
        }
        cost = self.architecture.cost()
        return {
            "architecture": self.architecture.to_dict(),
            "digest": self.architecture.digest,
            **dataclasses.asdict(cost),
            **{name: value for name, value in attributes.items() if value is not None},
        }

    @classmethod
    def from_trial(cls, trial: FrozenTrial) -> Self:
        """The record of a trial that has one (every trial whose network is known)."""
        known = {item.name for item in dataclasses.fields(cls)}
        attributes = {name: value for name, value in trial.user_attrs.items() if name in known}
        attributes["architecture"] = from_dict(attributes["architecture"])
        return cls(**attributes)


def has_record(trial: FrozenTrial) -> bool:
    """Whether the trial got as far as having a network."""
    return "architecture" in trial.user_attrs


def is_finished(trial: FrozenTrial) -> bool:
    """Whether the trial counts: its network was evaluated to an end, good or bad."""
    return trial.state.is_finished() and trial.user_attrs.get("failure") not in (INTERRUPTED, DUPLICATE)


def open_study(config: StudyConfig, part: str = "") -> optuna.Study:
    """The Optuna study of a config, created if it is new: the search itself, or its part "baselines" or "confirm".

    Raises `InputError` if the stored study asks another question, is of another schema or cannot be opened.
    """
    name = f"{config.name}.{part}" if part else config.name
    writable_folder(config)
    study = optuna.create_study(
        storage=_open_storage(config),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=_pruner(config),
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
    storage = _open_storage(config)
    name = f"{config.name}.{part}" if part else config.name
    if name not in optuna.get_all_study_names(storage):
        return None
    study = optuna.load_study(study_name=name, storage=storage)
    _check_schema(study.user_attrs.get(_ATTRIBUTE, {}), name)
    return study


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


def best_trial(study: optuna.Study) -> FrozenTrial:
    """The completed trial of the highest accuracy, the first of equals; raises `InputError` if none has completed."""
    completed = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if not completed:
        raise InputError(f"study: {study.study_name} has no completed trial yet; run scaler search first")
    return max(completed, key=lambda trial: (trial.value, -trial.number))


def writable_folder(config: StudyConfig) -> Path:
    """The folder for the study's results, created if need be; raises `InputError` if it cannot be written."""
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder: {config.folder} cannot be created ({error.strerror}); run elsewhere") from None
    if not os.access(config.folder, os.W_OK):
        raise InputError(f"folder: {config.folder} cannot be written; run elsewhere")
    return config.folder


@contextmanager
def sole_driver(config: StudyConfig) -> Iterator[None]:
    """Holds the study against a second driver on this machine; the operating system lets go when the process ends."""
    lock = FileLock(writable_folder(config) / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"study: {config.name} is being run by another process; wait for it or stop it") from None
    try:
        yield
    finally:
        lock.release()


def release_interrupted(study: optuna.Study) -> int:
    """Fails the trials that a dead process left running and queues their networks again; returns how many.

    Call it under `sole_driver` only.
    """
    left = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in left:
        live = optuna.Trial(study, trial._trial_id)
        interrupt(study, live)
    return len(left)


def interrupt(study: optuna.Study, trial: optuna.Trial) -> None:
    """Fails a running trial as interrupted and queues its network again."""
    params, attributes = trial.params, dict(trial.user_attrs)
    attributes.pop("failure", None)
    trial.set_user_attr("failure", INTERRUPTED)
    study.tell(trial, state=TrialState.FAIL)
    if "architecture" in attributes:
        study.enqueue_trial(params, user_attrs=attributes)


def _open_storage(config: StudyConfig) -> optuna.storages.RDBStorage:
    try:
        return optuna.storages.RDBStorage(config.storage_url)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"storage.url: the storage cannot be opened ({reason}); check the URL") from None


def _pruner(config: StudyConfig) -> optuna.pruners.BasePruner:
    match config.search.pruner:
        case "median":
            return optuna.pruners.MedianPruner()
        case "successive_halving":
            return optuna.pruners.SuccessiveHalvingPruner()
        case "hyperband":
            return optuna.pruners.HyperbandPruner(max_resource=config.recipe.epochs)
    return optuna.pruners.NopPruner()


def _check_schema(stored: Mapping[str, Any], name: str) -> None:
    if stored.get("schema") != SCHEMA:
        raise InputError(
            f"study: {name} has schema {stored.get('schema')}, this scaler reads {SCHEMA}; "
            "use the scaler that made it, or start anew with --name"
        )


def _check_same_question(config: StudyConfig, stored: Mapping[str, Any]) -> None:
    _check_schema(stored, config.name)
    before, now = _flat(stored["config"]), _flat(_without_storage(config))
    for key in sorted(before.keys() | now.keys()):
        asked = key.split(".")[0] in _IDENTITY or key == "search.growth"
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


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }
