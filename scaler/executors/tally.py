"""What a study has so far, counted anew only where something has changed."""

import optuna
from optuna.trial import FrozenTrial, TrialState

from scaler.record import LEVEL, has_record, is_finished
from scaler.study import storage_of


class Tally:
    """Counts a study's trials; to be read under the study's claim, where they stand still."""

    def __init__(self, study: optuna.Study) -> None:
        self._storage = storage_of(study)
        self._study_id = study._study_id
        self._ended: list[FrozenTrial] = []
        self._read = 0
        self._finished = 0
        self._digests: set[str] = set()
        self._levels: dict[int, int] = {}

    @property
    def finished(self) -> int:
        """Trials that count: see `is_finished`."""
        self._update()
        return self._finished

    @property
    def running(self) -> int:
        """Trials that are being evaluated."""
        return sum(trial.state == TrialState.RUNNING for trial in self._unfinished())

    @property
    def queued(self) -> int:
        """Trials that wait to be evaluated."""
        return sum(trial.state == TrialState.WAITING for trial in self._unfinished())

    @property
    def all(self) -> int:
        """Trials of whatever kind, those that do not count included."""
        return len(self._storage.ended(self._study_id)) + len(self._unfinished())

    @property
    def digests(self) -> set[str]:
        """Digests of the networks that a trial has evaluated, is evaluating or is queued for."""
        self._update()
        return self._digests | {trial.user_attrs["digest"] for trial in self._unfinished() if has_record(trial)}

    def is_taken(self, digest: str) -> bool:
        """Whether a trial has evaluated the network with this digest, is evaluating it or is queued for it."""
        self._update()
        return digest in self._digests or any(
            trial.user_attrs["digest"] == digest for trial in self._unfinished() if has_record(trial)
        )

    def of_level(self, level: int) -> int:
        """Trials for one of the study's budgets that count or are being evaluated."""
        self._update()
        running = [trial for trial in self._unfinished() if trial.state == TrialState.RUNNING]
        return self._levels.get(level, 0) + len([trial for trial in running if trial.params.get(LEVEL, 0) == level])

    def _unfinished(self) -> list[FrozenTrial]:
        return self._storage.unfinished(self._study_id)

    def _update(self) -> None:
        ended = self._storage.ended(self._study_id)
        if ended is not self._ended:
            self._ended, self._read, self._finished, self._digests, self._levels = ended, 0, 0, set(), {}
        for trial in ended[self._read :]:
            if is_finished(trial):
                self._finished += 1
                level = trial.params.get(LEVEL, 0)
                self._levels[level] = self._levels.get(level, 0) + 1
                if has_record(trial):
                    self._digests.add(trial.user_attrs["digest"])
        self._read = len(ended)
