import json
import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

import scaler
from scaler import Budget, classic
from scaler.cli import cli, main
from scaler.shipped import shipped


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of one command."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize("command", cli.commands.values(), ids=lambda command: command.name)
def test_every_command_has_help_and_an_example(command: click.Command) -> None:
    assert command.help
    assert f"scaler {command.name}" in command.help.partition("Example")[2]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{command.name} {parameter.opts[0]} has no help"


def test_the_readme_names_every_command() -> None:
    readme = (Path(scaler.__file__).parents[1] / "README.md").read_text()
    for name in cli.commands:
        assert f"`scaler {name}" in readme, name


def test_classics_are_listed_with_exact_cost(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "classics", "--json")
    records = {record["name"]: record for record in json.loads(out)}
    assert code == 0
    assert records["resnet50"] == {
        "name": "resnet50",
        "family": "resnet",
        "resolution": 224,
        "macs": 4089184256,
        "params": 25557032,
        "activations": 11315688,
    }
    assert "4,089,184,256" in run(capsys, "classics")[1]


def test_families_are_listed_with_their_knobs(capsys: pytest.CaptureFixture[str]) -> None:
    listed = {record["family"]: record for record in json.loads(run(capsys, "families", "--json")[1])}
    assert "resnet50" in listed["resnet"]["classics"]
    assert {"block", "stem"} <= set(listed["resnet"]["knobs"])
    assert "bottleneck" not in run(capsys, "families")[1]


def test_describe_scales_and_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("describe", "resnet50", "--depth", "1.5", "--width", "0.5", "--resolution", "160")
    record = json.loads(run(capsys, *arguments, "--json")[1])
    cost = classic("resnet50").scaled(depth=1.5, width=0.5).replace(resolution=160).cost()
    assert (record["macs"], record["params"]) == (cost.macs, cost.params)
    table = run(capsys, *arguments, "--layers")[1]
    assert "layer4.0.downsample.0" in table
    assert f"{cost.macs:,}" in table.splitlines()[-2]


