"""What every executor shares: which network comes next, when to stop it, and how its end is recorded."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.trial import FrozenTrial, TrialState

from scaler.config import StudyConfig
from scaler.evaluation import Result
from scaler.record import DEATHS, DUPLICATE, INTERRUPTED, LEVEL, Record, has_record
from scaler.samplers import SAMPLERS, Domain
from scaler.study import artifacts_folder, finished_trials, interrupt, taken_digests

_LOG = logging.getLogger(__name__)

_MAX_DUPLICATES = 100
_MAX_DEATHS = 2
"""Workers that one network may cost before it counts as failed."""


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


class Driver:
    """Hands out the networks of a study one by one and records what became of each.

    Any number may be out at a time, but one thread alone may call it. The limits on time are kept here: of a network
    (`search.trial_timeout`, counted from `begin`) and of the search (`search.max_hours`, counted from now).

    study     the Optuna study
    config    its question
    domain    where new networks come from; without it only those queued in the study are handed out
    observer  is told what happens
    """

    def __init__(
        self,
        study: optuna.Study,
        config: StudyConfig,
        domain: Domain | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.study = study
        self._config = config
        self._domain = domain
        self._observer = observer or Observer()
        self._store = FileSystemArtifactStore(artifacts_folder(config))
        self._began: dict[int, float] = {}
        self._out_of_time: dict[int, Callable[[Job], None]] = {}
        self._ends = math.inf
        if domain is not None and config.search.max_hours is not None:
            self._ends = time.monotonic() + config.search.max_hours * 3600
        if domain is not None:
            options = {"startup": config.search.startup} if config.search.sampler == "budget" else {}
            self._sampler = SAMPLERS[config.search.sampler](domain, seed=config.search.seed, **options)
            study.sampler = self._sampler

    def ask(self) -> Job | None:
        """The next network to evaluate.

        None when those that are finished or being evaluated are all that the study wants, the space has no other
        network, or time is up. Ask again when one of them has ended: it may have been queued again.
        """
        for _ in range(_MAX_DUPLICATES):
            if not self._wants_more():
                return None
            job = self._next()
            if job is not None:
                return job
        self._end_of_space()
        return None

    def begin(self, job: Job) -> None:
        """Notes that the evaluation begins."""
        self._began[job.trial.number] = time.monotonic()
        self._observer.started(job)

    def is_overdue(self, job: Job) -> bool:
        """Whether the network has had all the time that a network gets."""
        limit = self._config.search.trial_timeout
        return limit is not None and time.monotonic() - self._began[job.trial.number] > limit

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        """Records an epoch; False if the training is to stop: the study's pruner wants it, or time is up."""
        self._observer.reported(job, epoch, accuracy)
        if not math.isfinite(accuracy):
            return False
        job.trial.report(accuracy, epoch)
        if self.is_overdue(job):
            self._out_of_time[job.trial.number] = self.time_out
            return False
        if time.monotonic() > self._ends:
            self._out_of_time[job.trial.number] = self.interrupt
            return False
        return not job.trial.should_prune()

    def tell(self, job: Job, result: Result) -> None:
        """Records the end of an evaluation.

        COMPLETE; PRUNED if it was stopped early; FAIL if its accuracy is none or it was stopped by its time limit;
        queued again if it was stopped because the search's time is up.
        """
        out_of_time = self._out_of_time.pop(job.trial.number, None)
        if result.stopped and out_of_time is not None:
            out_of_time(job)
            return
        if not math.isfinite(result.value):
            self.fail(job, f"{result.objective} is {result.value}")
            return
        weights = None
        if result.weights is not None:
            weights = upload_artifact(
                artifact_store=self._store, file_path=str(result.weights), study_or_trial=job.trial
            )
            result.weights.unlink()
        self._write(job, replace(job.record.with_result(result), weights=weights))
        if result.stopped:
            self._finish(job, TrialState.PRUNED)
        else:
            self._finish(job, TrialState.COMPLETE, result.value)
        if result.checkpoint is not None:
            result.checkpoint.unlink(missing_ok=True)

    def fail(self, job: Job, reason: str) -> None:
        """Records that the network could not be evaluated, and why."""
        self._write(job, replace(job.record, failure=reason))
        self._finish(job, TrialState.FAIL)

    def time_out(self, job: Job) -> None:
        """Records that the network has used up its time."""
        self.fail(job, f"time limit of {self._config.search.trial_timeout:g} s")

    def died(self, job: Job, reason: str) -> None:
        """Records that the process which evaluated the network died; it is queued again, or fails if that is a habit.

        The count goes with the network, so that a resumed search does not begin it anew.
        """
        deaths = job.trial.user_attrs.get(DEATHS, 0) + 1
        if deaths >= _MAX_DEATHS:
            self.fail(job, reason)
        else:
            job.trial.set_user_attr(DEATHS, deaths)
            self.interrupt(job, reason)

    def interrupt(self, job: Job, reason: str = INTERRUPTED) -> None:
        """Records that the evaluation was broken off; the network is queued again."""
        level = logging.INFO if reason == INTERRUPTED else logging.WARNING
        _LOG.log(level, "%s trial %d: %s, queued again", self.study.study_name, job.trial.number, reason)
        interrupt(self.study, job.trial)
        self._observer.interrupted(job, reason)

    def _wants_more(self) -> bool:
        queued = bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
        if self._domain is None:
            return queued
        running = len(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        if len(finished_trials(self.study)) + running >= self._config.search.trials:
            return False
        if not queued and self._sampler.unseen(self.study) == 0:
            self._end_of_space()
            return False
        if time.monotonic() > self._ends:
            self._observer.time_is_up()
            return False
        return True

    def _end_of_space(self) -> None:
        self._observer.exhausted(len(taken_digests(self.study)))

    def _next(self) -> Job | None:
        if self._domain is not None and self._config.has_levels:
            self._share_out()
        trial = self.study.ask()
        frozen = self.study._storage.get_trial(trial._trial_id)
        known = has_record(frozen)
        if self._domain is not None and (not known or frozen.system_attrs.get("fixed_params")):
            for name, distribution in self._domain.distributions.items():
                trial._suggest(name, distribution)
        if known:
            return Job(trial, Record.from_trial(frozen))
        assert self._domain is not None, "a queued trial of a study's part always has its record"
        found = self._domain.proposal(trial.params)
        if found.architecture.digest in taken_digests(self.study):
            trial.set_user_attr("failure", DUPLICATE)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        record = Record(
            architecture=found.architecture,
            source="discovered",
            model=f"{self._config.name}#{trial.number}",
            seed=self._config.search.seed,
            rule=[round(share, 4) for share in found.rule.to_list()] if found.rule else None,
            budget=found.budget.limits,
            enqueued=frozen.user_attrs.get("enqueued"),
        )
        job = Job(trial, record)
        self._write(job, record)
        return job

    def _share_out(self) -> None:
        """Queues the next network's budget, unless something is queued: that which has the fewest networks so far."""
        assert self._domain is not None
        if self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        counts = [0] * len(self._config.budgets.levels)
        for trial in [*finished_trials(self.study), *running]:
            counts[trial.params.get(LEVEL, 0)] += 1
        for level in sorted(range(len(counts)), key=lambda level: counts[level]):
            if self._sampler.unseen(self.study, {LEVEL: level}):
                self.study.enqueue_trial({LEVEL: level})
                return

    def _write(self, job: Job, record: Record) -> None:
        known = job.trial.user_attrs
        for name, value in record.to_attributes().items():
            if name not in known or known[name] != value:
                job.trial.set_user_attr(name, value)

    def _finish(self, job: Job, state: TrialState, accuracy: float | None = None) -> None:
        frozen = self.study.tell(job.trial, accuracy, state=state)
        _LOG.info(
            "%s trial %d: %s %s, %s",
            self.study.study_name,
            frozen.number,
            state.name,
            frozen.value if state == TrialState.COMPLETE else frozen.user_attrs.get("failure", ""),
            job.record.architecture.summary(),
        )
        self._observer.finished(job, frozen)
