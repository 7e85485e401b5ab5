"""All trials of a study in three queries.

Optuna's own loading makes an object of every attribute, parameter and report: a table of ten thousand trials would wait
for it many times as long as for the database.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import (
    TrialIntermediateValueModel,
    TrialModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.trial import TrialState

_TRIAL = TrialModel.__table__
_FEW = 1000
"""Trials that are asked for by their ids; of more, the whole study is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What tables say of a trial, by Optuna's names for it.

    value  of the objective; None if there is none
    """

    _trial_id: int
    number: int
    state: TrialState
    value: float | None
    user_attrs: dict[str, Any]
    datetime_start: datetime | None
    datetime_complete: datetime | None


def read_trials(study: optuna.Study, ids: Collection[int] | None = None) -> list[Trial]:
    """The trials in the order of their numbers; with `ids`, those that Optuna's storage has under them."""
    engine = _engine(study)
    if engine is None:
        return [
            Trial(
                _trial_id=trial._trial_id,
                number=trial.number,
                state=trial.state,
                value=trial.value,
                user_attrs=trial.user_attrs,
                datetime_start=trial.datetime_start,
                datetime_complete=trial.datetime_complete,
            )
            for trial in study.get_trials(deepcopy=False)
            if ids is None or trial._trial_id in ids
        ]
    attribute, value = TrialUserAttributeModel.__table__, TrialValueModel.__table__
    wanted = _TRIAL.c.study_id == study._study_id
    if ids is not None and len(ids) <= _FEW:
        wanted &= _TRIAL.c.trial_id.in_(ids)
    with engine.connect() as connection:
        rows = connection.execute(
            sqlalchemy.select(
                _TRIAL.c.trial_id,
                _TRIAL.c.number,
                _TRIAL.c.state,
                _TRIAL.c.datetime_start,
                _TRIAL.c.datetime_complete,
                value.c.value,
                value.c.value_type,
            )
            .join(value, (value.c.trial_id == _TRIAL.c.trial_id) & (value.c.objective == 0), isouter=True)
            .where(wanted)
            .order_by(_TRIAL.c.number)
        ).all()
        attributes: dict[int, dict[str, Any]] = {row[0]: {} for row in rows}
        for trial_id, key, text in connection.execute(
            sqlalchemy.select(attribute.c.trial_id, attribute.c.key, attribute.c.value_json)
            .join(_TRIAL, _TRIAL.c.trial_id == attribute.c.trial_id)
            .where(wanted)
            .order_by(attribute.c.trial_user_attribute_id)
        ):
            if trial_id in attributes:  # else it has begun since
                attributes[trial_id][key] = json.loads(text)
    return [
        Trial(
            _trial_id=trial_id,
            number=number,
            state=state,
            value=None if kind is None else TrialValueModel.stored_repr_to_value(stored, kind),
            user_attrs=attributes[trial_id],
            datetime_start=began,
            datetime_complete=ended,
        )
        for trial_id, number, state, began, ended, stored, kind in rows
        if ids is None or trial_id in ids
    ]


def read_ends(study: optuna.Study) -> dict[int, datetime | None]:
    """When each trial ended, by its id in Optuna's storage; None of those that have not."""
    engine = _engine(study)
    if engine is None:
        return {trial._trial_id: trial.datetime_complete for trial in study.get_trials(deepcopy=False)}
    wanted = sqlalchemy.select(_TRIAL.c.trial_id, _TRIAL.c.datetime_complete)
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(wanted.where(_TRIAL.c.study_id == study._study_id))}


def read_curves(study: optuna.Study) -> dict[int, dict[int, float]]:
    """What the trials reported: by the trial's number, the value after each epoch."""
    engine = _engine(study)
    if engine is None:
        return {trial.number: trial.intermediate_values for trial in study.get_trials(deepcopy=False)}
    report = TrialIntermediateValueModel.__table__
    curves: dict[int, dict[int, float]] = {}
    with engine.connect() as connection:
        for number, step, value, kind in connection.execute(
            sqlalchemy.select(
                _TRIAL.c.number, report.c.step, report.c.intermediate_value, report.c.intermediate_value_type
            )
            .join(_TRIAL, _TRIAL.c.trial_id == report.c.trial_id)
            .where(_TRIAL.c.study_id == study._study_id)
            .order_by(_TRIAL.c.number, report.c.step)
        ):
            found = TrialIntermediateValueModel.stored_repr_to_intermediate_value(value, kind)
            curves.setdefault(number, {})[step] = found
    return curves


def storage_url(study: optuna.Study) -> str | None:
    """Which database holds the study, without its password; None if none does, as in memory."""
    engine = _engine(study)
    return None if engine is None else str(engine.url)


def _engine(study: optuna.Study) -> sqlalchemy.Engine | None:
    """The database that holds the study, or None if it is held otherwise, as in memory."""
    storage = study._storage
    backend = getattr(storage, "_backend", storage)  # Optuna puts a cache before a database
    return backend.engine if isinstance(backend, RDBStorage) else None
