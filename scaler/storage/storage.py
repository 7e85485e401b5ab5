"""Optuna's storage as many drivers use it: claimed by one at a time, read by what has changed, patient."""

import json
import threading
import weakref
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from scaler.storage.patience import patiently

_T = TypeVar("_T")

_TRIALS: sqlalchemy.Table = models.TrialModel.__table__
_STATE = sqlalchemy.type_coerce(_TRIALS.c.state, sqlalchemy.String)
"""A state's name: to make a thousand of them members of an enumeration takes longer than to read them."""
_NEW_PARAM = sqlalchemy.insert(models.TrialParamModel.__table__)  # made once: to make it takes longer than to run it
_VALUES: sqlalchemy.Table = models.TrialValueModel.__table__

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)
_EVERY = 2**31 - 1
"""Larger than every trial's id."""
_OUT_OF_ORDER = 256
"""Rows whose ids may become visible after that of a later one, because they are written side by side."""
_STOPPED = 120
"""Seconds after which PostgreSQL takes a claim from a driver that has been stopped in the middle of it."""


@dataclass(slots=True)
class _View:
    """What is known of a study's trials.

    unfinished  by id, those that are running or queued
    ended       in the order in which their end was seen; it only grows
    last        highest trial id seen
    values      highest id seen of what running trials have reported
    attributes  highest id seen of what pruners noted about them
    """

    unfinished: dict[int, FrozenTrial] = field(default_factory=dict)
    ended: list[FrozenTrial] = field(default_factory=list)
    last: int = -1
    values: int = 0
    attributes: int = 0


