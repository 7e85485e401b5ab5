"""What an executor tells whoever watches it."""

from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial

from scaler.record import Record


@dataclass(frozen=True, slots=True)
class Job:
    """A trial that an executor is to evaluate."""

    trial: optuna.Trial
    record: Record


class Observer:
    """Is told what happens while an executor runs; the methods do nothing unless overridden."""

    def started(self, job: Job) -> None:
        """A network's evaluation begins."""

    def reported(self, job: Job, epoch: int, accuracy: float) -> None:
        """An epoch has ended."""

    def finished(self, job: Job, trial: FrozenTrial) -> None:
        """A network's evaluation has ended, one way or another."""

    def interrupted(self, job: Job, reason: str) -> None:
        """A network's evaluation was broken off; it is queued again."""

    def exhausted(self, networks: int) -> None:
        """The space has no network left; `networks` is how many it had."""

    def time_is_up(self) -> None:
        """`search.max_hours` are over and the study has not got all its trials."""
