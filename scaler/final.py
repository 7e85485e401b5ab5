"""The final training of one network of a study: longer than in the search, on all devices, kept with its history."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.trial import create_trial
from tensorboardX import SummaryWriter
from torch import nn

from scaler import workflow
from scaler.config import StudyConfig, load_study
from scaler.data import Dataset
from scaler.distributed import ALONE, Group
from scaler.errors import InputError, WorkError
from scaler.evaluation import EvaluationError, Result
from scaler.export_folder import read_config
from scaler.families import CLASSICS, classic, from_dict
from scaler.initial import Initial, read_initial
from scaler.network_file import read_network
from scaler.recipe import Recipe
from scaler.record import Record
from scaler.scoring import evaluate_as_timm_user
from scaler.study import artifacts_folder, existing_study, find_trial, open_study, writable_folder
from scaler.training import Epoch, Watch, never_stop, train
from scaler.weights import save_weights

_LOG = logging.getLogger(__name__)

PART = "train"
"""The part of a study that records its final trainings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """A final training that has ended.

    folder      where its weights and its history are
    result      as of its last epoch
    best_epoch  the epoch of the best validation
    best_value  the objective then
    initial     the weights that it began with, None for fresh ones
    """

    folder: Path
    result: Result
    best_epoch: int
    best_value: float
    initial: Initial | None = None


class _History:
    """Writes what happens: TensorBoard's events, and the weights of the best epoch so far."""

    def __init__(self, folder: Path, objective: str, watch: Watch | None) -> None:
        self._best = folder / "best.safetensors"
        self._objective, self._watch = objective, watch
        self._events = SummaryWriter(str(folder / "tensorboard"), flush_secs=10)
        self.values: list[float] = []

    def report(self, epoch: int, value: float) -> bool:
        """A `Report` that lets every epoch run."""
        self.values.append(value)
        return True

    def note(self, epoch: Epoch, model: nn.Module) -> None:
        """A `Watch`."""
        value: float = getattr(epoch.scores, self._objective)
        if value > max(self.values, default=-1.0):
            _write(model, self._best)
        for name, number in (
            ("loss/train", epoch.loss),
            ("accuracy/validation", epoch.scores.accuracy),
            ("balanced_accuracy/validation", epoch.scores.balanced_accuracy),
            ("macro_f1/validation", epoch.scores.macro_f1),
            ("learning_rate", epoch.learning_rate),
            ("images_per_second", epoch.images_per_second),
        ):
            self._events.add_scalar(name, number, epoch.epoch)
        if self._watch is not None:
            self._watch(epoch, model)

    def close(self) -> None:
        """Writes out what TensorBoard's writer still holds."""
        self._events.close()


def train_final(
    study: str | Path | StudyConfig,
    trial: str | int = "best",
    *,
    network: str | None = None,
    baseline: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    test: bool = False,
    init: str | None = None,
    group: Group = ALONE,
    watch: Watch | None = None,
) -> Final:
    """Trains one network of a study with the study's recipe and data, to the end, and records it in NAME.train.

    The network is that of a trial of the search ("best", a number or a digest); or the classic named by `network` at
    full size, for the data's resolution, classes and channels; or the one in the JSON file that `network` names, as
    `scaler scale --to` writes it; or that of the export in the folder that `network` names, for the data's classes and
    channels; or the `baseline` of the study with that name. `epochs` replaces the recipe's. The seed is by default one
    that the search has not used. With `test` the test split is measured at the end. With `init`, an export's folder or
    `timm:NAME`, the network begins with those of the weights there that fit it: see `read_initial`. Called again after
    an interruption it goes on from the last epoch; what is finished is not trained again. In a `group` every process
    calls it. Raises `InputError` for a network or for weights that are not there and `WorkError` if the training fails.
    """
    config = study if isinstance(study, StudyConfig) else load_study(study)
    recipe = replace(config.recipe, epochs=epochs or config.recipe.epochs)
    if network is not None and baseline is not None:
        raise InputError(f"baseline: {baseline!r} and network {network!r} are both given; give one of them")
    read = _read(network) if network is not None else None
    domain, data = workflow.study_data(config, side=read.architecture.resolution if read else 0)
    if read is not None:
        record = _for_data(read, data, adapt=Path(network or "").is_dir())
    elif network is not None:
        record = _from_name(network, data)
    elif baseline is not None:
        record = workflow.baseline(config, domain, baseline)
    else:
        record = _from_trial(config, trial)
    record = replace(record, seed=config.search.seed + 1 if seed is None else seed)
    initial = read_initial(init, record.architecture) if init is not None else None
    name = f"{record.architecture.digest}-{record.seed}-{recipe.epochs}"
    if initial is not None:
        record = replace(record, initial=initial.to_dict())
        name += f"-from-{initial.checksum[:12]}"
        if group.leads:
            _LOG.info("%s: %s", record.model, initial)
    folder = writable_folder(config) / PART / name
    folder.mkdir(parents=True, exist_ok=True)
    job = _Job(config, record, recipe, data, group, folder, initial)
    if not group.leads:
        return job.run(None)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"trial: {record.model} is being trained in {folder} by another process; wait for it"
        ) from None
    history = _History(folder, config.objective, watch)
    try:
        return job.run(history, test)
    finally:
        history.close()
        lock.release()


