"""The leaderboard over planted studies: what is ranked against what, and what is on the front."""

from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial

import scaler
from scaler import InputError
from scaler.board import COLUMNS, unranked
from scaler.board.compare import compare
from scaler.board.parts import parts_of
from scaler.cli.tables import render
from scaler.config import StudyConfig, load_study
from scaler.evaluation import Result
from scaler.record import Record
from scaler.scaling import RULES
from scaler.study import open_study
from scaler.workflow import domain_of
from tests.planted_study import add, planted_study

SCRIPT = "<script>alert(1)</script>"


def small_study(name: str, values: dict[str, float], **overrides: object) -> StudyConfig:
    """A study with a completed trial for each rule named in `values`."""
    config = load_study("tiny", {"name": name, **overrides})
    region = domain_of(config).region()
    study = open_study(config)
    for rule, value in values.items():
        shares = [round(share, 4) for share in RULES[rule].to_list()]
        record = Record(
            architecture=region.at(RULES[rule]), source="discovered", model=f"{name} {rule}", seed=0, rule=shares
        )
        add(study, record.with_result(result(value, config.recipe.epochs)), value, {1: value / 2, 2: value})
    return config


def result(accuracy: float, epochs: int = 2) -> Result:
    return Result(accuracy=accuracy, epochs=epochs, device="planted")


def confirmed(config: StudyConfig, trial: int, tests: list[float]) -> None:
    """Confirms a trial with so many seeds."""
    record = Record.from_trial(open_study(config).trials[trial])
    part = open_study(config, "confirm")
    for seed, accuracy in enumerate(tests, start=1):
        again = record.again(seed=seed, repeats=trial).with_result(result(accuracy - 0.01))
        attributes = again.to_attributes() | {"test_accuracy": accuracy, "test_images": 360}
        part.add_trial(create_trial(value=accuracy - 0.01, user_attrs=attributes))


@pytest.mark.usefixtures("tiny")
def test_studies_on_the_same_data_with_the_same_recipe_are_ranked_together() -> None:
    first = small_study("first", {"depth": 0.8, "width": 0.9})
    second = small_study("second", {"depth": 0.85, "width": 0.7}, **{"budget.macs": "200K", "search.seed": 3})
    table = scaler.leaderboard([first, second])
    assert list(table.columns) == list(COLUMNS)
    assert table[["rank", "study", "accuracy"]].values.tolist() == [
        [1, "first", 0.9],
        [2, "second", 0.85],
        [3, "first", 0.8],
        [4, "second", 0.7],
    ]
    assert table["data"].nunique() == table["recipe"].nunique() == 1


