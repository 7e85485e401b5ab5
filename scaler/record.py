"""What a trial says about itself."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol, Self

from optuna.trial import TrialState

from scaler.architecture import Architecture
from scaler.evaluation import Result
from scaler.families import from_dict

INTERRUPTED = "interrupted"
"""The failure of a trial whose process ended before the trial did; its network is evaluated again."""

DUPLICATE = "duplicate"
"""The failure of a trial whose network another trial had taken already; it is not evaluated and does not count."""

UNCOUNTED = (INTERRUPTED, DUPLICATE)
"""Failures of trials that stand for no evaluation that was brought to an end."""

LEVEL = "budget_level"
"""Parameter: which of a study's several budgets the network is for, from 0."""

DRIVER = "driver"
"""Attribute: the driver that evaluates, or evaluated, the network (`leases.Owner`)."""

DEATHS = "deaths"
"""Attribute: how many worker processes have died while they evaluated this network."""


class Told(Protocol):
    """A trial as far as its record is concerned: Optuna's `FrozenTrial`, or what a query found of it."""

    @property
    def state(self) -> TrialState: ...

    @property
    def user_attrs(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a trial says about itself, in Optuna user attributes; the leaderboard reads nothing else.

    source         discovered, rule or classic
    model          a short name for tables
    rule           shares of depth, width and resolution, or None
    budget         the limits that the network was made to fit
    enqueued       which `warm_start` entry it is; None for what the sampler proposed
    seed           seed of the training
    accuracy       on the validation split; the trial's value is this, or balanced_accuracy or macro_f1, as the study's
                   objective has it
    precision      number format of the forward pass
    micro_batch    images that fitted in memory at a time, where the batch as a whole did not
    weights        id of the artifact that holds the weights
    initial        what the training began with, where not with fresh weights: `Initial.to_dict`
    repeats        number of the trial of the main study that has the same network and seed, or the same network
    failure        why it failed
    """

    architecture: Architecture
    source: str
    model: str
    seed: int
    rule: list[float] | None = None
    budget: dict[str, int] | None = None
    enqueued: str | None = None
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    epochs: int | None = None
    train_seconds: float | None = None
    images_per_second: float | None = None
    device: str | None = None
    precision: str | None = None
    micro_batch: int | None = None
    weights: str | None = None
    initial: dict[str, Any] | None = None
    repeats: int | None = None
    test_accuracy: float | None = None
    test_images: int | None = None
    failure: str | None = None

    def with_result(self, result: Result) -> Self:
        """The record of the same network, evaluated; `weights` are left to whoever takes the file over."""
        return dataclasses.replace(
            self,
            accuracy=result.accuracy,
            balanced_accuracy=result.balanced_accuracy,
            macro_f1=result.macro_f1,
            epochs=result.epochs,
            train_seconds=round(result.train_seconds, 3),
            images_per_second=round(result.images_per_second, 1),
            device=result.device,
            precision=result.precision or None,
            micro_batch=result.micro_batch,
            test_accuracy=result.test_accuracy,
            test_images=result.test_images or None,
        )

    def again(self, *, seed: int, repeats: int | None) -> Self:
        """The record of the same network, not evaluated yet, with another seed."""
        return type(self)(
            architecture=self.architecture,
            source=self.source,
            model=self.model,
            seed=seed,
            rule=self.rule,
            budget=self.budget,
            repeats=repeats,
        )

    def to_attributes(self) -> dict[str, Any]:
        """The record as user attributes, cost and digest included.

        The architecture comes last: attributes are stored one by one, so that a trial which has it has them all, even
        if the process died while it wrote them (`has_record`).
        """
        attributes = {
            item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "architecture"
        }
        return {
            "digest": self.architecture.digest,
            **dataclasses.asdict(self.architecture.cost()),
            **{name: value for name, value in attributes.items() if value is not None},
            "architecture": self.architecture.to_dict(),
        }

    @classmethod
    def from_trial(cls, trial: Told) -> Self:
        """The record of a trial that has one (every trial whose network is known)."""
        known = {item.name for item in dataclasses.fields(cls)}
        attributes = {name: value for name, value in trial.user_attrs.items() if name in known}
        attributes["architecture"] = from_dict(attributes["architecture"])
        return cls(**attributes)


def has_record(trial: Told) -> bool:
    """Whether the trial got as far as having a network."""
    return "architecture" in trial.user_attrs


def is_finished(trial: Told) -> bool:
    """Whether the trial counts: its network was evaluated to an end, good or bad."""
    return trial.state.is_finished() and trial.user_attrs.get("failure") not in UNCOUNTED
