"""The main job on real images: search, baselines, confirmation, leaderboard, export, and a search that is killed."""

import contextlib
import json
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch
from optuna.trial import TrialState

import scaler
from scaler.board import COLUMNS, unranked
from scaler.record import Record
from scaler.region import Triangle
from scaler.study import existing_study, finished_trials, open_study
from scaler.training import train
from scaler.workflow import domain_of, study_data
from tests.conftest import FULL, TINY_STUDY


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny study has been searched, measured against its baselines and confirmed."""
    folder = tmp_path_factory.mktemp("searched")
    with contextlib.chdir(folder):
        (folder / "tiny.toml").write_text(TINY_STUDY)
        scaler.search("tiny.toml")
        scaler.baselines("tiny.toml")
        scaler.confirm("tiny.toml", top=1, seeds=2)
    return folder


@pytest.fixture
def inside(searched: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(searched)
    return searched


def trials(part: str = "") -> list:
    study = existing_study(scaler.load_study("tiny.toml"), part)
    assert study is not None
    return study.trials


@pytest.mark.usefixtures("inside")
def test_every_trial_is_on_budget_and_none_repeats_another() -> None:
    found = trials()
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 4
    assert all(0.8 * 400_000 < trial.user_attrs["macs"] <= 400_000 for trial in found)
    assert len({(trial.user_attrs["digest"], trial.user_attrs["seed"]) for trial in found}) == 4


@pytest.mark.usefixtures("inside")
def test_baselines_are_the_known_rules_and_the_classic_shape() -> None:
    found = trials("baselines")
    assert [trial.user_attrs["source"] for trial in found].count("rule") == 6
    assert [trial.user_attrs["source"] for trial in found].count("classic") == 1
    rules = {tuple(trial.user_attrs["rule"]) for trial in found if trial.user_attrs["source"] == "rule"}
    assert {(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.3333, 0.3333, 0.3333), (0.1, 0.8, 0.1)} < rules
    assert all(trial.user_attrs["macs"] <= 400_000 for trial in found)


@pytest.mark.usefixtures("inside")
def test_a_second_run_of_anything_trains_nothing() -> None:
    before = [
        (trial.number, trial.datetime_complete) for part in ("", "baselines", "confirm") for trial in trials(part)
    ]
    scaler.search("tiny.toml")
    scaler.baselines("tiny.toml")
    scaler.confirm("tiny.toml", top=1, seeds=2)
    after = [(trial.number, trial.datetime_complete) for part in ("", "baselines", "confirm") for trial in trials(part)]
    assert before == after


@pytest.mark.usefixtures("tiny")
def test_a_baseline_that_the_search_has_trained_is_referenced() -> None:
    config = scaler.load_study("tiny", {"search.trials": 1, "recipe.epochs": 1})
    study = open_study(config)
    study.enqueue_trial(domain_of(config).params((0, 0, 0), Triangle.point(scaler.RULES["width"])))
    scaler.search(config, resume=True)
    assert study.trials[0].user_attrs["rule"] == [0, 1, 0]
    trained = {trial.user_attrs["model"]: trial for trial in scaler.baselines(config).trials}
    width, depth = trained["resnet18 width"], trained["resnet18 depth"]
    assert (width.user_attrs["repeats"], width.value) == (0, study.trials[0].value)
    assert width.user_attrs["weights"] == study.trials[0].user_attrs["weights"]
    assert width.user_attrs["source"] == "rule"
    assert "repeats" not in depth.user_attrs


@pytest.mark.usefixtures("tiny")
def test_baselines_that_are_the_same_network_are_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scaler.scaling.RULES, "uniform", scaler.RULES["width"])
    study = scaler.baselines(scaler.load_study("tiny", {"recipe.epochs": 1}))
    found = {trial.user_attrs["model"]: trial for trial in study.trials}
    width, uniform = found["resnet18 width"], found["resnet18 uniform"]
    assert len(study.trials) == 7
    assert (uniform.user_attrs["repeats"], uniform.value) == (width.number, width.value)
    assert uniform.user_attrs["digest"] == width.user_attrs["digest"]


@pytest.mark.usefixtures("inside")
def test_confirmation_uses_fresh_seeds_and_measures_the_test_split() -> None:
    found = trials("confirm")
    best = max(trials(), key=lambda trial: trial.value)
    assert [trial.user_attrs["seed"] for trial in found] == [1, 2]
    assert {trial.user_attrs["digest"] for trial in found} == {best.user_attrs["digest"]}
    assert all(trial.user_attrs["test_images"] == 360 for trial in found)
    assert all(trial.user_attrs["repeats"] == best.number for trial in found)
    assert not any("test_accuracy" in trial.user_attrs for trial in [*trials(), *trials("baselines")])


@pytest.mark.usefixtures("inside")
def test_the_leaderboard_holds_everything_best_first() -> None:
    table = scaler.leaderboard(["tiny.toml"])
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 11
    assert table["n_seeds"][0] == 2
    others = table[table["n_seeds"] == 0]
    assert others["accuracy"].is_monotonic_decreasing
    confirmed = len(table) - len(others)
    assert others["rank"].tolist() == [1 + confirmed + sum(others["accuracy"] > value) for value in others["accuracy"]]
    assert set(table["source"]) == {"discovered", "rule", "classic"}
    confirmed = table[table["n_seeds"] > 0]
    tests = [trial.user_attrs["test_accuracy"] for trial in trials("confirm")]
    assert confirmed["test_accuracy"].iloc[0] == pytest.approx(sum(tests) / 2)
    assert unranked(["tiny.toml"]) == []
    study = existing_study(scaler.load_study("tiny.toml"))
    pd.testing.assert_frame_equal(table, scaler.leaderboard([study]))


@pytest.mark.usefixtures("inside")
def test_the_leaderboard_counts_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY_STUDY)
    study = open_study(scaler.load_study("tiny.toml"))
    study.tell(study.ask(), state=TrialState.FAIL)
    study.ask()
    assert unranked(["tiny.toml"]) == ["1 failed: unknown reason", "1 unfinished"]
    assert len(scaler.leaderboard(["tiny.toml"])) == 0


def test_an_export_gives_the_trained_networks_logits_bit_by_bit(inside: Path, tmp_path: Path) -> None:
    found = scaler.export("tiny.toml", "best", tmp_path / "out")
    assert found.max_difference == 0.0
    assert (found.tier, found.weights, found.images) == ("stock", "confirm", 720)
    content = json.loads((found.folder / "config.json").read_text())
    network = scaler.from_dict(content["scaler"]["architecture"])
    config = scaler.load_study("tiny.toml")
    _, data = study_data(config)
    trained, _ = train(network, data, config.recipe, content["scaler"]["seed"])
    loaded = timm.create_model(f"local-dir:{found.folder}", pretrained=True).eval()
    images = torch.randn(16, 1, network.resolution, network.resolution)
    with torch.inference_mode():
        assert torch.equal(trained.to(memory_format=torch.contiguous_format)(images), loaded(images))


@pytest.mark.parametrize("repeat", range(4 if FULL else 1))
def test_a_killed_search_is_resumed_without_loss(tiny: Path, repeat: int) -> None:
    command = [sys.executable, "-m", "scaler", "search", "tiny", "--trials", "8"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    config = scaler.load_study("tiny", {"search.trials": 8})
    wanted = random.Random(repeat).randint(1, 3)
    while len(list((config.folder / "artifacts").glob("*"))) < wanted:
        assert process.poll() is None, "the search ended before it was killed"
        time.sleep(0.05)
    time.sleep(random.Random(repeat).random())
    process.kill()
    process.wait()
    killed = existing_study(config)
    assert killed is not None
    completed = {trial.number: trial.value for trial in killed.trials if trial.value is not None}
    assert wanted - 1 <= len(completed) < 8
    subprocess.run([*command, "--resume"], check=True, stdout=subprocess.DEVNULL)
    study = existing_study(config)
    assert study is not None
    finished = finished_trials(study)
    assert len(finished) == 8
    assert {trial.state for trial in finished} == {TrialState.COMPLETE}
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    assert completed.items() <= {trial.number: trial.value for trial in finished}.items()
    assert len({trial.user_attrs["digest"] for trial in finished}) == 8


def test_a_trial_that_died_while_its_record_was_written_is_no_obstacle(tiny: Path) -> None:
    config = scaler.load_study("tiny", {"search.trials": 2, "recipe.epochs": 1})
    study = open_study(config)
    record = Record(architecture=domain_of(config).region().root, source="discovered", model="tiny#0", seed=0)
    attributes = list(record.to_attributes().items())
    for written in range(len(attributes)):
        trial = study.ask(domain_of(config).distributions)
        for name, value in attributes[:written]:
            trial.set_user_attr(name, value)
    scaler.search(config, resume=True)
    assert [trial.state for trial in finished_trials(study)] == [TrialState.COMPLETE] * 2
    assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))


_PRIVATE = ["unshare", "--user", "--map-root-user", "--mount"]
"""Begins a command that may mount what it alone sees."""


def _may_mount() -> bool:
    try:
        return subprocess.run([*_PRIVATE, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not _may_mount(), reason="no small disk can be mounted; test_training has a limit of the file size")
def test_a_full_disk_costs_the_checkpoints_and_no_network(tiny: Path) -> None:
    config = scaler.load_study("tiny", {"search.trials": 2})
    disk = config.folder / "checkpoints"
    disk.mkdir(parents=True)
    search = f"{shlex.quote(sys.executable)} -m scaler search tiny --trials 2"
    command = f"mount -t tmpfs -o size=64k tmpfs {shlex.quote(str(disk))} && {search}"
    done = subprocess.run([*_PRIVATE, "sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    study = existing_study(config)
    assert study is not None
    assert [trial.state for trial in finished_trials(study)] == [TrialState.COMPLETE] * 2
    log = (config.folder / "scaler.log").read_text(encoding="utf-8")
    assert "the training cannot be saved" in log
    assert "No space left on device" in log


def test_ctrl_c_says_how_to_resume_and_a_plain_search_does_not_go_on(tiny: Path) -> None:
    command = [sys.executable, "-m", "scaler", "search", "tiny", "--trials", "12"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdout is not None
    assert "accuracy" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "of 12 trials; continue it with --resume" in again.stderr
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert "best of 12 trials" in done.stdout
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "tiny is finished: 12 of 12 trials" in finished.stdout
