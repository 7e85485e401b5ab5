"""What is kept of finished trials from call to call: the same table, sooner, and never of another database."""

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy
from optuna.storages._rdb.models import TrialModel, TrialUserAttributeModel

import scaler
from scaler.board import unranked
from scaler.cache_folder import cache_folder
from scaler.config import StudyConfig, load_study
from scaler.study import open_study, storage_of
from tests.bench.board import fill
from tests.board.test_table import small_study

ATTRIBUTE, TRIAL = TrialUserAttributeModel, TrialModel


@pytest.fixture
def many(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """A study of six hundred trials, and a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny / "cache"))
    config = load_study("tiny", {"name": "many"})
    fill(config, 600)
    return config


def execute(config: StudyConfig, statement: sqlalchemy.Executable) -> None:
    with storage_of(open_study(config)).engine.begin() as connection:
        connection.execute(statement)


def kept() -> list[Path]:
    return list((cache_folder() / "trials").glob("*"))


def test_finished_trials_are_read_once(many: StudyConfig) -> None:
    table, left_out = scaler.leaderboard([many]), unranked([many])
    assert len(table) == 360
    assert left_out == ["120 failed: unknown reason", "120 stopped early"]
    assert len(kept()) == 1
    execute(many, sqlalchemy.delete(ATTRIBUTE))  # what is kept is all there is now
    pd.testing.assert_frame_equal(scaler.leaderboard([many]), table)
    assert unranked([many]) == left_out


def test_what_has_come_since_is_in_the_table(many: StudyConfig) -> None:
    before = scaler.leaderboard([many])
    study = open_study(many)
    study.add_trial(study.trials[0])
    study.ask()
    after = scaler.leaderboard([many])
    assert after["trial"].sort_values().tolist() == [*before["trial"].sort_values(), 600]
    assert "1 unfinished" in unranked([many])


def test_another_database_in_the_same_place_is_not_mistaken(many: StudyConfig) -> None:
    scaler.leaderboard([many])
    name = sqlalchemy.update(ATTRIBUTE).where(ATTRIBUTE.trial_id == 1, ATTRIBUTE.key == "model")
    execute(many, name.values(value_json='"another"'))
    assert "another" not in set(scaler.leaderboard([many])["model"])  # a finished trial does not change
    execute(many, sqlalchemy.update(TRIAL).where(TRIAL.trial_id == 1).values(datetime_complete=datetime(2026, 1, 1)))
    assert "another" in set(scaler.leaderboard([many])["model"])


@pytest.mark.parametrize("damage", [b"", b"no table", b"half"])
def test_a_damaged_file_is_made_anew(many: StudyConfig, damage: bytes) -> None:
    table = scaler.leaderboard([many])
    (file,) = kept()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if damage == b"half" else damage)
    pd.testing.assert_frame_equal(scaler.leaderboard([many]), table)
    assert file.read_bytes() == whole


def test_where_nothing_can_be_written_nothing_is_kept(many: StudyConfig) -> None:
    cache_folder().parent.write_text("a file")
    assert len(scaler.leaderboard([many])) == 360


@pytest.mark.usefixtures("many")
def test_few_trials_are_not_worth_a_file() -> None:
    assert len(scaler.leaderboard([small_study("first", {"depth": 0.8})])) == 1
    assert kept() == []
