"""A study whose winner has been searched, confirmed with two seeds and trained to the end."""

import contextlib
from pathlib import Path

import pytest

import scaler
from scaler.study import existing_study
from tests.conftest import TINY_STUDY


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the study."""
    folder = tmp_path_factory.mktemp("trained")
    with contextlib.chdir(folder):
        (folder / "tiny.toml").write_text(TINY_STUDY)
        scaler.search("tiny.toml", overrides={"search.trials": 2})
        scaler.confirm("tiny.toml", top=1, seeds=2)
        scaler.train_final("tiny.toml", epochs=2)
        scaler.train_final("tiny.toml", epochs=3, test=True)
    return folder


@pytest.fixture
def inside(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    return trained


def trials(part: str = "") -> list:
    study = existing_study(scaler.load_study("tiny.toml"), part)
    assert study is not None
    return study.trials
