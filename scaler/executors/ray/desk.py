"""The desk between Ray Tune and the driver: which of Tune's trials evaluates which of the study's networks."""

import dataclasses
import logging
import tempfile
import time
from pathlib import Path

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from scaler.errors import WorkError
from scaler.executors.driver import Driver
from scaler.executors.observer import Job
from scaler.executors.ray.worker import End

_LOG = logging.getLogger(__name__)

_MAX_FAILED_STARTS = 3
_GRACE = 1.0
"""Seconds for which a network that is out of time may still end or report, whereupon it stops by itself."""


class Desk:
    """Calls the driver for Tune, in the one thread in which Tune runs; knows Tune's trials by their ids.

    Tune saves its parts, of which it could go on; a search goes on from the study's storage, so a desk saves nothing.

    exhausted  whether the driver had nothing more to hand out when last asked, and nothing is out, here or with others
    jobs       the networks that Tune's trials are for, from the moment they are handed out until they have ended
    """

    def __init__(self, driver: Driver) -> None:
        self.exhausted = False
        self.jobs: dict[str, Job] = {}
        self._driver = driver
        self._begun: set[str] = set()
        self._overdue: dict[str, float] = {}
        self._failed_starts = 0

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return object, ()

    def ask(self, trial: str) -> Job | None:
        """The network for a new trial of Tune's, if there is one now."""
        job = self._driver.ask()
        self.exhausted = job is None and not self.jobs and not self._driver.waits_for_others()
        if job is not None:
            self.jobs[trial] = job
        return job

    def begin(self, trial: str) -> None:
        """Notes that a worker begins with the trial's network."""
        self._failed_starts = 0
        self._begun.add(trial)
        self._driver.begin(self.jobs[trial])

    def report(self, trial: str, epoch: int, accuracy: float) -> bool:
        """Records an epoch; False if the evaluation is to stop."""
        return self._driver.report(self.jobs[trial], epoch, accuracy)

    def end(self, trial: str, end: End) -> None:
        """Records what became of the trial's network."""
        job = self.jobs[trial]
        if end.result is None:
            if end.details is not None:
                _LOG.error("trial %d crashed\n%s", job.trial.number, end.details)
            self._take(trial)
            self._driver.fail(job, end.reason)
            return
        result = end.result
        if end.weights is not None:
            try:
                content = ray.get(end.weights)
            except RayError as error:  # the worker died before its weights were here
                self.lose(trial, error)
                return
            with tempfile.NamedTemporaryFile(prefix="scaler-", suffix=".safetensors", delete=False) as file:
                file.write(content.data)
            result = dataclasses.replace(result, weights=Path(file.name))
        self._take(trial)
        self._driver.tell(job, result)

    def overdue(self) -> list[str]:
        """Trials past a network's time limit that do not end by themselves; their workers are to be killed."""
        now = time.monotonic()
        for trial in self._begun - self._overdue.keys():
            if self._driver.is_overdue(self.jobs[trial]):
                self._overdue[trial] = now
        return [trial for trial, since in self._overdue.items() if now - since > _GRACE]

    def lose(self, trial: str, error: Exception | None) -> None:
        """Records that the trial's worker is gone: its network is queued again, or fails if it has cost too many.

        A node that its cloud takes back does not count against the network. Raises `WorkError` if workers do not even
        start.
        """
        late, begun = trial in self._overdue, trial in self._begun
        job = self._take(trial)
        reason = _reason(error)
        if late:
            self._driver.time_out(job)
        elif begun and not isinstance(error, RayTaskError):
            preempted = isinstance(error, RayActorError) and error.preempted
            (self._driver.interrupt if preempted else self._driver.died)(job, f"worker died: {reason}")
        else:
            self._driver.interrupt(job)
            self._failed_starts += 1
            if self._failed_starts == _MAX_FAILED_STARTS or isinstance(error, RayTaskError):
                raise WorkError(f"executor: Ray's workers do not start ({reason})")

    def close(self) -> None:
        """Queues again what has not ended."""
        for trial in list(self.jobs):
            self._driver.interrupt(self._take(trial))

    def _take(self, trial: str) -> Job:
        self._begun.discard(trial)
        self._overdue.pop(trial, None)
        return self.jobs.pop(trial)


def _reason(error: Exception | None) -> str:
    """What happened to a worker, in one line."""
    if isinstance(error, RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}"
    lines = [line.strip() for line in str(error or "unknown").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("The actor died", "The actor is dead", "Worker exit detail"))]
    return (told or lines)[-1]
