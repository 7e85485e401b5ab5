"""What a user does with a study: search it, train its baselines, confirm its winners.

Each function puts a study's config, data, evaluator and executor together; the command line and Python users call them.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from scaler.config import StudyConfig, load_study
from scaler.data import Dataset, Source, load_data, open_source
from scaler.errors import InputError, unknown
from scaler.evaluator import TrainingEvaluator
from scaler.executors import Driver, Observer, capacity, run_locally
from scaler.hardware import pick_device
from scaler.record import Record, has_record, is_finished
from scaler.scaling import RULES
from scaler.space import Triangle
from scaler.study import best_trial, finished_trials, open_study, release_interrupted, sole_driver

BASELINES = ("depth", "width", "resolution", "compound", "classic")


def triangle_of(config: StudyConfig, data: Source | Dataset | None = None) -> Triangle:
    """The triangle that a study searches: its space from the data's shape, within its budget."""
    data = data or open_source(config.data)
    root = config.space.root(resolution=data.resolution, num_classes=len(data.classes), in_channels=data.channels)
    return Triangle(root, config.budget, config.search.growth)


def largest_side(triangle: Triangle) -> int:
    """The side, in pixels, that a study's images are decoded to: the largest that any of its networks looks at.

    That is the resolution of the rule that puts all growth there, or of the classic shape if it is larger.
    """
    return max(triangle.at(RULES["resolution"]).resolution, triangle.root.resolution)


def study_data(config: StudyConfig, side: int = 0) -> tuple[Triangle, Dataset]:
    """A study's triangle, and its data decoded once for all networks of the triangle, or at `side` pixels if larger."""
    source = open_source(config.data)
    triangle = triangle_of(config, source)
    return triangle, load_data(source, max(side, largest_side(triangle)))


def search(
    study: str | Path | StudyConfig,
    *,
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
) -> optuna.Study:
    """Runs a study's search to its number of trials and returns its Optuna study.

    A study that has trials already is continued with `resume=True` and refused (`InputError`) without, unless it is
    finished; then nothing is run.
    """
    config = _config(study, overrides)
    triangle, data = study_data(config)
    with sole_driver(config):
        opened = open_study(config)
        done = len(finished_trials(opened))
        if done < config.search.trials and opened.get_trials(deepcopy=False) and not resume:
            raise InputError(
                f"study: {config.name} has {done} of {config.search.trials} trials; "
                "continue it with --resume, or start another with --name"
            )
        release_interrupted(opened)
        _run(Driver(opened, config, triangle, observer), config, data)
    return opened


def baselines(study: str | Path | StudyConfig, *, observer: Observer | None = None) -> optuna.Study:
    """Trains what the discovered networks are measured against, under the study's own recipe, budget and seed.

    These are the three single-axis rules, the published compound rule and the classic shape shrunk in width. A network
    that the search has trained with the same seed is referenced, not trained again. Returns the study NAME.baselines.
    """
    config = _config(study)
    triangle, data = study_data(config)
    records = [baseline(config, triangle, name) for name in BASELINES]
    with sole_driver(config):
        searched = open_study(config)
        opened = open_study(config, "baselines")
        release_interrupted(opened)
        present = {_key(trial.user_attrs) for trial in opened.get_trials() if has_record(trial) and _is_wanted(trial)}
        for record in records:
            attributes = record.to_attributes()
            if _key(attributes) in present:
                continue
            known = _trained(searched, record) or _trained(opened, record)
            if known is None:
                opened.enqueue_trial({}, user_attrs=attributes)
            else:
                opened.add_trial(_reference(known, attributes))
        _run(Driver(opened, config, observer=observer), config, data)
    return opened


