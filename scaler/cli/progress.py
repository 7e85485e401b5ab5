"""The live view of a run: what is being trained now on a terminal, a line for each finished network everywhere."""

import time
from collections import deque
from types import TracebackType
from typing import Self

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scaler.budget import format_quantity
from scaler.executors import Job, Observer
from scaler.record import INTERRUPTED, is_finished

_REFRESHES = 4
_WINDOW = 60.0
"""Seconds over which images a second are counted."""


class _Running:
    """A network that is being trained."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.macs = job.record.architecture.cost().macs
        self.began = time.monotonic()
        self.epoch = 0
        self.accuracy: float | None = None


class Progress(Observer):
    """Shows what an executor does.

    total   networks wanted; None: those that are queued
    epochs  of a training
    console where to show it; standard output by default

    evaluated        networks evaluated while it watched
    exhausted_after  how many networks the space had, if it ran out of them
    out_of_time      whether the search's time was up before it had all its trials
    """

    def __init__(self, total: int | None, epochs: int, console: Console | None = None) -> None:
        self.evaluated = 0
        self.exhausted_after: int | None = None
        self.out_of_time = False
        self._total = total
        self._epochs = epochs
        self._done: int | None = None
        self._best: FrozenTrial | None = None
        self._running: dict[int, _Running] = {}
        self._reports: deque[float] = deque()
        self._images = 0.0
        self._began = time.monotonic()
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._live = Live(
            console=self._console, get_renderable=self._view, refresh_per_second=_REFRESHES, transient=True
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def started(self, job: Job) -> None:
        self._running[job.trial.number] = _Running(job)
        self._count(job)

    def reported(self, job: Job, epoch: int, accuracy: float) -> None:
        running = self._running[job.trial.number]
        running.epoch, running.accuracy = epoch, accuracy
        self._reports.append(time.monotonic())

    def finished(self, job: Job, trial: FrozenTrial) -> None:
        self._running.pop(job.trial.number, None)
        self.evaluated += 1
        record = trial.user_attrs
        if record.get("epochs"):
            self._images = record["images_per_second"] * record["train_seconds"] / record["epochs"]
        self._count(job)
        outcome = {
            TrialState.COMPLETE: f"accuracy {trial.value:.4f}" if trial.value is not None else "",
            TrialState.PRUNED: "stopped early",
            TrialState.FAIL: f"failed: {trial.user_attrs.get('failure')}",
        }[trial.state]
        network = job.record.architecture
        self._console.print(
            f"{self._done:>3}/{self._total}  {outcome}  {self._best_so_far()}  "
            f"{format_quantity(network.cost().macs)} MACs  {trial.user_attrs.get('train_seconds', 0.0):.1f} s  "
            f"{job.record.model}: {network.summary()}",
            markup=False,
        )

    def interrupted(self, job: Job, reason: str) -> None:
        self._running.pop(job.trial.number, None)
        if reason != INTERRUPTED:
            self._console.print(f"{reason}; {job.record.model} is queued again", markup=False)

    def exhausted(self, networks: int) -> None:
        self.exhausted_after = networks

    def time_is_up(self) -> None:
        self.out_of_time = True

    def _count(self, job: Job) -> None:
        """Brings the number of finished networks, of those wanted, and the best one up to date."""
        trials = job.trial.study.get_trials(deepcopy=False)
        finished = [trial for trial in trials if is_finished(trial)]
        completed = [trial for trial in finished if trial.state == TrialState.COMPLETE]
        self._done = len(finished)
        self._best = max(completed, key=lambda trial: (trial.value, -trial.number), default=None)
        if self._total is None or self._total < self._done:
            self._total = self._done + sum(not trial.state.is_finished() for trial in trials)

    def _best_so_far(self) -> str:
        return f"best {self._best.value:.4f} (#{self._best.number})" if self._best else "no best yet"

    def _view(self) -> Group:
        """A line for each network in training over a line for the whole; called by rich's own thread."""
        now = time.monotonic()
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True)
        for column in range(3):
            table.add_column(no_wrap=True, justify="right" if column == 2 else "left")
        for number, running in sorted(self._running.items()):
            table.add_row(
                f"#{number}",
                f"{format_quantity(running.macs)} MACs",
                ProgressBar(total=self._epochs, completed=running.epoch, width=16),
                f"epoch {running.epoch}/{self._epochs}",
                f"accuracy {running.accuracy:.4f}" if running.accuracy is not None else "",
                _duration(now - running.began),
            )
        return Group(table, self._summary(now))

    def _summary(self, now: float) -> Text:
        elapsed = now - self._began
        if self._total is None or self._done is None:
            return Text(f"starting  {_duration(elapsed)}")
        parts = [f"{self._done}/{self._total} networks", self._best_so_far(), f"{_duration(elapsed)} so far"]
        left = self._total - self._done
        partly = sum(running.epoch / self._epochs for running in list(self._running.values()))
        if self.evaluated + partly > 0:
            parts.append(f"about {_duration(elapsed / (self.evaluated + partly) * max(0.0, left - partly))} left")
        if rate := self._images_per_second(now):
            parts.append(f"{rate:,.0f} images/s")
        return Text("  ".join(parts), style="bold", no_wrap=True, overflow="ellipsis")

    def _images_per_second(self, now: float) -> float:
        """Training images of all workers together; 0 until a network has ended, which says what is in an epoch."""
        since = max(self._began, now - _WINDOW)
        while self._reports and self._reports[0] < since:
            self._reports.popleft()
        return len(self._reports) * self._images / max(now - since, 1e-9)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
