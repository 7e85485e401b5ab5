"""What a user does with a study: search it, train its baselines, confirm its winners.

Each function puts a study's config, data, evaluator and executor together; the command line and Python users call them.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from scaler.config import StudyConfig, load_study
from scaler.data import Dataset, Source, load_data, open_source
from scaler.errors import InputError, unknown
from scaler.evaluator import TrainingEvaluator
from scaler.executors import Driver, Observer, capacity, run_locally
from scaler.hardware import pick_device
from scaler.leases import driving
from scaler.network_file import read_network
from scaler.record import LEVEL, Record, has_record, is_finished
from scaler.region import Triangle
from scaler.samplers import Domain
from scaler.scaling import RULES, parse_rule
from scaler.study import best_trial, claimed, completed_trials, finished_trials, open_study

BASELINES = (*RULES, "classic")


def domain_of(config: StudyConfig, data: Source | Dataset | None = None) -> Domain:
    """What a study searches: its spaces, from the data's shape, within its budgets."""
    data = data or open_source(config.data)
    return Domain(
        config.spaces,
        config.budgets,
        config.search.growth,
        resolution=data.resolution,
        num_classes=len(data.classes),
        in_channels=data.channels,
    )


def study_data(config: StudyConfig, side: int = 0) -> tuple[Domain, Dataset]:
    """What a study searches, and its data decoded once for all networks of it, or at `side` pixels if larger."""
    source = open_source(config.data)
    domain = domain_of(config, source)
    return domain, load_data(source, max(side, domain.largest_resolution))


def search(
    study: str | Path | StudyConfig,
    *,
    resume: bool = False,
    overrides: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
) -> optuna.Study:
    """Runs a study's search to its number of trials and returns its Optuna study.

    A study that has trials already is continued with `resume=True` and refused (`InputError`) without, unless it is
    finished; then nothing is run. Several processes may run one study at the same time, with PostgreSQL on several
    machines: they share out its trials.
    """
    config = _config(study, overrides)
    domain, data = study_data(config)
    opened = open_study(config)

    def prepare() -> None:
        done = len(finished_trials(opened))
        present = opened.get_trials(deepcopy=False)
        if done < config.search.trials and present and not resume:
            raise InputError(
                f"study: {config.name} has {done} of {config.search.trials} trials; "
                "continue it with --resume, which also joins those who run it, or start another with --name"
            )
        if not present:
            for entry in config.search.warm_start:
                _enqueue(opened, config, domain, entry)

    with driving(config, opened):
        claimed(opened, prepare)
        _run(Driver(opened, config, domain, observer), config, data)
    return opened


def baselines(study: str | Path | StudyConfig, *, observer: Observer | None = None) -> optuna.Study:
    """Trains what the discovered networks are measured against, under the study's own recipe, budgets and seed.

    For each space and budget (of a band, its upper end) these are the known `RULES` and the classic shape shrunk in
    width. A network that has been trained with the same seed, by the search or under the name of another baseline, is
    referenced, not trained again. Returns the study NAME.baselines.
    """
    config = _config(study)
    domain, data = study_data(config)
    records = [
        baseline(config, domain, name, level, space)
        for level in (range(len(config.budgets.levels)) if config.has_levels else (-1,))
        for space in range(len(config.spaces))
        for name in BASELINES
    ]
    searched = open_study(config)
    opened = open_study(config, "baselines")

    def refer() -> list[dict[str, Any]]:
        """References what has been trained; returns what has not, nor is about to be, by its attributes."""
        wanted = [trial for trial in opened.get_trials() if has_record(trial) and _is_wanted(trial)]
        present = {_key(trial.user_attrs) for trial in wanted}
        absent = []
        for record in records:
            attributes = record.to_attributes()
            if _key(attributes) in present:
                continue
            known = _trained(searched, record) or _trained(opened, record)
            if known is None:
                absent.append(attributes)
            else:
                opened.add_trial(_reference(known, attributes))
        return absent

    def prepare() -> None:
        queued = {_identity(trial.user_attrs) for trial in opened.get_trials() if not trial.state.is_finished()}
        for attributes in refer():
            if _identity(attributes) not in queued:
                queued.add(_identity(attributes))
                opened.enqueue_trial({}, user_attrs=attributes)

    with driving(config, opened):
        claimed(opened, prepare)
        _run(Driver(opened, config, observer=observer), config, data)
        claimed(opened, refer)
    return opened