@pytest.mark.parametrize(
    ("setting", "value", "column"),
    [
        ("recipe.epochs", 3, "recipe"),
        ("recipe.batch_size", 64, "recipe"),
        ("data.validation", 0.3, "data"),
        ("data.seed", 1, "data"),
        ("objective", "macro_f1", "objective"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_what_differs_in_data_recipe_or_objective_is_never_ranked_together(
    setting: str, value: object, column: str
) -> None:
    first = small_study("first", {"depth": 0.8, "width": 0.9})
    other = small_study("other", {"depth": 0.85, "width": 0.95}, **{setting: value})
    table = scaler.leaderboard([first, other])
    assert table["rank"].tolist() == [1, 2, 1, 2]
    assert table["study"].tolist() == ["first", "first", "other", "other"]
    assert table[column].nunique() == 2
    by_itself = scaler.leaderboard([other])
    assert table["pareto"].tolist()[2:] == by_itself["pareto"].tolist()


@pytest.mark.usefixtures("tiny")
def test_pictures_in_another_folder_are_other_data() -> None:
    def label(study: str, **data: object) -> str:
        config = load_study("tiny", {"name": study, **{f"data.{key}": value for key, value in data.items()}})
        return parts_of(open_study(config)).data

    one = label("one", name="torch/mnist", root="/a", cache_limit=1)
    assert one == label("two", name="torch/mnist", root="/b", cache_limit=2)
    assert one.startswith("torch/mnist #")
    here, there = (label(name, name="torch/image_folder", root=name) for name in ("here", "there"))
    assert here != there
    assert label("plain").startswith("digits #")


@pytest.mark.usefixtures("tiny")
def test_confirmed_networks_come_first_with_their_spread() -> None:
    config = small_study("first", {"depth": 0.8, "width": 0.9, "resolution": 0.85})
    confirmed(config, 0, [0.7, 0.8])
    table = scaler.leaderboard([config])
    best = table.iloc[0]
    assert (best["model"], best["rank"], best["n_seeds"]) == ("first depth", 1, 2)
    assert best["test_accuracy"] == pytest.approx(0.75)
    assert best["confirmed_accuracy"] == pytest.approx(0.74)
    assert best["accuracy_std"] == pytest.approx(best["test_std"]) == pytest.approx(0.0707, abs=1e-4)
    assert table["rank"].tolist() == [1, 2, 3]


@pytest.mark.usefixtures("tiny")
def test_the_front_is_what_no_cheaper_network_beats() -> None:
    config = planted_study(Path.cwd(), "400K")
    table = scaler.leaderboard([config])
    for _, group in table.groupby("recipe"):  # the planted baselines say no epochs
        for _, row in group.iterrows():
            beaten = group[(group["macs"] <= row["macs"]) & (group["rank"] < row["rank"])]
            same = group[(group["macs"] < row["macs"]) & (group["rank"] == row["rank"])]
            assert row["pareto"] == (beaten.empty and same.empty), row["model"]
    assert 1 <= table["pareto"].sum() < len(table)


@pytest.mark.usefixtures("tiny")
def test_a_final_training_stands_apart_unless_it_ran_the_recipe() -> None:
    config = small_study("first", {"depth": 0.8})
    record = Record.from_trial(open_study(config).trials[0])
    train = open_study(config, "train")
    for epochs, accuracy in ((2, 0.75), (40, 0.99)):
        attributes = record.again(seed=1, repeats=0).with_result(result(accuracy)).to_attributes()
        train.add_trial(create_trial(value=accuracy, user_attrs=attributes | {"epochs": epochs}))
    table = scaler.leaderboard([config])
    assert table[["rank", "study", "epochs"]].values.tolist() == [
        [1, "first", 2],
        [2, "first.train", 2],
        [1, "first.train", 40],
    ]


@pytest.mark.usefixtures("tiny")
def test_what_is_not_ranked_is_counted_with_its_reason() -> None:
    config = small_study("first", {"depth": 0.8})
    study, baselines = open_study(config), open_study(config, "baselines")
    study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={}))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": "loss not finite"}))
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": "interrupted"}))
    baselines.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"failure": "loss not finite"}))
    study.ask()
    assert unranked([config]) == ["2 failed: loss not finite", "1 stopped early", "1 unfinished"]
    assert len(scaler.leaderboard([config])) == 1


@pytest.mark.usefixtures("tiny")
def test_a_study_in_memory_gives_the_same_table() -> None:
    config = small_study("first", {"depth": 0.8, "width": 0.9})
    stored = open_study(config)
    memory = optuna.create_study(study_name="first", direction="maximize")
    memory.add_trials(stored.trials)
    with pytest.raises(InputError, match="first was not made by scaler"):
        scaler.leaderboard([memory])
    memory.set_user_attr("scaler", stored.user_attrs["scaler"])
    pd.testing.assert_frame_equal(scaler.leaderboard([memory]), scaler.leaderboard([config]))


@pytest.mark.usefixtures("tiny")
def test_two_models_are_compared_by_name_digest_or_classic() -> None:
    config = small_study("first", {"depth": 0.8, "width": 0.9})
    digest = open_study(config).trials[1].user_attrs["digest"]
    found = compare([config], "first depth", digest)
    assert found.facts["accuracy"] == ("0.8000", "0.9000", "")
    assert found.facts["rank"] == ("2", "1", "")
    macs = [network.cost().macs for network in found.networks]
    assert found.facts["macs"] == (f"{macs[0]:,}", f"{macs[1]:,}", f"×{macs[1] / macs[0]:.3g}")
    assert compare([], "resnet18", "resnet50").facts["params"] == ("11,689,512", "25,557,032", "×2.19")
    with pytest.raises(InputError, match=r"model: 'first dept' is unknown \(did you mean 'first depth'\?\)"):
        compare([config], "first dept", "resnet18")


def test_names_are_text_in_every_format() -> None:
    frame = pd.DataFrame({"model": [SCRIPT, "a|b\nc", "[red]x[/red]"], "macs": [1, 2, 3]})
    assert "<script" not in render(frame, "html")
    assert "<script" not in render(frame, "markdown")
    assert len(render(frame, "markdown").splitlines()) == 5
    assert r"a\|b c" in render(frame, "markdown")
    assert "[red]x[/red]" in render(frame, "table")