class Storage(_CachedStorage):
    """Optuna's relational storage, read incrementally.

    `claimed` runs what must not be done by two drivers at once, as one transaction. Within it the trials are read once,
    at its start: nobody else can change them but by reporting epochs.

    backend   the database
    patience  seconds that `claimed` and `patiently` wait for a database that is away
    """

    def __init__(self, backend: RDBStorage, *, patience: float) -> None:
        super().__init__(backend)
        self.engine = backend.engine
        self._patience = patience
        self._views: dict[int, _View] = {}
        self._distributions: dict[tuple[int, str], BaseDistribution] = {}
        self._claimant: int | None = None
        self._connection: Connection | None = None
        weakref.finalize(self, self.engine.dispose)

    # -- claims -------------------------------------------------------------------------------------------------------

    def claimed(self, study_id: int, work: Callable[[], _T], *, about: int | None = None) -> _T:
        """What `work` returns, done under the study's claim: it is recorded as a whole or, if it raises, not at all.

        about  the id of the one unfinished trial that the work is about, if there is such a one: of a thousand others
               it is then not asked whether they have changed

        It is done again if the database goes away meanwhile. Raises `WorkError` if that does not come back.
        """

        def attempt() -> _T:
            with self._claim(study_id, about):
                return work()

        return self.patiently(attempt)

    def patiently(self, work: Callable[[], _T]) -> _T:
        """What `work` returns; it is done again while the database cannot be reached. Raises `WorkError` in the end."""
        return patiently(work, patience=self._patience, url=self._backend.url)

    @contextmanager
    def _claim(self, study_id: int, about: int | None) -> Iterator[None]:
        """A transaction that all of this thread's reading and writing is part of, with the study's lock.

        If its connection is lost so is the lock, and nothing of it is recorded.
        """
        assert self._claimant is None, "a claim within a claim"
        sessions = self._backend.scoped_session
        with self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                _lock(connection, study_id)
                sessions.remove()
                sessions(bind=connection, join_transaction_mode="rollback_only")
                self._claimant, self._connection = threading.get_ident(), connection
                if about is None or self._has_changed(about):
                    self._refresh(study_id)
                yield
                sessions.remove()
                transaction.commit()
            except BaseException:
                self._forget()
                raise
            finally:
                self._claimant = self._connection = None
                sessions.remove()

    @property
    def _is_claimed(self) -> bool:
        return self._claimant == threading.get_ident()

    # -- reading ------------------------------------------------------------------------------------------------------

    def ended(self, study_id: int) -> list[FrozenTrial]:
        """The finished trials in the order in which their end was seen: a list that only grows.

        It is another list after the view of the study had to be made anew.
        """
        return self._view(study_id).ended

    def unfinished(self, study_id: int) -> list[FrozenTrial]:
        """The trials that are running or queued."""
        return list(self._view(study_id).unfinished.values())

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if deepcopy or states is None or any(state in states for state in TrialState if state.is_finished()):
            return super().get_all_trials(study_id, deepcopy, states)
        self._read_trials_from_remote_storage(study_id)
        with self._lock:
            found = [trial for trial in self._view(study_id).unfinished.values() if trial.state in states]
        return sorted(found, key=lambda trial: trial.number)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        if self._is_claimed and trial_id in self._trial_id_to_study_id_and_number:
            return self._known(trial_id)
        return super().get_trial(trial_id)

    def _known(self, trial_id: int) -> FrozenTrial:
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        return self._studies[study_id].trials[number]

    def _view(self, study_id: int) -> _View:
        return self._views.setdefault(study_id, _View())

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if not self._is_claimed:
            self._refresh(study_id)
            self._read_reports(study_id)

    def _has_changed(self, trial_id: int) -> bool:
        """Whether a trial's state is another than the one that is known, if one is."""
        if trial_id not in self._trial_id_to_study_id_and_number:
            return True
        with self.connection() as connection:
            state = connection.execute(sqlalchemy.select(_STATE).where(_TRIALS.c.trial_id == trial_id)).scalar_one()
        return bool(state != self._known(trial_id).state.name)

    def _refresh(self, study_id: int) -> None:
        """Reads the trials that are new or whose state has changed."""
        self.get_study_name_from_id(study_id)  # makes the cache's entry
        with self._lock:
            view = self._view(study_id)
            wanted = sqlalchemy.select(_TRIALS.c.trial_id, _STATE).where(
                _TRIALS.c.study_id == study_id,
                sqlalchemy.or_(_TRIALS.c.state.in_(_UNFINISHED), _TRIALS.c.trial_id > view.last),
            )
            with self.connection() as connection:
                states: dict[int, str] = {row[0]: row[1] for row in connection.execute(wanted)}
            changed = {
                found
                for found, state in states.items()
                if found not in view.unfinished or view.unfinished[found].state.name != state
            } | (view.unfinished.keys() - states.keys())
            if changed:
                after = -1 if view.last == -1 else _EVERY
                self._add_trials_to_cache(study_id, self._backend._get_trials(study_id, None, changed, after))
                view.last = max(view.last, *changed)

    def _read_reports(self, study_id: int) -> None:
        """Reads what running trials have reported and what pruners have noted about them."""
        value: Any = models.TrialIntermediateValueModel  # Optuna's columns have no types that mypy could see
        attribute: Any = models.TrialSystemAttributeModel
        with self._lock, self._session() as session:
            view = self._view(study_id)
            running = sqlalchemy.select(models.TrialModel.trial_id).where(
                models.TrialModel.study_id == study_id, models.TrialModel.state == TrialState.RUNNING
            )
            values = sqlalchemy.select(value).where(
                value.trial_intermediate_value_id > view.values - _OUT_OF_ORDER, value.trial_id.in_(running)
            )
            for row in session.scalars(values):
                view.values = max(view.values, row.trial_intermediate_value_id)
                if row.trial_id in view.unfinished:
                    view.unfinished[row.trial_id].intermediate_values[row.step] = (
                        value.stored_repr_to_intermediate_value(row.intermediate_value, row.intermediate_value_type)
                    )
            attributes = sqlalchemy.select(attribute).where(
                attribute.trial_system_attribute_id > view.attributes - _OUT_OF_ORDER, attribute.trial_id.in_(running)
            )
            for noted in session.scalars(attributes):
                view.attributes = max(view.attributes, noted.trial_system_attribute_id)
                if noted.trial_id in view.unfinished:
                    view.unfinished[noted.trial_id].system_attrs[noted.key] = json.loads(noted.value_json)

    def _add_trials_to_cache(self, study_id: int, trials: list[FrozenTrial]) -> None:
        view, known = self._view(study_id), self._studies[study_id].trials
        for trial in trials:
            if not trial.state.is_finished():
                view.unfinished[trial._trial_id] = trial
            elif trial.number not in known or not known[trial.number].state.is_finished():
                view.unfinished.pop(trial._trial_id, None)
                view.ended.append(trial)
        super()._add_trials_to_cache(study_id, trials)

    def _forget(self) -> None:
        """Makes the view of the trials anew: what was written has been undone."""
        with self._lock:
            self._studies.clear()
            self._views.clear()
            self._distributions.clear()
            self._trial_id_to_study_id_and_number.clear()
            self._study_id_and_number_to_trial_id.clear()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """This thread's session: within a claim a part of its transaction."""
        session = self._backend.scoped_session()
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for statements of one's own: within a claim that of the claim, else a transaction by itself."""
        if self._is_claimed and self._connection is not None:
            yield self._connection
        else:
            with self.engine.begin() as connection:
                yield connection

    # -- writing ------------------------------------------------------------------------------------------------------

    def set_user_attributes(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Writes those attributes of an unfinished trial that are new, all at once: Optuna writes one a transaction."""
        if self._is_claimed:
            known = self._known(trial_id).user_attrs
            attributes = {key: value for key, value in attributes.items() if key not in known or known[key] != value}
        if not attributes:
            return
        model = models.TrialUserAttributeModel
        dialect = self.engine.dialect.name
        insert: Any = getattr(sqlalchemy.dialects, dialect).insert(model)
        upsert = insert.on_conflict_do_update(
            index_elements=[model.trial_id, model.key], set_={"value_json": insert.excluded.value_json}
        )
        texts = {key: json.dumps(value) for key, value in attributes.items()}
        rows = [{"trial_id": trial_id, "key": key, "value_json": text} for key, text in texts.items()]
        with self.connection() as connection:
            if not self._is_claimed:
                wanted = sqlalchemy.select(_TRIALS.c.state).where(_TRIALS.c.trial_id == trial_id)
                self.check_trial_is_updatable(trial_id, connection.execute(wanted).scalar_one())
            connection.execute(upsert, rows)
        self._note(
            trial_id, lambda trial: trial.user_attrs.update({key: json.loads(text) for key, text in texts.items()})
        )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_user_attr(trial_id, key, value)
        self._note(trial_id, lambda trial: trial.user_attrs.update({key: value}))

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        super().set_trial_system_attr(trial_id, key, value)
        self._note(trial_id, lambda trial: trial.system_attrs.update({key: value}))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._note(trial_id, lambda trial: trial.intermediate_values.update({step: intermediate_value}))

    def set_trial_param(self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any) -> None:
        place = self._trial_id_to_study_id_and_number.get(trial_id)
        known = self._distributions.get((place[0], param_name)) if place and self._is_claimed else None
        if known == distribution:
            self.check_trial_is_updatable(trial_id, self._known(trial_id).state)
            row = {
                "trial_id": trial_id,
                "param_name": param_name,
                "param_value": param_value_internal,
                "distribution_json": distribution_to_json(distribution),
            }
            with self.connection() as connection:
                connection.execute(_NEW_PARAM, row)
        else:  # Optuna sees to it that the study's trials agree on what the parameter is
            super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
            if place:
                self._distributions[place[0], param_name] = distribution

        def note(trial: FrozenTrial) -> None:
            trial._distributions[param_name] = distribution
            trial.params[param_name] = distribution.to_external_repr(param_value_internal)

        self._note(trial_id, note)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        if not self._is_claimed:
            return super().set_trial_state_values(trial_id, state, values)
        trial = self._known(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        if state == TrialState.RUNNING and trial.state != TrialState.WAITING:
            return False
        now = datetime.now()
        at = now.astimezone(UTC).replace(tzinfo=None)  # as Optuna stores it
        changes = {"state": state, "datetime_complete" if state.is_finished() else "datetime_start": at}
        with self.connection() as connection:
            connection.execute(sqlalchemy.update(_TRIALS).where(_TRIALS.c.trial_id == trial_id).values(changes))
            for objective, value in enumerate(values or ()):
                stored, kind = models.TrialValueModel.value_to_stored_repr(value)
                row = {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}
                connection.execute(sqlalchemy.insert(_VALUES).values(row))
        with self._lock:
            trial.state = state
            if values is not None:
                trial.values = list(values)
            if state.is_finished():
                trial.datetime_complete = now
                view = self._view(self._trial_id_to_study_id_and_number[trial_id][0])
                view.ended.append(view.unfinished.pop(trial_id))
            else:
                trial.datetime_start = now
        return True

    def _note(self, trial_id: int, change: Callable[[FrozenTrial], None]) -> None:
        """Brings what is known of an unfinished trial up to date with what was written."""
        with self._lock:
            place = self._trial_id_to_study_id_and_number.get(trial_id)
            trial = self._view(place[0]).unfinished.get(trial_id) if place else None
            if trial is not None:
                change(trial)


def _lock(connection: Connection, study_id: int) -> None:
    """Takes a study's lock, which the end of the transaction or of the connection, however it comes, gives back."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    limit = f"SET LOCAL idle_in_transaction_session_timeout = '{_STOPPED}s'"
    connection.exec_driver_sql(limit)
    connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(study_id)))