def baseline(config: StudyConfig, triangle: Triangle, name: str) -> Record:
    """One of a study's `BASELINES`, not trained yet: a rule's network, or the classic shape shrunk in width to the
    budget; raises `InputError` for another name."""
    if name not in BASELINES:
        raise unknown("baseline", name, BASELINES)
    if name == "classic":
        shrunk = triangle.classic_shape()
        factor = shrunk.widths[-1] / triangle.root.widths[-1]
        model = f"{config.space.base} ×{factor:.2f} wide"
        return Record(architecture=shrunk, source="classic", model=model, seed=config.search.seed)
    return Record(
        architecture=triangle.at(RULES[name]),
        source="rule",
        model=f"{config.space.base} {name}",
        seed=config.search.seed,
        rule=[round(share, 4) for share in RULES[name].to_list()],
    )


def confirm(
    study: str | Path | StudyConfig, *, top: int = 1, seeds: int = 1, observer: Observer | None = None
) -> optuna.Study:
    """Retrains the best `top` networks of the search with `seeds` seeds that the search has not used.

    This alone measures test accuracy, through timm's own eval transform. What has been confirmed already is not run
    again. Returns the study NAME.confirm.
    """
    for name, value in (("top", top), ("seeds", seeds)):
        if value < 1:
            raise InputError(f"{name}: {value} is too few; give at least 1")
    config = _config(study)
    _, data = study_data(config)
    with sole_driver(config):
        searched = open_study(config)
        best_trial(searched)
        opened = open_study(config, "confirm")
        release_interrupted(opened)
        present = {_key(trial.user_attrs) for trial in opened.get_trials() if has_record(trial) and _is_wanted(trial)}
        completed = [trial for trial in searched.get_trials() if trial.state == TrialState.COMPLETE]
        for trial in sorted(completed, key=lambda trial: (-(trial.value or 0), trial.number))[:top]:
            winner = Record.from_trial(trial)
            for offset in range(1, seeds + 1):
                record = Record(
                    architecture=winner.architecture,
                    source=winner.source,
                    model=winner.model,
                    seed=config.search.seed + offset,
                    rule=winner.rule,
                    repeats=trial.number,
                )
                if _key(record.to_attributes()) not in present:
                    opened.enqueue_trial({}, user_attrs=record.to_attributes())
        _run(Driver(opened, config, observer=observer), config, data, test=True)
    return opened


def _run(driver: Driver, config: StudyConfig, data: Dataset, *, test: bool = False) -> None:
    """Trains what the driver hands out, as many networks at a time as the machine bears."""
    room = capacity(config.executor, accelerator=pick_device().type != "cpu")
    checkpoints = config.folder / "checkpoints" / driver.study.study_name
    evaluator = TrainingEvaluator(
        data=data,
        recipe=config.recipe,
        objective=config.objective,
        threads=room.threads,
        test=test,
        checkpoints=checkpoints,
    )
    run_locally(driver, evaluator, room)
    if not driver.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        shutil.rmtree(checkpoints, ignore_errors=True)  # of networks that failed; no one will go on with them


def _config(study: str | Path | StudyConfig, overrides: Mapping[str, Any] | None = None) -> StudyConfig:
    return study if isinstance(study, StudyConfig) else load_study(study, overrides)


def _key(attributes: Mapping[str, Any]) -> tuple[str, str, int]:
    return attributes["model"], attributes["digest"], attributes["seed"]


def _is_wanted(trial: optuna.trial.FrozenTrial) -> bool:
    return is_finished(trial) or not trial.state.is_finished()


def _trained(study: optuna.Study, record: Record) -> optuna.trial.FrozenTrial | None:
    """The completed trial of the same network and seed, if the study has one."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        attributes = trial.user_attrs
        if attributes["digest"] == record.architecture.digest and attributes["seed"] == record.seed:
            return trial
    return None


def _reference(known: optuna.trial.FrozenTrial, attributes: dict[str, Any]) -> optuna.trial.FrozenTrial:
    """A completed trial that repeats a known one under a baseline's name."""
    return create_trial(
        value=known.value,
        user_attrs={**known.user_attrs, **attributes, "repeats": known.number},
        intermediate_values=known.intermediate_values,
    )
