"""What a study is doing now, read from its storage alone."""

import statistics
from collections import Counter
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from scaler.config import StudyConfig
from scaler.errors import InputError
from scaler.leases import leases
from scaler.record import is_finished
from scaler.samplers.observations import in_order_of_end
from scaler.storage import redacted
from scaler.study import existing_study

_RECENT = 20
"""Finished networks that the speed is told from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A network that is being evaluated.

    accuracy  after the last `epoch`; None before the first
    driver    host and process id; None if it does not say
    silent    seconds since the driver last said that it lives; None if it never has
    is_dead   whether the driver is gone, so that the network will be queued again
    """

    number: int
    model: str
    macs: int
    epoch: int
    epochs: int
    accuracy: float | None
    driver: str | None
    silent: float | None
    is_dead: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a study is doing now.

    trials             networks wanted
    completed          networks that ran their full recipe
    stopped            networks that were stopped early
    failed             networks that could not be evaluated
    failures           how often for which reason
    best               value and number of the best network
    budget_use         mean share of the budget that the finished networks use
    images_per_second  training images of all networks in training together, judged by the last ones that finished
    seconds_left       until all trials are finished, judged in the same way; None if it cannot be told
    """

    name: str
    trials: int
    running: list[Running]
    queued: int
    completed: int
    stopped: int
    failed: int
    failures: dict[str, int]
    best: tuple[float, int] | None
    budget_use: float | None
    images_per_second: float | None
    seconds_left: float | None

    @property
    def finished(self) -> int:
        """Networks that count."""
        return self.completed + self.stopped + self.failed

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.finished >= self.trials and not self.running and not self.queued


def read_status(config: StudyConfig) -> Status:
    """The status of a study's search; raises `InputError` if it has no trials yet."""
    study = existing_study(config)
    trials = [] if study is None else study.get_trials(deepcopy=False)
    if study is None or not trials:
        raise InputError(
            f"study: {config.name} has no trials in {redacted(config.storage_url)}; run scaler search first"
        )
    finished = [trial for trial in trials if is_finished(trial)]
    completed = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    failed = [trial for trial in finished if trial.state == TrialState.FAIL]
    best = max(completed, key=lambda trial: (trial.value, -trial.number), default=None)
    running = _running(study, config.recipe.epochs)
    alive = [network for network in running if not network.is_dead]
    recent = in_order_of_end(finished)[-_RECENT:]
    speeds = [speed for trial in recent if (speed := trial.user_attrs.get("images_per_second"))]
    return Status(
        name=config.name,
        trials=config.search.trials,
        running=running,
        queued=sum(trial.state == TrialState.WAITING for trial in trials),
        completed=len(completed),
        stopped=len(finished) - len(completed) - len(failed),
        failed=len(failed),
        failures=dict(Counter(trial.user_attrs.get("failure", "unknown reason") for trial in failed)),
        best=(best.value, best.number) if best is not None and best.value is not None else None,
        budget_use=_budget_use(finished),
        images_per_second=statistics.mean(speeds) * len(alive) if speeds and alive else None,
        seconds_left=_seconds_left(config.search.trials - len(finished), alive, recent),
    )


def _running(study: optuna.Study, epochs: int) -> list[Running]:
    found = []
    for lease in leases(study):
        attributes, reported = lease.trial.user_attrs, lease.trial.intermediate_values
        found.append(
            Running(
                number=lease.trial.number,
                model=attributes.get("model", ""),
                macs=attributes.get("macs", 0),
                epoch=max(reported, default=0),
                epochs=epochs,
                accuracy=reported[max(reported)] if reported else None,
                driver=f"{lease.owner.host}:{lease.owner.pid}" if lease.owner else None,
                silent=None if lease.silent is None else round(max(0.0, lease.silent), 1),
                is_dead=lease.is_dead,
            )
        )
    return found


def _budget_use(finished: list[FrozenTrial]) -> float | None:
    shares = [
        max(trial.user_attrs[name] / limit for name, limit in trial.user_attrs["budget"].items())
        for trial in finished
        if trial.user_attrs.get("budget")
    ]
    return round(statistics.mean(shares), 4) if shares else None


def _seconds_left(left: int, alive: list[Running], recent: list[FrozenTrial]) -> float | None:
    """As long as the last networks took, for all that are left, as many at a time as there are now."""
    seconds = [
        (trial.datetime_complete - trial.datetime_start).total_seconds()
        for trial in recent
        if trial.datetime_complete and trial.datetime_start
    ]
    if left <= 0 or not alive or not seconds:
        return 0.0 if left <= 0 else None
    partly = sum(min(network.epoch / network.epochs, 1.0) for network in alive)
    return round(statistics.mean(seconds) * max(0.0, left - partly) / len(alive), 1)
