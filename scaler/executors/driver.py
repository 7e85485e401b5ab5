"""What every executor shares: which network comes next, when to stop it, and how its end is recorded."""

import logging
import math
from dataclasses import dataclass, replace

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.trial import FrozenTrial, TrialState

from scaler.config import StudyConfig
from scaler.evaluation import Result
from scaler.record import DUPLICATE, Record, has_record
from scaler.samplers import TriangleSampler, distributions, params_to_shares
from scaler.space import Triangle
from scaler.study import artifacts_folder, finished_trials, interrupt, taken_digests

_LOG = logging.getLogger(__name__)

_MAX_DUPLICATES = 100


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

    def exhausted(self, networks: int) -> None:
        """The space has no network left; `networks` is how many it had."""


class Driver:
    """Hands out the networks of a study one by one and records what became of each.

    study     the Optuna study
    config    its question
    triangle  where new networks come from; without it only those queued in the study are handed out
    observer  is told what happens
    """

    def __init__(
        self,
        study: optuna.Study,
        config: StudyConfig,
        triangle: Triangle | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.study = study
        self._config = config
        self._triangle = triangle
        self._observer = observer or Observer()
        self._store = FileSystemArtifactStore(artifacts_folder(config))
        if triangle is not None:
            self._sampler = TriangleSampler(triangle, config.search.sampler, config.search.seed)
            study.sampler = self._sampler

    def ask(self) -> Job | None:
        """The next network to evaluate; None when the study has all its trials or the space no network left."""
        for _ in range(_MAX_DUPLICATES):
            queued = bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))
            if not queued and not self._wants_new():
                return None
            job = self._next()
            if job is not None:
                self._observer.started(job)
                return job
        self._end_of_space()
        return None

    def report(self, job: Job, epoch: int, accuracy: float) -> bool:
        """Records an epoch; False if the study's pruner wants the training stopped."""
        self._observer.reported(job, epoch, accuracy)
        if not math.isfinite(accuracy):
            return False
        job.trial.report(accuracy, epoch)
        return not job.trial.should_prune()

    def tell(self, job: Job, result: Result) -> None:
        """Records the end of an evaluation: COMPLETE, PRUNED if it was stopped early, FAIL if its accuracy is none."""
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

    def interrupt(self, job: Job) -> None:
        """Records that the process is about to end before the evaluation did; the network is queued again."""
        interrupt(self.study, job.trial)

    def _wants_new(self) -> bool:
        if self._triangle is None:
            return False
        running = len(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        if len(finished_trials(self.study)) + running >= self._config.search.trials:
            return False
        if self._sampler.unseen(self.study) == 0:
            self._end_of_space()
            return False
        return True

    def _end_of_space(self) -> None:
        self._observer.exhausted(len(taken_digests(self.study)))

    def _next(self) -> Job | None:
        trial = self.study.ask(distributions() if self._triangle is not None else None)
        frozen = self.study._storage.get_trial(trial._trial_id)
        if has_record(frozen):
            return Job(trial, Record.from_trial(frozen))
        assert self._triangle is not None, "a queued trial of a study's part always has its record"
        shares = params_to_shares(trial.params)
        architecture = self._triangle.at(shares)
        if architecture.digest in taken_digests(self.study):
            trial.set_user_attr("failure", DUPLICATE)
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        record = Record(
            architecture=architecture,
            source="discovered",
            model=f"{self._config.name}#{trial.number}",
            seed=self._config.search.seed,
            rule=[round(share, 4) for share in shares.to_list()],
        )
        job = Job(trial, record)
        self._write(job, record)
        return job

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