def test_describe_shows_a_studys_question(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(run(capsys, "describe", "quickstart", "--json")[1])
    assert record["budget"] == {"macs": 3_000_000}
    (base,) = record["bases"]
    assert base["macs"] * base["factor"] == pytest.approx(3_000_000, rel=1e-4)
    assert base["networks"] >= 50
    out = run(capsys, "describe", "quickstart")[1]
    assert f"{base['macs']:,}" in out
    assert "3M macs" in out
    assert f"Training the largest takes at most about {record['training_bytes'] / 1e9:.2g} GB with a batch of 32" in out
    assert "executor.gpus_per_trial = 0.04" in out


def test_the_main_job_from_the_command_line(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    code, out, _ = run(capsys, "search", "tiny", "--trials", "2")
    assert code == 0
    assert "best of 2 trials" in out
    assert " 2/2  accuracy" in out
    assert "finished" in run(capsys, "search", "tiny", "--trials", "2")[1]
    assert "7 baselines" in run(capsys, "baselines", "tiny")[1]
    assert "(n = 1 seeds, 360 images)" in run(capsys, "confirm", "tiny")[1]
    rows = json.loads(run(capsys, "leaderboard", "tiny", "--format", "json")[1])
    assert len(rows) == 9
    assert rows == json.loads(run(capsys, "leaderboard", "--format", "json")[1])
    assert run(capsys, "leaderboard", "tiny", "--format", "csv")[1].startswith("rank,model,family,source,rule")
    assert run(capsys, "leaderboard", "tiny", "--format", "markdown")[1].startswith("| rank | model |")
    table = run(capsys, "leaderboard", "tiny")[1]
    assert all(row["model"] in table for row in rows)
    code, out, _ = run(capsys, "export", "tiny", "--to", "exports/tiny")
    assert code == 0
    assert "weights from confirm" in out
    assert "largest difference of logits 0.0 on 720 images, validation accuracy" in out
    assert "tiny trial 0: COMPLETE" in (tiny / "runs" / "tiny" / "scaler.log").read_text()


@pytest.mark.parametrize("space", sorted(file.stem for file in shipped("search_spaces").glob("*.toml")))
@pytest.mark.usefixtures("tiny")
def test_every_space_is_searched_and_exported(capsys: pytest.CaptureFixture[str], space: str) -> None:
    code, out, errors = run(
        capsys, "search", "tiny", "--space", space, "--macs", "2M", "--trials", "1", "--name", space
    )
    assert code == 0, errors
    assert "best of 1 trials" in out
    code, out, errors = run(capsys, "export", space, "--to", "out")
    assert code == 0, errors
    assert ("tier stock" if space == "resnet" else "tier plugin") in out
    assert "largest difference of logits 0.0" in out


def test_an_exhausted_space_is_a_clean_end(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    file = tiny / "tiny" / "study.toml"
    text = (
        file.read_text()
        .replace("400K", "120K")
        .replace("epochs = 2", "epochs = 1")
        .replace("growth = 4", "growth = 1.2")
    )
    file.write_text(text)
    code, out, _ = run(capsys, "search", "tiny", "--trials", "500")
    assert code == 0
    networks = int(out.partition("space exhausted after ")[2].split()[0])
    assert f"best of {networks} trials" in out


def test_a_search_in_which_everything_fails_is_no_success(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    file = tiny / "tiny" / "study.toml"
    file.write_text(file.read_text().replace("learning_rate = 5e-3", 'learning_rate = 1000\noptimizer = "sgd"'))
    code, out, errors = run(capsys, "search", "tiny", "--trials", "2")
    assert code == 1
    assert out.count("failed: loss not finite") == 2
    assert "none of 2 trials completed, the last one: loss not finite in epoch" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serch", "tiny"], r"command: 'serch' is unknown (did you mean 'search'?)"),
        (["search", "tny"], "study: 'tny' is no folder, .toml file or shipped study"),
        (["search", "quickstrt"], "(did you mean 'quickstart'?)"),
        (["search", "tiny", "--macs", "400Q"], "budget.macs: '400Q' is no amount"),
        (["search", "tiny", "--macs", "10K"], "the smallest it can make"),
        (["search", "tiny", "--trials", "0"], "search.trials: 0 is no number of trials"),
        (["search", "tiny", "--trials", "many"], "'many' is not a valid integer"),
        (["search", "tiny", "--trails", "3"], "'--trails'"),
        (["search", "tiny", "--space", "resnot"], "space: 'resnot' is unknown (did you mean 'resnet"),
        (["search", "tiny", "--executor", "slurm"], "executor.kind: 'slurm' is unknown"),
        (["search"], "Missing argument 'STUDY'"),
        (["baselines", "nowhere.toml"], "study: there is no nowhere.toml"),
        (["confirm", "tiny"], "tiny has no completed trial yet"),
        (["confirm", "tiny", "--top", "0"], "top: 0 is too few"),
        (["leaderboard", "tiny"], "tiny has no results"),
        (["leaderboard"], "there are no results in runs/"),
        (["leaderboard", "tiny", "--format", "xml"], "'xml' is not one of"),
        (["export", "tiny", "--to", "out"], "tiny has no results"),
        (["describe", "resnet51"], "network or study: 'resnet51' is unknown (did you mean 'resnet"),
        (["describe", "resnet50", "--width", "0"], "width: 0.0 is no scaling factor"),
        (["describe", "resnet50", "--resolution", "8"], "resolution: 8 is too small for this resnet; at least 17"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_wrong_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, errors = run(capsys, *arguments)
    assert code == 2
    assert message in errors
    assert errors.startswith("scaler: ")
    assert len(errors.splitlines()) == 1
    assert out == ""


def test_a_folder_that_cannot_be_written_is_named(tiny: Path) -> None:
    (tiny / "runs").write_text("a file where the folder should be")
    done = subprocess.run(
        [sys.executable, "-m", "scaler", "search", "tiny"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "runs/tiny cannot be created" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_installed_wheel_finds_what_it_ships(tmp_path: Path) -> None:
    checkout = Path(scaler.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, checkout], check=True
    )
    (wheel,) = tmp_path.glob("scaler_nas-*.whl")
    assert "scaler/py.typed" in zipfile.ZipFile(wheel).namelist()
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(str(Path(click.__file__).parents[1]))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = tmp_path / "venv" / "bin" / "scaler"
    done = subprocess.run(
        [command, "search", "quickstart", "--trials", "1", "--macs", "500K", "--name", "q"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "best of 1 trials" in done.stdout
    assert (elsewhere / "runs" / "q" / "study.db").is_file()
    where = subprocess.run(
        [python, "-c", "import scaler; print(scaler.__file__)"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(packages))


def test_a_budget_reads_like_its_study() -> None:
    assert str(Budget(macs="3M", params=500_000)) == "3M macs, 500K params"


def test_a_command_leaves_logging_as_it_found_it(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    logger = logging.getLogger("scaler")
    level = logger.level
    assert run(capsys, "search", "tiny", "--trials", "1")[0] == 0
    assert (logger.level, logger.propagate) == (level, True)
    assert not any(isinstance(handler, logging.FileHandler) for handler in logger.handlers)
    assert "COMPLETE" in (tiny / "runs" / "tiny" / "scaler.log").read_text()
