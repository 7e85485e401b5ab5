"""`scaler status` and `scaler reap`, over a study whose trials are in every state."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from scaler import load_study
from scaler.cli import main
from scaler.evaluation import Result
from scaler.executors import Driver
from scaler.leases import Owner
from scaler.record import DRIVER
from scaler.study import open_study, storage_of
from tests.executors.drivers import domain

pytestmark = pytest.mark.usefixtures("tiny")


def scaler(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    printed = capsys.readouterr()
    assert left.value.code == code, printed.err
    return printed.out if code == 0 else printed.err


@pytest.fixture
def driver(tiny: Path) -> Driver:
    """Of six networks one has completed, one was stopped, one has failed, two are running (one of a dead driver)."""
    config = load_study("tiny", {"search.trials": 6, "budget.macs": "400K..4M"})
    driver = Driver(open_study(config), config, domain())
    jobs = [driver.ask() for _ in range(5)]
    for job in jobs:
        assert job is not None
        driver.begin(job)
        driver.report(job, 1, 0.25)
    first, second, third, _, dead = jobs
    driver.tell(first, Result(accuracy=0.75, epochs=2, images_per_second=100.0))
    driver.tell(second, Result(accuracy=0.25, epochs=1, stopped=True, images_per_second=300.0))
    driver.fail(third, "loss not finite in epoch 1")
    owner = Owner(host="node7", pid=12, machine="another machine", started="1", lease=0.0)
    storage_of(driver.study).set_user_attributes(dead.trial._trial_id, {DRIVER: asdict(owner)})
    return driver


@pytest.mark.usefixtures("driver")
def test_status_tells_what_is_going_on(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("tiny/study.toml").open() as file:
        text = file.read()
    Path("tiny/study.toml").write_text(text.replace("trials = 4", "trials = 6").replace('"400K"', '"400K..4M"'))
    lines = scaler(capsys, "status", "tiny").splitlines()
    assert lines[0].startswith("#3 ")
    assert "epoch 1/2" in lines[0]
    assert "accuracy 0.2500" in lines[0]
    assert re.search(r"  last beat \d+ s ago *$", lines[0])
    assert "node7:12" in lines[1]
    assert "dead, last beat" in lines[1]
    assert lines[2] == "3/6 networks  2 running  0 queued  1 completed  1 stopped early  1 failed"
    assert lines[3].startswith("best 0.7500 (#0)  ")
    assert "about 200 images/s" in lines[3]
    assert lines[4] == "failed 1 ×: loss not finite in epoch 1"
    record = json.loads(scaler(capsys, "status", "tiny", "--json"))
    assert (record["completed"], record["stopped"], record["failed"], record["queued"]) == (1, 1, 1, 0)
    assert [network["is_dead"] for network in record["running"]] == [False, True]
    assert record["best"] == [0.75, 0]
    assert 0.5 < record["budget_use"] <= 1
    assert record["seconds_left"] > 0


def test_watching_ends_with_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    config = load_study("tiny", {"search.trials": 4})
    driver = Driver(open_study(config), config, domain())
    for _ in range(4):
        job = driver.ask()
        assert job is not None
        driver.tell(job, Result(accuracy=0.75, epochs=2))
    assert "4/4 networks  0 running" in scaler(capsys, "status", "tiny", "--watch")


@pytest.mark.parametrize("command", ["status", "reap"])
def test_a_study_without_trials_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = scaler(capsys, command, "tiny", code=2)
    assert error.startswith("scaler: study: tiny has no trials in sqlite:///")
    assert error.endswith("; run scaler search first\n")
    assert not Path("runs").exists()


def test_reap_frees_what_the_dead_have_left_and_by_force_all(
    driver: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    out = scaler(capsys, "reap", "tiny")
    assert out.splitlines() == [
        "1 networks queued again: tiny#4",
        "1 are being evaluated by living drivers; --force queues them again as well",
    ]
    assert scaler(capsys, "reap", "tiny").startswith("0 networks queued again\n1 are")
    assert scaler(capsys, "reap", "tiny", "--force") == "1 networks queued again: tiny#3\n"
    study = driver.study
    assert [trial.state.name for trial in study.trials[3:]] == ["FAIL", "FAIL", "WAITING", "WAITING"]
