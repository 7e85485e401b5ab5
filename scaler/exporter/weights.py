"""Which weights an export takes: those of a training that is on record, or those of a file."""

from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial
from torch import nn

from scaler.config import StudyConfig
from scaler.errors import InputError
from scaler.final import PART
from scaler.models import build
from scaler.record import Record
from scaler.study import completed_trials, existing_study, weights_file
from scaler.weights import load_weights

COMMANDS = {"final": PART, "confirm": "confirm", "search": "search"}
"""Whose weights there may be, most wanted first, by the command that trains them, whose name the study's part has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A trained network, and where it comes from.

    origin         one of `COMMANDS`, or the name of the file
    record         of the training; of a file nothing is recorded but the network
    trial          number of the search's trial that found the network
    model          the network with its weights, in evaluation mode
    confirmations  records of all trainings of the network in `scaler confirm`
    """

    origin: str
    record: Record
    trial: int
    model: nn.Module
    confirmations: tuple[Record, ...]


def choose_weights(config: StudyConfig, trial: FrozenTrial, which: str | Path | None) -> Weights:
    """The weights that `which` names for the network of a trial of the search.

    "final" is the newest training by `scaler train`, "confirm" the best by `scaler confirm`, "search" the trial's own,
    None the first of these that there is, anything else a .safetensors file. Raises `InputError` for weights that are
    not there or not this network's.
    """
    record = Record.from_trial(trial)
    model = build(record.architecture)
    if which is None or str(which) in COMMANDS:
        origin, run = _training(config, trial, None if which is None else str(which))
        record = Record.from_trial(run)
        assert record.weights is not None
        load_weights(model, weights_file(config, record.weights), remedy="train it again, or choose others")
    else:
        origin, record = Path(which).name, record.again(seed=record.seed, repeats=None)
        load_weights(model, _file(Path(which)), remedy="name a file of this network")
    return Weights(
        origin=origin,
        record=record,
        trial=trial.number,
        model=model.eval(),
        confirmations=tuple(Record.from_trial(run) for run in _trainings(config, trial, "confirm")),
    )


def _training(config: StudyConfig, trial: FrozenTrial, wanted: str | None) -> tuple[str, FrozenTrial]:
    """The training whose weights are exported, and its kind."""
    runs = {
        "final": max(_trainings(config, trial, "final"), key=lambda run: run.number, default=None),
        "confirm": max(_trainings(config, trial, "confirm"), key=lambda run: (run.value, -run.number), default=None),
        "search": trial,
    }
    for kind in COMMANDS if wanted is None else (wanted,):
        run = runs[kind]
        if run is not None:
            return kind, run
    raise InputError(
        f"weights: there are none of {wanted!r} for {Record.from_trial(trial).model}; "
        f"run scaler {COMMANDS[str(wanted)]}, or choose others"
    )


def _trainings(config: StudyConfig, trial: FrozenTrial, kind: str) -> list[FrozenTrial]:
    """The trainings of the trial's network in one of the study's parts."""
    part = existing_study(config, COMMANDS[kind])
    runs = completed_trials(part) if part else []
    return [run for run in runs if run.user_attrs["digest"] == trial.user_attrs["digest"]]


def _file(path: Path) -> Path:
    if path.suffix != ".safetensors" or not path.is_file():
        raise InputError(f"weights: {path} is no .safetensors file that is there; name one, or {', '.join(COMMANDS)}")
    return path
