"""What the leaderboard says of each trial by itself, as a frame; of finished trials it is kept from call to call.

A finished trial never changes, so what has been made of thousands of them is read back from a file in the cache folder,
in Arrow's format. Without the file, or with one that does not fit, everything is made anew from the storage.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pyarrow as pa
from optuna.trial import TrialState
from pyarrow import feather

from scaler.board.columns import network_columns
from scaler.budget import Budget
from scaler.cache_folder import cache_folder
from scaler.record import Record, has_record
from scaler.trials import Trial, read_ends, read_trials, storage_url

VALUE = "value"
"""Of the study's objective."""

_WORTH_KEEPING = 500
"""Finished trials that are read in much less time than it takes to notice."""

_RECORDED = (
    *("model", "source", "accuracy", "balanced_accuracy", "macro_f1", "test_accuracy"),
    *("epochs", "train_seconds", "images_per_second", "device"),
)
_NETWORK = (
    *("family", "resolution", "depths", "widths", "macs", "params", "activations", "export_tier", "digest"),
    *("rule", "budget"),
)
_EPOCH = datetime(1970, 1, 1)
_ID, _END = "id", "end"
_COLUMNS = (_ID, _END, "trial", "state", "failure", "ran", VALUE, *_RECORDED, *_NETWORK)
_NUMBERS = {
    _ID: "int64",
    _END: "Int64",
    "trial": "int64",
    "ran": "bool",
    **dict.fromkeys(("resolution", "macs", "params", "activations", "epochs"), "Int64"),
    **dict.fromkeys((VALUE, "accuracy", "balanced_accuracy", "macro_f1", "test_accuracy"), "float64"),
    **dict.fromkeys(("train_seconds", "images_per_second"), "float64"),
}


def trial_rows(study: optuna.Study) -> pd.DataFrame:
    """A row for each trial, in the order of their numbers.

    `trial` is its number, `state` and `failure` are how it ended, `ran` says whether it ran its full recipe and has its
    record; then the rest is what that record says, by the names of the leaderboard's columns.
    """
    url = storage_url(study)
    if url is None:
        return rows_of(read_trials(study))
    ends = {trial: _microseconds(end) for trial, end in read_ends(study).items()}
    file = _file(url, study.study_name)
    known = _kept(file, ends)
    missing = ends.keys() - set(known[_ID])
    rows = rows_of(read_trials(study, missing)) if missing else known[:0]
    if len(known):
        rows = pd.concat([known, rows], ignore_index=True) if len(rows) else known
        rows = rows.sort_values("trial", ignore_index=True)
    if rows[_END].notna().sum() - len(known) >= _WORTH_KEEPING:
        _keep(file, rows[rows[_END].notna()])
    return rows


def rows_of(trials: Iterable[Trial]) -> pd.DataFrame:
    """The same of trials that have been read already."""
    frame = pd.DataFrame([_row(trial) for trial in trials], columns=[*_COLUMNS])
    return frame.astype(_NUMBERS)


def _row(trial: Trial) -> dict[str, Any]:
    row = {
        _ID: trial._trial_id,
        _END: _microseconds(trial.datetime_complete),
        "trial": trial.number,
        "state": trial.state.name,
        "failure": trial.user_attrs.get("failure"),
        "ran": trial.state == TrialState.COMPLETE and has_record(trial),
        VALUE: trial.value,
    }
    if not row["ran"]:
        return row
    record = Record.from_trial(trial)
    return {
        **row,
        **network_columns(record.architecture),
        **{name: getattr(record, name) for name in _RECORDED},
        "rule": "/".join(f"{share:.2f}" for share in record.rule) if record.rule else "",
        "budget": str(Budget(**record.budget)) if record.budget else "",
    }


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _file(url: str, study: str) -> Path:
    """Where the rows of one study in one database are kept, as this version of scaler makes them."""
    key = "\n".join((url, study, version("scaler-nas"), *_COLUMNS))
    return cache_folder() / "trials" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.arrow"


def _kept(file: Path, ends: dict[int, int | None]) -> pd.DataFrame:
    """The kept rows of trials that ended when the storage says they did: another database may lie there by now."""
    try:
        table: pd.DataFrame = feather.read_table(file, memory_map=False).to_pandas()
        kept = table[[*_COLUMNS]].astype(_NUMBERS)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):  # none, or damaged
        return rows_of([])
    return kept[kept[_END] == kept[_ID].map(ends)]


def _keep(file: Path, rows: pd.DataFrame) -> None:
    """Writes the rows, whole or not at all; where nothing can be written, nothing is kept."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent)
        try:
            with open(descriptor, "wb") as stream:
                feather.write_feather(pa.Table.from_pandas(rows, preserve_index=False), stream)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
