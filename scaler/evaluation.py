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

    accuracy           on the validation split after the last epoch run, from 0 to 1
    balanced_accuracy  the same, mean over the classes
    macro_f1           the same, mean over the classes of the F1 score
    objective          which of the three the search maximises
    epochs             epochs run
    stopped            whether `report` stopped it before its last epoch
    train_seconds      wall-clock time of training, validation excluded
    images_per_second  training images over that time
    device             where it ran
    precision          number format of the forward pass
    micro_batch        images that fitted in memory at a time, where the batch as a whole did not
    weights            a safetensors file that the executor takes over, or None
    checkpoint         a file that the executor removes once the result is recorded, or None
    test_accuracy      accuracy on the test split, where it was asked for
    test_images        number of test images
    """

    accuracy: float
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    objective: str = "accuracy"
    epochs: int
    stopped: bool = False
    train_seconds: float = 0.0
    images_per_second: float = 0.0
    device: str = ""
    precision: str = ""
    micro_batch: int | None = None
    weights: Path | None = None
    checkpoint: Path | None = None
    test_accuracy: float | None = None
    test_images: int = 0

    @property
    def value(self) -> float:
        """What the trial is worth: its objective."""
        value: float = getattr(self, self.objective)
        return value


Evaluator: TypeAlias = Callable[[Architecture, int, Report], Result]
"""`evaluator(architecture, seed, report)`: training, a recorded table, a stub. It raises `EvaluationError` when the
network itself cannot be evaluated."""


class EvaluationError(Exception):
    """This network cannot be evaluated; the message is the reason that the trial records."""
