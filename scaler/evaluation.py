"""The seam between a search and whatever tells it how good a network is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from scaler.architecture import Architecture

Report: TypeAlias = Callable[[int, float], bool]
"""`report(epoch, accuracy)` after each epoch, counted from 1; False asks the evaluator to stop early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an evaluation found.

    accuracy           validation accuracy after the last epoch run, from 0 to 1
    epochs             epochs run
    stopped            whether `report` stopped it before its last epoch
    train_seconds      wall-clock time of training, validation excluded
    images_per_second  training images over that time
    device             where it ran
    weights            a safetensors file that the executor takes over, or None
    test_accuracy      accuracy on the test split, where it was asked for
    test_images        number of test images
    """

    accuracy: float
    epochs: int
    stopped: bool = False
    train_seconds: float = 0.0
    images_per_second: float = 0.0
    device: str = ""
    weights: Path | None = None
    test_accuracy: float | None = None
    test_images: int = 0


Evaluator: TypeAlias = Callable[[Architecture, int, Report], Result]
"""`evaluator(architecture, seed, report)`: training, a recorded table, a stub. It raises `EvaluationError` when the
network itself cannot be evaluated."""


class EvaluationError(Exception):
    """This network cannot be evaluated; the message is the reason that the trial records."""
