"""A study's question: study.toml, read and validated."""

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from scaler.budget import Budgets
from scaler.data.config import DataConfig
from scaler.errors import InputError, nearest, unknown
from scaler.families import FAMILIES
from scaler.recipe import Recipe
from scaler.shipped import shipped
from scaler.space import Space, load_space
from scaler.toml import from_table, read_toml

SAMPLERS = ("budget", "tpe", "gp", "cmaes", "qmc", "random", "grid")
PRUNERS = ("none", "median", "successive_halving", "hyperband")
OBJECTIVES = ("accuracy", "balanced_accuracy", "macro_f1")
EXECUTORS = ("local", "ray")

STORAGE_VARIABLE = "SCALER_STORAGE"
"""The environment variable with the URL of the storage, where neither a flag nor the study's file has one."""

_STUDY_FILE = "study.toml"
_MOST = {"workers": 1024, "threads": 1024, "max_concurrent": 100_000}
_MEANT = {"workers": "workers", "threads": "threads", "max_concurrent": "networks at a time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """How the space is searched.

    trials         networks to evaluate
    sampler        what proposes networks: budget (scaler's own), one of Optuna's moved onto the budget (tpe, gp, cmaes,
                   qmc), random, or grid
    startup        networks that fill the space before the budget sampler learns from them, a fifth of a small space at
                   most
    warm_start     networks to evaluate first: rules (all that have a name), a rule's name, shares such as 0.2/0.5/0.3,
                   or a .json file with an architecture
    pruner         which of Optuna's pruners stops hopeless trainings: successive_halving, hyperband, median or none
    seed           seed of the sampler and of every training
    growth         factor from the base's MACs to the budget, sensible between 4 and 32
    trial_timeout  seconds after which a network is given up as failed; none by default
    max_hours      hours after which a run of the search stops, to be resumed; none by default
    """

    trials: int = 50
    sampler: str = "budget"
    startup: int = 8
    warm_start: list[str] = field(default_factory=list)
    pruner: str = "successive_halving"
    seed: int = 0
    growth: float = 8.0
    trial_timeout: float | None = None
    max_hours: float | None = None

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise InputError(f"search.trials: {self.trials} is no number of trials; give at least 1")
        if self.sampler not in SAMPLERS:
            raise unknown("search.sampler", self.sampler, SAMPLERS)
        if self.startup < 2:
            raise InputError(f"search.startup: {self.startup} is too few to learn from; give at least 2")
        if self.pruner not in PRUNERS:
            raise unknown("search.pruner", self.pruner, PRUNERS)
        if not 0 <= self.seed < 2**31:
            raise InputError(f"search.seed: {self.seed} is out of range; give 0 to 2147483647")
        if not 1 < self.growth <= 1024:
            raise InputError(f"search.growth: {self.growth:g} is no growth; give 4 to 32")
        for field_name, unit in (("trial_timeout", "seconds"), ("max_hours", "hours")):
            limit = getattr(self, field_name)
            if limit is not None and not 0 < limit < math.inf:
                raise InputError(
                    f"search.{field_name}: {limit:g} is no time limit; give {unit} above 0, or leave it out"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorConfig:
    """Where the networks are evaluated.

    kind     local: on this machine; ray: on a Ray cluster
    workers  local: networks trained at a time, each in a process of its own; 1 trains in the command's own process. By
             default one for each CPU core, but 1 where there is an accelerator
    threads  CPU threads of each training; by default the cores divided by the workers, torch's own number for 1 worker,
             and under ray cpus_per_trial

    Under ray:

    address         the cluster's head as host:port, or "auto" for the one of this machine; by default a Ray of this
                    machine's cores is started and ended with the run
    cpus_per_trial  CPUs that a training gets, fractions allowed
    gpus_per_trial  GPUs that a training gets, fractions allowed; by default 1 where the cluster has any
    max_concurrent  networks trained at a time; by default as many as there is room for. A cluster that grows by itself
                    is asked for all of them
    storage_path    folder that all nodes share, where trainings are saved after each epoch: a network whose node is
                    lost goes on from there elsewhere, on a cluster without such a folder it begins anew

    Under both:

    max_failures    how many times a network is evaluated again because the worker that had it died; then it fails
    """

    kind: str = "local"
    workers: int | None = None
    threads: int | None = None
    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    max_concurrent: int | None = None
    storage_path: str | None = None
    max_failures: int = 1

    def __post_init__(self) -> None:
        for field_name in ("workers", "threads", "max_concurrent"):
            number = getattr(self, field_name)
            if number is not None and not 1 <= number <= _MOST[field_name]:
                raise InputError(
                    f"executor.{field_name}: {number} is no number of {_MEANT[field_name]}; "
                    f"give 1 to {_MOST[field_name]}"
                )
        if self.kind not in EXECUTORS:
            raise unknown("executor.kind", self.kind, EXECUTORS)
        if self.address is not None:
            _check_address(self.address)
        if self.storage_path is not None and "://" in self.storage_path:
            raise InputError(
                f"executor.storage_path: {self.storage_path} is no folder; mount it on all nodes and give the folder"
            )
        if not 0 < self.cpus_per_trial <= 1024:
            raise InputError(f"executor.cpus_per_trial: {self.cpus_per_trial:g} CPUs are none; give above 0, such as 1")
        gpus = self.gpus_per_trial
        if gpus is not None and not (gpus == 0 or 0.01 <= gpus <= 1 or (gpus > 1 and gpus == int(gpus))):
            raise InputError(
                f"executor.gpus_per_trial: {gpus:g} GPUs cannot be given; give 0, a fraction such as 0.25, or a "
                "whole number"
            )
        if not 0 <= self.max_failures <= 1000:
            raise InputError(f"executor.max_failures: {self.max_failures} is out of range; give 0 to 1000")


def _check_address(address: str) -> None:
    if address.startswith("ray://"):
        raise InputError(
            f"executor.address: {address} is Ray Client, under which the whole search would run on the cluster; "
            "give the head as host:6379 from a machine of the cluster, or send the search there with `scaler submit`"
        )
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdecimal() and 0 < int(port) < 65536 and "/" not in host):
        raise InputError(f"executor.address: {address!r} is no address of a cluster; give auto, or host:port")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """Where the study's trials are kept.

    url       an SQLAlchemy URL: SQLite or PostgreSQL; by default what SCALER_STORAGE says, or else an SQLite file
              beside the results
    lease     seconds that a driver may say nothing before its networks are queued again
    patience  seconds that a driver waits for a database that is away
    """

    url: str | None = field(default=None, repr=False)
    lease: float = 60.0
    patience: float = 300.0

    def __post_init__(self) -> None:
        if not 1 <= self.lease <= 86400:
            raise InputError(f"storage.lease: {self.lease:g} is no lease; give 1 to 86400 seconds")
        if not 0 <= self.patience < math.inf:
            raise InputError(f"storage.patience: {self.patience:g} is no patience; give seconds from 0 on")


@dataclass(frozen=True, slots=True, kw_only=True)
class _StudyFile:
    """The tables of a study.toml, before they are read any further."""

    space: str | dict[str, Any] | list[Any]
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
    """One question: spaces, data, budgets, a recipe, and how to search.

    root is the folder that holds `runs/`, where results go; the current folder by default.
    """

    name: str
    spaces: tuple[Space, ...]
    budgets: Budgets
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
        if self.search.pruner == "hyperband" and self.has_levels:
            raise InputError("search.pruner: hyperband cannot keep several budgets apart; choose successive_halving")
        for space in self.spaces:
            if self.recipe.drop_path and not FAMILIES[space.family].has_residual_blocks:
                raise InputError(f"recipe.drop_path: {space.family} has no residual blocks to leave out; give 0")

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any], default_name: str, folder: Path) -> Self:
        """The config in a study file's tables; a space given as a path is relative to `folder`."""
        file = from_table(_StudyFile, tables, "study")
        entries = file.space if isinstance(file.space, list) else [file.space]
        if not entries:
            raise InputError("space: the list is empty; give at least one space")
        return cls(
            name=file.name or default_name,
            spaces=tuple(_space(entry, folder) for entry in entries),
            budgets=Budgets.from_table(file.budget),
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
        spaces = tables.pop("spaces")
        del tables["budgets"]
        return tables | {"space": spaces[0] if len(spaces) == 1 else list(spaces), "budget": self.budgets.to_table()}

    @property
    def has_levels(self) -> bool:
        """Whether the study asks its question at several budgets, each by itself."""
        return len(self.budgets.levels) > 1 and not self.budgets.band

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

    A study that does not say its name has that of its file, or of its folder if the file is a study.toml.
    Where neither says it, the storage is that of the environment variable SCALER_STORAGE.
    `overrides` replaces single settings by their dotted names, e.g. `{"budget.macs": "5M"}`; None values are ignored.
    """
    path = Path(study)
    if path.is_dir():
        path = path / _STUDY_FILE
    elif path.suffix != ".toml" and (Path.cwd() / "runs" / path / _STUDY_FILE).is_file():
        path = Path.cwd() / "runs" / path / _STUDY_FILE
    elif path.suffix != ".toml":
        known = sorted(folder.parent.name for folder in shipped("studies").glob(f"*/{_STUDY_FILE}"))
        if str(study) not in known:
            raise InputError(
                f"study: {str(study)!r} is no folder, .toml file or shipped study{nearest(str(study), known)}; "
                f"shipped: {', '.join(known)}"
            )
        path = shipped("studies") / str(study) / _STUDY_FILE
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
    storage = tables.setdefault("storage", {})
    if isinstance(storage, dict) and "url" not in storage and os.environ.get(STORAGE_VARIABLE):
        storage["url"] = os.environ[STORAGE_VARIABLE]
    default_name = path.resolve().parent.name if path.name == _STUDY_FILE else path.stem
    return StudyConfig.from_tables(tables, default_name=default_name, folder=path.parent)


def _space(entry: object, folder: Path) -> Space:
    """One entry of a study file's `space`: a table, the path of a file, or a shipped name."""
    if isinstance(entry, str):
        return load_space(folder / entry if entry.endswith(".toml") else entry)
    return from_table(Space, entry, "space")


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }
