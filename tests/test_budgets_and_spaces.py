"""A study over several budgets and spaces, a table in place of trainings: what is asked for is what is done."""

import json
from pathlib import Path

import pytest
from optuna.trial import TrialState

import scaler
from scaler import Budget, InputError, workflow
from scaler.config import StudyConfig
from scaler.executors import Driver, run_locally
from scaler.record import LEVEL, Record
from scaler.study import best_trial, completed_trials, find_trial, finished_trials, open_study
from scaler.workflow import BASELINES, baseline, domain_of
from tests.conftest import TINY_STUDY
from tests.executors.evaluators import table

pytestmark = pytest.mark.usefixtures("tiny")


def searched(**settings: object) -> tuple[StudyConfig, list]:
    """The trials of a search of the tiny study with other settings, priced by a table."""
    config = scaler.load_study("tiny", {name.replace("__", "."): value for name, value in settings.items()})
    study = open_study(config)
    run_locally(Driver(study, config, domain_of(config)), table)
    return config, study.trials


def test_each_budget_gets_its_share_of_trials_and_its_own_best() -> None:
    config, trials = searched(budget__macs=["400K", "800K"], search__trials=9)
    assert [trial.params[LEVEL] for trial in trials] == [0, 1, 0, 1, 0, 1, 0, 1, 0]
    for trial in trials:
        limit = (400_000, 800_000)[trial.params[LEVEL]]
        assert trial.user_attrs["budget"] == {"macs": limit}
        assert 0.8 * limit < trial.user_attrs["macs"] <= limit
    study = open_study(config)
    assert len(completed_trials(study, 400_000)) == 5
    small, large = best_trial(study, 400_000), best_trial(study, 800_000)
    assert small.user_attrs["budget"] != large.user_attrs["budget"]
    assert find_trial(study, "best@400K").number == small.number
    assert find_trial(study, "best@800K").number == large.number
    assert best_trial(study).value == max(small.value or 0, large.value or 0)
    with pytest.raises(InputError, match="no completed trial within a budget of 5,000,000"):
        find_trial(study, "best@5M")


def test_a_band_is_one_contest() -> None:
    config, trials = searched(budget__macs="400K..800K", search__trials=10)
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    macs = [trial.user_attrs["macs"] for trial in trials]
    assert 0.8 * 400_000 < min(macs) < max(macs) <= 800_000
    assert not config.has_levels


def test_families_compete_each_on_the_budget() -> None:
    _, trials = searched(space=["resnet", "vgg"], budget__macs="1M", search__trials=12)
    families = [trial.user_attrs["architecture"]["family"] for trial in trials]
    assert set(families) == {"resnet", "vgg"}
    assert all(trial.user_attrs["macs"] <= 1_000_000 for trial in trials)
    assert len({trial.user_attrs["digest"] for trial in trials}) == 12


def test_what_is_left_of_a_search_by_stages_is_read_again() -> None:
    space = {"base": "resnet18", "mode": "stages", "knobs": {"stem": "deep"}}
    config, trials = searched(space=space, search__trials=4, name="stages")
    assert len(trials) == 4
    assert all("rule" not in trial.user_attrs for trial in trials)
    assert scaler.load_study(config.name).spaces == config.spaces
    board = scaler.leaderboard([config])
    assert list(board["rule"]) == [""] * 4


def test_baselines_are_those_of_every_budget_and_space() -> None:
    config = scaler.load_study("tiny", {"budget.macs": ["1M", "2M"], "space": ["resnet", "vgg"]})
    domain = domain_of(config)
    records = [
        baseline(config, domain, name, level, space) for level in (0, 1) for space in (0, 1) for name in BASELINES
    ]
    assert len({record.model for record in records}) == 28
    assert records[0].model == "resnet18 depth at 1M macs"
    for record in records:
        assert record.budget is not None
        assert Budget(**record.budget).admits(record.architecture.cost())
    assert baseline(config, domain, "width").budget == {"macs": 2_000_000}


def test_a_warm_start_comes_first_and_says_so(tiny: Path) -> None:
    config = scaler.load_study("tiny")
    mine = domain_of(config).region().base
    (tiny / "mine.json").write_text(json.dumps({"name": "mine", "architecture": mine.to_dict()}))
    entries = ["width", "0.2/0.5/0.3", "mine.json"]
    config = scaler.load_study("tiny", {"search.warm_start": entries, "search.trials": 5})
    study = open_study(config)
    domain = domain_of(config)
    for entry in config.search.warm_start:
        workflow._enqueue(study, config, domain, entry)
    run_locally(Driver(study, config, domain), table)
    trials = finished_trials(study)
    assert [trial.user_attrs.get("enqueued") for trial in trials] == [*entries, None, None]
    assert trials[0].user_attrs["rule"] == [0, 1, 0]
    assert trials[2].user_attrs["digest"] == mine.digest
    assert len({trial.user_attrs["digest"] for trial in trials}) == 5
    assert Record.from_trial(trials[2]).architecture == mine


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("wide", "rule: 'wide' is unknown"),
        ("0.2/0.5/0.5", "shares: 0.2, 0.5, 0.5 must be at least 0 and sum to 1"),
        ("none.json", "network: .*none.json cannot be read"),
        ("big.json", r"search\.warm_start: big\.json .* is over the budget 400K macs"),
    ],
)
def test_a_wrong_warm_start_is_one_line(tiny: Path, entry: str, message: str) -> None:
    (tiny / "big.json").write_text(json.dumps(scaler.classic("resnet50").to_dict()))
    config = scaler.load_study("tiny", {"search.warm_start": [entry]})
    with pytest.raises(InputError, match=message):
        scaler.search(config)


def test_the_board_orders_confirmed_networks_by_their_test_accuracy(tiny: Path) -> None:
    (tiny / "tiny.toml").write_text(TINY_STUDY)
    config = scaler.load_study("tiny", {"search.trials": 2, "recipe.epochs": 1})
    scaler.search(config)
    scaler.baselines(config)
    confirmed = scaler.confirm(config, top=1, seeds=2, with_baselines=True)
    board = scaler.leaderboard([config])
    tested = board[board["n_seeds"] == 2]
    assert len(tested) == 8
    assert list(board["n_seeds"][: len(tested)]) == [2] * len(tested)
    assert tested["test_accuracy"].is_monotonic_decreasing
    assert list(board["rank"]) == sorted(board["rank"])
    assert tested["test_std"].notna().all()
    first = tested.iloc[0]
    runs = [trial for trial in confirmed.trials if trial.user_attrs["digest"] == first["digest"]]
    assert first["test_accuracy"] == pytest.approx(sum(trial.user_attrs["test_accuracy"] for trial in runs) / 2)
    assert first["confirmed_accuracy"] == pytest.approx(sum(trial.value or 0.0 for trial in runs) / 2)
    assert board["budget"].eq("400K macs").all()