@dataclass(frozen=True, slots=True)
class _Job:
    config: StudyConfig
    record: Record
    recipe: Recipe
    data: Dataset
    group: Group
    folder: Path
    initial: Initial | None

    def run(self, history: _History | None, test: bool = False) -> Final:
        """Trains; with a history, which the leader has, writes what came out."""
        network = self.record.architecture
        try:
            model, result = train(
                network,
                self.data,
                self.recipe,
                self.record.seed,
                history.report if history else never_stop,
                objective=self.config.objective,
                group=self.group,
                checkpoint=self.folder / "checkpoint.safetensors",
                watch=history.note if history else None,
                initial=self.initial,
            )
        except EvaluationError as error:
            raise WorkError(f"the training of {self.record.model} failed: {error}") from None
        if history is None:
            return self._final(result, [result.value])
        if test:
            scores = evaluate_as_timm_user(model, self.data, self.data.test, network.resolution)
            result = replace(result, test_accuracy=scores.accuracy, test_images=len(self.data.test))
        _write(model, self.folder / "last.safetensors")
        self._store(result)
        return self._final(result, history.values)

    def _final(self, result: Result, values: list[float]) -> Final:
        best = max(values)
        return Final(
            folder=self.folder,
            result=result,
            best_epoch=values.index(best) + 1,
            best_value=best,
            initial=self.initial,
        )

    def _store(self, result: Result) -> None:
        """Adds the training to the study's part, in place of nothing: the same one is recorded once."""
        opened = open_study(self.config, PART)
        attributes = self.record.with_result(result).to_attributes()
        if any(_identity(known.user_attrs) == _identity(attributes) for known in opened.get_trials(deepcopy=False)):
            return
        store = FileSystemArtifactStore(artifacts_folder(self.config))
        weights = upload_artifact(
            artifact_store=store, file_path=str(self.folder / "last.safetensors"), study_or_trial=opened
        )
        opened.add_trial(create_trial(value=result.value, user_attrs={**attributes, "weights": weights}))


def _identity(attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two recorded trainings the same."""
    initial = attributes.get("initial") or {}
    return (initial.get("sha256"), *map(attributes.get, ("digest", "seed", "epochs", "test_accuracy")))


def _from_trial(config: StudyConfig, trial: str | int) -> Record:
    searched = existing_study(config)
    if searched is None:
        raise InputError(
            f"study: {config.name} has no results in {config.folder}; run scaler search, or give --network"
        )
    found = find_trial(searched, trial)
    known = Record.from_trial(found)
    return known.again(seed=known.seed, repeats=found.number)


def _from_name(name: str, data: Dataset) -> Record:
    network = classic(name).replace(
        resolution=data.resolution, num_classes=len(data.classes), in_channels=data.channels
    )
    return Record(architecture=network, source="classic", model=name, seed=0)


def _read(network: str) -> Record | None:
    """The network in a JSON file or in an export's folder; None if the name is of neither."""
    path = Path(network)
    if network in CLASSICS:
        return None
    if path.is_dir():
        found = read_config(path, "network")["scaler"].get("architecture")
        if not isinstance(found, dict):
            raise InputError(f"network: {path} was not written by scaler export; name one that was, or a .json")
        return Record(architecture=from_dict(found), source="classic", model=path.resolve().name, seed=0)
    if path.suffix != ".json":
        return None
    named = read_network(path)
    return Record(
        architecture=named.architecture,
        source="rule" if named.rule else "classic",
        model=named.name,
        seed=0,
        rule=named.rule.to_list() if named.rule else None,
    )


def _for_data(record: Record, data: Dataset, *, adapt: bool) -> Record:
    """The record of the network for the data's classes and channels, which it has already unless it may `adapt`."""
    needs = {"num_classes": len(data.classes), "in_channels": data.channels}
    for name, number in needs.items():
        has = getattr(record.architecture, name)
        if has != number and not adapt:
            raise InputError(f"{name}: {record.model} has {has}, the data {number}; write {number} into its file")
    return replace(record, architecture=record.architecture.replace(**needs))


def _write(model: nn.Module, path: Path) -> None:
    """The weights as a safetensors file, whole or not at all."""
    save_weights(model, path.parent).replace(path)