def baseline(config: StudyConfig, domain: Domain, name: str, level: int = -1, space: int = 0) -> Record:
    """One of a study's `BASELINES`, not trained yet: a rule's network, or the classic shape shrunk in width to the
    budget; raises `InputError` for another name.

    level  which of the study's budgets, by default the largest
    space  which of its spaces
    """
    if name not in BASELINES:
        raise unknown("baseline", name, BASELINES)
    region = domain.region(level % len(config.budgets.levels), space)
    title, within = domain.label(space), f" at {region.budget}" if config.has_levels else ""
    if name == "classic":
        shrunk = region.classic_shape()
        factor = shrunk.widths[-1] / region.root.widths[-1]
        model = f"{title} ×{factor:.2f} wide{within}"
        rule = None
    else:
        shrunk = region.at(RULES[name])
        model = f"{title} {name}{within}"
        rule = [round(share, 4) for share in RULES[name].to_list()]
    return Record(
        architecture=shrunk,
        source="classic" if name == "classic" else "rule",
        model=model,
        seed=config.search.seed,
        rule=rule,
        budget=region.budget.limits,
    )


def confirm(
    study: str | Path | StudyConfig,
    *,
    top: int = 1,
    seeds: int = 1,
    with_baselines: bool = False,
    observer: Observer | None = None,
) -> optuna.Study:
    """Retrains the best `top` networks of the search, of each budget, with `seeds` seeds that the search has not used.

    `with_baselines` does the same with the baselines. This alone measures test accuracy, through timm's own eval
    transform. What has been confirmed already is not run again. Returns the study NAME.confirm.
    """
    for name, value in (("top", top), ("seeds", seeds)):
        if value < 1:
            raise InputError(f"{name}: {value} is too few; give at least 1")
    config = _config(study)
    _, data = study_data(config)
    searched = open_study(config)
    best_trial(searched)
    opened = open_study(config, "confirm")
    winners: list[tuple[FrozenTrial, int | None]] = [(trial, trial.number) for trial in _winners(config, searched, top)]
    if with_baselines:
        winners += [(trial, None) for trial in completed_trials(open_study(config, "baselines"))]

    def prepare() -> None:
        present = {
            _identity(trial.user_attrs) for trial in opened.get_trials() if has_record(trial) and _is_wanted(trial)
        }
        for trial, number in winners:
            for offset in range(1, seeds + 1):
                record = Record.from_trial(trial).again(seed=config.search.seed + offset, repeats=number)
                attributes = record.to_attributes()
                if _identity(attributes) not in present:
                    present.add(_identity(attributes))
                    opened.enqueue_trial({}, user_attrs=attributes)

    with driving(config, opened):
        claimed(opened, prepare)
        _run(Driver(opened, config, observer=observer), config, data, test=True)
    return opened


def _winners(config: StudyConfig, searched: optuna.Study, top: int) -> list[FrozenTrial]:
    """The best `top` trials of each budget."""
    found = []
    for level in range(len(config.budgets.levels)) if config.has_levels else (None,):
        completed = [
            trial for trial in completed_trials(searched) if level is None or trial.params.get(LEVEL, level) == level
        ]
        found += sorted(completed, key=lambda trial: (-(trial.value or 0), trial.number))[:top]
    return found


