"""What every executor shares: which network comes next, when to stop it, and how its end is recorded."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from scaler.config import StudyConfig
from scaler.evaluation import Result
from scaler.executors.observer import Job, Observer
from scaler.executors.tally import Tally
from scaler.leases import Heart, reap
from scaler.record import DEATHS, DUPLICATE, INTERRUPTED, LEVEL, Record, has_record
from scaler.samplers import SAMPLERS, Domain
from scaler.study import artifacts_folder, interrupt, storage_of

_LOG = logging.getLogger(__name__)

_MAX_DUPLICATES = 100
_REAPS = 4
"""Times within a lease that a driver looks for what dead drivers have left."""
_WAIT = 1.0
"""Seconds between two looks at what other drivers are still evaluating."""
_TAKEN_OVER = "taken over by another driver"

_T = TypeVar("_T")


class Driver:
    """Hands out the networks of a study one by one and records what became of each.

    Any number may be out at a time, but one thread alone may call it. Several drivers, in other processes and on other
    machines, may work on one study: what they ask and tell is done under the study's claim, and a driver that has been
    silent for too long loses its networks to the others (`leases`). The limits on time are kept here: of a network
    (`search.trial_timeout`, counted from `begin`) and of the search (`search.max_hours`, counted from now).

    study     the Optuna study, as `open_study` opens it
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
        self.domain = domain
        self._config = config
        self._observer = observer or Observer()
        self._store = FileSystemArtifactStore(artifacts_folder(config))
        self._storage = storage_of(study)
        self._heart = Heart(self._storage, config.storage.lease)
        self._tally = Tally(study)
        self._unseen: dict[int | None, tuple[int, int]] = {}
        self._next_reap = 0.0
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
        job = self._claimed(self._ask)
        if job is not None:
            self._heart.keep(job.trial._trial_id)
        return job

    def to_the_end(self, run: Callable[[], None]) -> None:
        """Calls `run`, which evaluates what this driver hands out, until the study has all its networks.

        While other drivers are evaluating the last of them it waits, and goes on with what they leave behind.
        """
        run()
        while self.waits_for_others():
            time.sleep(_WAIT)
            if self._claimed(self._has_work):
                run()

    def waits_for_others(self) -> bool:
        """Whether the study lacks networks only because other drivers are evaluating them, which may die of it."""
        return self._claimed(self._others_run)

    def begin(self, job: Job) -> None:
        """Notes that the evaluation begins."""
        self._began[job.trial.number] = time.monotonic()
        self._observer.started(job)

    def is_overdue(self, job: Job) -> bool:
        """Whether the network has had all the time that a network gets."""
        limit = self._config.search.trial_timeout
        return limit is not None and time.monotonic() - self._began[job.trial.number] > limit

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        """Records an epoch.

        False if the training is to stop: the study's pruner wants it, time is up, or another driver has taken over.
        """
        self._observer.reported(job, epoch, accuracy)
        if not math.isfinite(accuracy):
            return False
        try:
            self._storage.patiently(lambda: job.trial.report(accuracy, epoch))
        except UpdateFinishedTrialError:
            return False
        if self.is_overdue(job):
            self._out_of_time[job.trial.number] = self.time_out
            return False
        if time.monotonic() > self._ends:
            self._out_of_time[job.trial.number] = self.interrupt
            return False
        try:
            return not self._storage.patiently(job.trial.should_prune)
        except UpdateFinishedTrialError:
            return False

    def tell(self, job: Job, result: Result) -> None:
        """Records the end of an evaluation.

        COMPLETE; PRUNED if it was stopped early; FAIL if its accuracy is none or it was stopped by its time limit;
        queued again if it was stopped because the search's time is up. Nothing if another driver has taken over.
        """
        out_of_time = self._out_of_time.pop(job.trial.number, None)
        if result.stopped and out_of_time is not None:
            out_of_time(job)
            return
        if not math.isfinite(result.value):
            self.fail(job, f"{result.objective} is {result.value}")
            return

        def attributes() -> dict[str, Any]:
            weights = None
            if result.weights is not None:
                weights = upload_artifact(
                    artifact_store=self._store, file_path=str(result.weights), study_or_trial=job.trial
                )
            return replace(job.record.with_result(result), weights=weights).to_attributes()

        if result.stopped:
            told = self._finish(job, attributes, TrialState.PRUNED)
        else:
            told = self._finish(job, attributes, TrialState.COMPLETE, result.value)
        if result.weights is not None:
            result.weights.unlink()
        if told and result.checkpoint is not None:
            result.checkpoint.unlink(missing_ok=True)

    def fail(self, job: Job, reason: str) -> None:
        """Records that the network could not be evaluated, and why."""
        self._finish(job, replace(job.record, failure=reason).to_attributes, TrialState.FAIL)

    def time_out(self, job: Job) -> None:
        """Records that the network has used up its time."""
        self.fail(job, f"time limit of {self._config.search.trial_timeout:g} s")

    def died(self, job: Job, reason: str) -> None:
        """Records that the process which evaluated the network died; it is queued again, or fails if that is a habit.

        The count goes with the network, so that a resumed search does not begin it anew.
        """
        deaths = job.trial.user_attrs.get(DEATHS, 0) + 1
        if deaths > self._config.executor.max_failures:
            self.fail(job, reason)
        else:
            self.interrupt(job, reason, {DEATHS: deaths})

    def interrupt(self, job: Job, reason: str = INTERRUPTED, attributes: dict[str, Any] | None = None) -> None:
        """Records that the evaluation was broken off; the network is queued again, with the attributes given."""

        def record() -> None:
            if self._is_out(job):
                self._storage.set_user_attributes(job.trial._trial_id, attributes or {})
                interrupt(self.study, optuna.Trial(self.study, job.trial._trial_id))

        self._claimed(record, job)
        self._heart.drop(job.trial._trial_id)
        level = logging.INFO if reason == INTERRUPTED else logging.WARNING
        _LOG.log(level, "%s trial %d: %s, queued again", self.study.study_name, job.trial.number, reason)
        self._observer.interrupted(job, reason)

    # -- under the claim ----------------------------------------------------------------------------------------------

    def _claimed(self, work: Callable[[], _T], job: Job | None = None) -> _T:
        about = None if job is None else job.trial._trial_id
        return self._storage.claimed(self.study._study_id, work, about=about)

    def _ask(self) -> Job | None:
        self._reap()
        for _ in range(_MAX_DUPLICATES):
            if not self._wants_more():
                return None
            job = self._next()
            if job is not None:
                self._heart.take(job.trial._trial_id)
                return job
        self._end_of_space()
        return None

    def _reap(self) -> None:
        now = time.monotonic()
        if now >= self._next_reap:
            self._next_reap = now + self._config.storage.lease / _REAPS
            reap(self.study, spare=self._heart.out)

    def _has_work(self) -> bool:
        self._reap()
        return self._wants_more()

    def _others_run(self) -> bool:
        if time.monotonic() > self._ends or not self._tally.running:
            return False
        return self.domain is None or self._tally.finished < self._config.search.trials

    def _is_out(self, job: Job) -> bool:
        """Whether the trial is still this driver's: another takes over what has been silent for too long."""
        return self._storage.get_trial(job.trial._trial_id).state == TrialState.RUNNING

    def _wants_more(self) -> bool:
        queued = self._tally.queued
        if self.domain is None:
            return queued > 0
        if self._tally.finished + self._tally.running >= self._config.search.trials:
            return False
        if not queued and not self._has_unseen():
            self._end_of_space()
            return False
        if time.monotonic() > self._ends:
            self._observer.time_is_up()
            return False
        return True

    def _has_unseen(self, level: int | None = None) -> bool:
        """Whether a network is left that no trial has taken, of all or of one budget.

        A trial takes one at most, so that they need not be counted again before there are as many new trials.
        """
        known, trials = self._unseen.get(level, (0, 0))
        if self._tally.all - trials >= known:
            fixed = None if level is None else {LEVEL: level}
            self._unseen[level] = known, _ = self._sampler.unseen(self.study, fixed), self._tally.all
        return known > 0

    def _end_of_space(self) -> None:
        self._observer.exhausted(len(self._tally.digests))

    def _next(self) -> Job | None:
        if self.domain is not None and self._config.has_levels:
            self._share_out()
        trial = self.study.ask()
        frozen = self._storage.get_trial(trial._trial_id)
        known = has_record(frozen)
        if self.domain is not None and (not known or frozen.system_attrs.get("fixed_params")):
            for name, distribution in self.domain.distributions.items():
                trial._suggest(name, distribution)
        if known:
            self._storage.set_user_attributes(trial._trial_id, self._heart.attributes)
            return Job(trial, Record.from_trial(frozen))
        assert self.domain is not None, "a queued trial of a study's part always has its record"
        found = self.domain.proposal(trial.params)
        if self._tally.is_taken(found.architecture.digest):
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
        self._storage.set_user_attributes(trial._trial_id, record.to_attributes() | self._heart.attributes)
        return Job(trial, record)

    def _share_out(self) -> None:
        """Queues the next network's budget, unless something is queued: that which has the fewest networks so far."""
        if self._tally.queued:
            return
        for level in sorted(range(len(self._config.budgets.levels)), key=self._tally.of_level):
            if self._has_unseen(level):
                self.study.enqueue_trial({LEVEL: level})
                return

    def _finish(
        self, job: Job, attributes: Callable[[], dict[str, Any]], state: TrialState, value: float | None = None
    ) -> bool:
        """Records a trial's end, unless another driver has taken over; returns whether it counts."""

        def record() -> FrozenTrial:
            if self._is_out(job):
                self._storage.set_user_attributes(job.trial._trial_id, attributes())
                self.study.tell(job.trial, value, state=state)
            return self._storage.get_trial(job.trial._trial_id)

        frozen = self._claimed(record, job)
        self._heart.drop(job.trial._trial_id)
        if frozen.user_attrs.get("failure") == INTERRUPTED:
            _LOG.warning("%s trial %d: %s, its end is dropped", self.study.study_name, frozen.number, _TAKEN_OVER)
            self._observer.interrupted(job, _TAKEN_OVER)
            return False
        _LOG.info(
            "%s trial %d: %s %s, %s",
            self.study.study_name,
            frozen.number,
            state.name,
            frozen.value if state == TrialState.COMPLETE else frozen.user_attrs.get("failure", ""),
            job.record.architecture.summary(),
        )
        self._observer.finished(job, frozen)
        return True
