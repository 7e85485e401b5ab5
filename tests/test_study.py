import json
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from scaler import InputError, classic, load_study
from scaler.record import Record
from scaler.study import best_trial, existing_study, open_study, stored_config
from tests.data.conftest import write_classes

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.mark.parametrize(
    "change",
    [{"budget.macs": "500K"}, {"recipe.epochs": 3}, {"data.seed": 1}, {"search.growth": 8.0}, {"recipe.shift": 0.2}],
)
def test_another_question_needs_another_name(change: dict) -> None:
    open_study(load_study("tiny"))
    name = next(iter(change))
    with pytest.raises(InputError, match=rf"^{name}: .*--name"):
        open_study(load_study("tiny", change))
    open_study(load_study("tiny", {**change, "name": "other"}))
    open_study(load_study("tiny", {"search.trials": 99}))


def test_where_the_data_lies_is_no_part_of_the_question(tmp_path: Path) -> None:
    write_classes(tmp_path / "here" / "photos", {"a": 9, "b": 9})
    photos = {"data.name": "folder:photos", "data.root": str(tmp_path / "here")}
    open_study(load_study("tiny", photos))
    (tmp_path / "here").rename(tmp_path / "there")
    moved = {"data.root": str(tmp_path / "there"), "data.cache": "x", "data.cache_limit": 1.0, "data.workers": 3}
    config = load_study("tiny", {**photos, **moved})
    open_study(config)
    assert load_study(config.folder) == config
    with pytest.raises(InputError, match=r"^data\.name: "):
        open_study(load_study("tiny"))


def test_a_study_from_before_a_setting_was_there_goes_on() -> None:
    config = load_study("tiny")
    study = open_study(config)
    stored = study.user_attrs["scaler"]
    del stored["config"]["data"]["bad_images"]
    study.set_user_attr("scaler", stored)
    open_study(config)
    with pytest.raises(InputError, match=r"^data\.bad_images: .* with 'error', not 'skip'"):
        open_study(load_study("tiny", {"data.bad_images": "skip"}))


def test_a_study_of_an_older_schema_is_refused() -> None:
    config = load_study("tiny")
    study = open_study(config)
    study.set_user_attr("scaler", {**study.user_attrs["scaler"], "schema": 0})
    for read in (open_study, existing_study):
        with pytest.raises(InputError, match="tiny has schema 0, this scaler reads 2"):
            read(config)


def test_an_optuna_study_of_somebody_else_is_refused() -> None:
    config = load_study("tiny")
    config.folder.mkdir(parents=True)
    foreign = optuna.create_study(storage=config.storage_url, study_name="tiny")
    foreign.enqueue_trial({"x": 1})
    with pytest.raises(InputError, match="was not made by scaler"):
        open_study(config)
    with pytest.raises(InputError, match="was not made by scaler"):
        stored_config(foreign)


def test_readers_create_nothing() -> None:
    config = load_study("tiny")
    assert existing_study(config) is None
    assert not config.folder.exists()
    open_study(config)
    assert existing_study(config) is not None
    assert existing_study(config, "confirm") is None


def test_a_storage_url_is_not_written_down() -> None:
    config = load_study("tiny", {"storage.url": "sqlite:///elsewhere.db?password=hunter2"})
    study = open_study(config)
    assert "hunter2" not in json.dumps(study.user_attrs) + (config.folder / "study.toml").read_text()


def test_a_storage_that_cannot_be_opened_is_named() -> None:
    with pytest.raises(InputError, match=r"^storage\.url: the storage cannot be opened"):
        open_study(load_study("tiny", {"storage.url": "nosuchdb://x"}))


def test_a_record_survives_its_trial() -> None:
    study = open_study(load_study("tiny"))
    record = Record(
        architecture=classic("resnet18"), source="rule", model="m", seed=3, rule=[1.0, 0.0, 0.0], epochs=2, repeats=0
    )
    study.enqueue_trial({}, user_attrs=record.to_attributes())
    assert Record.from_trial(study.trials[0]) == record
    assert study.trials[0].user_attrs["macs"] == 1814073344
    assert study.trials[0].user_attrs["digest"] == record.architecture.digest


def test_the_best_trial_is_the_first_of_equals() -> None:
    study = open_study(load_study("tiny"))
    with pytest.raises(InputError, match="no completed trial yet"):
        best_trial(study)
    for value in (0.5, 0.7, 0.7):
        study.tell(study.ask(), value)
    study.tell(study.ask(), state=TrialState.FAIL)
    assert best_trial(study).number == 1