def _enqueue(study: optuna.Study, config: StudyConfig, domain: Domain, entry: str) -> None:
    """Queues what a `warm_start` entry names, for every budget and space, each network once."""
    if entry.endswith(".json"):
        architecture = read_network(config.root / entry).architecture
        fitting = [level for level in config.budgets.levels if level.admits(architecture.cost())]
        if not fitting:
            raise InputError(
                f"search.warm_start: {entry} ({architecture.summary()}) is over the budget {config.budgets}"
            )
        record = Record(
            architecture=architecture,
            source="discovered",
            model=Path(entry).stem,
            seed=config.search.seed,
            budget=fitting[0].limits,
            enqueued=entry,
        )
        study.enqueue_trial({}, user_attrs=record.to_attributes())
        return
    rules = RULES if entry == "rules" else {entry: parse_rule(entry)}
    queued: set[str] = set()
    for name, rule in rules.items():
        for place, region in domain.regions():
            digest = region.at(rule).digest
            if isinstance(region, Triangle) and digest not in queued:
                queued.add(digest)
                study.enqueue_trial(domain.params(place, region.point(rule)), user_attrs={"enqueued": name})


def _run(driver: Driver, config: StudyConfig, data: Dataset, *, test: bool = False) -> None:
    """Trains what the driver hands out, as many networks at a time as the machine or the cluster bears."""
    checkpoints = _checkpoints(config, driver.study.study_name)
    evaluator = TrainingEvaluator(
        data=data, recipe=config.recipe, objective=config.objective, test=test, checkpoints=checkpoints
    )
    if config.executor.kind == "ray":
        from scaler.executors.ray.execution import run_on_ray  # takes seconds to load
        from scaler.executors.ray.resources import threads_per_trial

        evaluator = replace(evaluator, threads=threads_per_trial(config.executor))
        driver.to_the_end(lambda: run_on_ray(driver, evaluator, config.executor, config.folder))
    else:
        room = capacity(config.executor, accelerator=pick_device().type != "cpu")
        evaluator = replace(evaluator, threads=room.threads)
        driver.to_the_end(lambda: run_locally(driver, evaluator, room))
    unfinished = driver.study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
    if checkpoints is not None and not unfinished:
        shutil.rmtree(checkpoints, ignore_errors=True)  # of networks that failed; no one will go on with them


def _checkpoints(config: StudyConfig, part: str) -> Path | None:
    """Where trainings under way are saved; None on a cluster whose nodes share no folder that is known."""
    if config.executor.kind == "ray":
        if config.executor.storage_path is not None:
            return (config.root / config.executor.storage_path).expanduser().resolve() / part
        if config.executor.address is not None:
            return None
    return config.folder / "checkpoints" / part


def _config(study: str | Path | StudyConfig, overrides: Mapping[str, Any] | None = None) -> StudyConfig:
    return study if isinstance(study, StudyConfig) else load_study(study, overrides)


def _identity(attributes: Mapping[str, Any]) -> tuple[str, int]:
    return attributes["digest"], attributes["seed"]


def _key(attributes: Mapping[str, Any]) -> tuple[str, str, int]:
    return attributes["model"], attributes["digest"], attributes["seed"]


def _is_wanted(trial: FrozenTrial) -> bool:
    return is_finished(trial) or not trial.state.is_finished()


def _trained(study: optuna.Study, record: Record) -> FrozenTrial | None:
    """The completed trial of the same network and seed, if the study has one."""
    for trial in completed_trials(study):
        attributes = trial.user_attrs
        if attributes["digest"] == record.architecture.digest and attributes["seed"] == record.seed:
            return trial
    return None


def _reference(known: FrozenTrial, attributes: dict[str, Any]) -> FrozenTrial:
    """A completed trial that repeats a known one under a baseline's name."""
    return create_trial(
        value=known.value,
        user_attrs={**known.user_attrs, **attributes, "repeats": known.number},
        intermediate_values=known.intermediate_values,
    )
