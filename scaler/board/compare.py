"""Two models side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scaler.architecture import Architecture
from scaler.board.cells import cell
from scaler.board.columns import network_columns
from scaler.board.parts import Parts, StudyLike, parts_of
from scaler.board.table import leaderboard
from scaler.errors import unknown
from scaler.families import CLASSICS, from_dict
from scaler.record import has_record

_NUMBERS = ("resolution", "macs", "params", "activations")
_TRAINED = ("rank", "accuracy", "confirmed_accuracy", "test_accuracy", "test_std", "n_seeds", "epochs", "train_seconds")
_ABOUT = ("family", "source", "rule", "depths", "widths", "export_tier", "recipe", "data", "study", "digest")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models: what they are called, their networks, and by each fact's name the two values and, where both are
    numbers of cost, the second over the first."""

    models: tuple[str, str]
    networks: tuple[Architecture, Architecture]
    facts: dict[str, tuple[str, str, str]]


def compare(studies: Iterable[StudyLike], first: str, second: str) -> Comparison:
    """Compares two models or digests of the leaderboard of some studies, or classics by their names.

    Raises `InputError` for a model that is neither.
    """
    read = [parts_of(study) for study in studies]
    rows = leaderboard(read).to_dict("records")
    left, right = (_find(name, read, rows) for name in (first, second))
    facts = {}
    for name in (*_NUMBERS, *_TRAINED, *_ABOUT):
        one, other = left[1].get(name), right[1].get(name)
        shown = cell(name, one), cell(name, other)
        if any(shown):
            facts[name] = (*shown, f"×{other / one:.3g}" if name in _NUMBERS and one and other else "")
    return Comparison((first, second), (left[0], right[0]), facts)


def _find(name: str, studies: list[Parts], rows: list[dict[Any, Any]]) -> tuple[Architecture, dict[Any, Any]]:
    for row in rows:
        if name in (row["model"], row["digest"]):
            return _network(row["digest"], studies), row
    if name not in CLASSICS:
        raise unknown("model", name, [*dict.fromkeys(row["model"] for row in rows), *CLASSICS])
    network = CLASSICS[name]
    return network, network_columns(network)


def _network(digest: str, studies: list[Parts]) -> Architecture:
    return next(
        from_dict(trial.user_attrs["architecture"])
        for parts in studies
        for trials in parts.trials.values()
        for trial in trials
        if has_record(trial) and trial.user_attrs["digest"] == digest
    )
