"""The study file."""

from pathlib import Path

import pytest

from scaler import Budget, InputError, load_study
from scaler.study import open_study
from tests.conftest import TINY_STUDY

pytestmark = pytest.mark.usefixtures("tiny")


def test_a_study_is_found_by_folder_file_results_and_shipped_name(tiny: Path) -> None:
    assert load_study("tiny") == load_study("tiny/study.toml") == load_study(tiny / "tiny")
    assert load_study("quickstart").name == "quickstart"
    Path("nameless.toml").write_text(TINY_STUDY.replace('name = "tiny"', ""))
    assert load_study("nameless.toml").name == "nameless"
    open_study(load_study("tiny", {"name": "renamed"}))
    assert load_study("renamed").name == "renamed"


def test_the_resolved_copy_asks_the_same_question() -> None:
    config = load_study("tiny")
    open_study(config)
    resolved = load_study(config.folder / "study.toml")
    assert resolved == config
    assert 'optimizer = "adamw"' in (config.folder / "study.toml").read_text()  # a default, spelled out


def test_overrides_replace_single_settings() -> None:
    config = load_study("tiny", {"budget.macs": "5M", "search.trials": 7, "name": None})
    assert config.budgets.levels == (Budget(macs="5M"),)
    assert (config.search.trials, config.name) == (7, "tiny")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('space = "resnet"', 'space = "resnext"', r"space: 'resnext' is unknown \(did you mean 'resnet'\?\)"),
        ("trials = 4", "trails = 4", r"search: 'trails' is unknown \(did you mean 'trials'\?\)"),
        ("trials = 4", "trials = 0", r"search\.trials: 0 is no number of trials"),
        ("growth = 4", "growth = 1", r"search\.growth: 1 is no growth"),
        ("growth = 4", 'sampler = "tpi"', r"search\.sampler: 'tpi' is unknown"),
        ('pruner = "none"', 'pruner = "asha"', r"search\.pruner: 'asha' is unknown"),
        ("growth = 4", "seed = -1", r"search\.seed: -1 is out of range"),
        ('pruner = "none"', "startup = 1", r"search\.startup: 1 is too few to learn from"),
        ('space = "resnet"', "space = []", "space: the list is empty"),
        ('space = "resnet"', "space = [3]", r"space: 3 is no table"),
        ('macs = "400K"', 'macs = "400Q"', r"budget\.macs: '400Q' is no amount"),
        ('macs = "400K"', "", "budget: no limit given"),
        ('name = "tiny"', 'name = "a/b"', "name: 'a/b' cannot name a folder"),
        ('name = "tiny"', 'name = "a.b"', "name: 'a.b' has a dot"),
        ('name = "tiny"', 'objective = "acc"', "objective: 'acc' is unknown"),
        ("workers = 1", 'kind = "slurm"', r"executor\.kind: 'slurm' is unknown"),
        (
            "workers = 1",
            'address = "ray://head:10001"',
            r"executor\.address: ray://head:10001 is Ray Client",
        ),
        ("workers = 1", 'address = "head"', r"executor\.address: 'head' is no address of a cluster; give auto"),
        ("workers = 1", "cpus_per_trial = 0", r"executor\.cpus_per_trial: 0 CPUs are none"),
        ("workers = 1", "gpus_per_trial = 1.5", r"executor\.gpus_per_trial: 1\.5 GPUs cannot be given"),
        ("workers = 1", "max_concurrent = 0", r"executor\.max_concurrent: 0 is no number of networks at a time"),
        ("workers = 1", "max_failures = -1", r"executor\.max_failures: -1 is out of range"),
        ("workers = 1", 'storage_path = "s3://bucket/x"', r"executor\.storage_path: s3://bucket/x is no folder; mount"),
        ("workers = 1", "threads = 0", r"executor\.threads: 0 is no number of threads"),
        ("[recipe]", "[recipes]", r"study: 'recipes' is unknown \(did you mean 'recipe'\?\)"),
        ('[data]\nname = "digits"', "", r"study\.data: missing"),
    ],
)
def test_what_is_wrong_in_a_study_file_is_named(tiny: Path, old: str, new: str, message: str) -> None:
    file = tiny / "tiny" / "study.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError, match=f"^{message}"):
        load_study("tiny")


def test_hyperband_is_refused_with_several_budgets() -> None:
    with pytest.raises(InputError, match="search.pruner: hyperband cannot keep several budgets apart"):
        load_study("tiny", {"budget.macs": ["400K", "800K"], "search.pruner": "hyperband"})
    assert load_study("tiny", {"budget.macs": "400K..800K", "search.pruner": "hyperband"}).budgets.band
