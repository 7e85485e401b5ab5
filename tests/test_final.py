import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tensorboardX.proto.event_pb2 import Event

import scaler
from scaler import InputError, load_study, train_final
from scaler.models import build
from scaler.scoring import evaluate
from scaler.study import existing_study
from scaler.workflow import study_data
from tests.cli.test_cli import run


@pytest.fixture
def searched(tiny: Path) -> Path:
    scaler.search("tiny", overrides={"search.trials": 1})
    return tiny


def scalars(folder: Path) -> dict[str, list[float]]:
    """What TensorBoard would show: the values of each tag in order."""
    values: dict[str, list[float]] = {}
    for file in sorted(folder.glob("events.*")):
        content = file.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                values.setdefault(value.tag, []).append(value.simple_value)
            content = content[12 + length + 4 :]
    return values


def test_the_winner_is_trained_to_the_end_recorded_and_not_trained_twice(searched: Path) -> None:
    final = train_final("tiny", epochs=3, test=True)
    assert final.result.epochs == 3
    history = scalars(final.folder / "tensorboard")
    assert len(history["loss/train"]) == 3
    assert max(history["accuracy/validation"]) == pytest.approx(final.best_value)
    config = load_study("tiny")
    trained = existing_study(config, "train")
    assert trained is not None
    (trial,) = trained.get_trials()
    assert trial.value == final.result.value
    assert trial.user_attrs["test_accuracy"] == final.result.test_accuracy
    assert trial.user_attrs["repeats"] == 0
    assert (config.folder / "artifacts" / trial.user_attrs["weights"]).is_file()
    again = train_final("tiny", epochs=3, test=True)
    assert again.result == final.result
    assert len(trained.get_trials()) == 1


def test_the_weights_are_those_of_the_last_and_of_the_best_epoch(searched: Path) -> None:
    final = train_final("tiny", epochs=3)
    config = load_study("tiny")
    (trial,) = existing_study(config, "train").get_trials()
    network = scaler.from_dict(trial.user_attrs["architecture"])
    _, data = study_data(config)
    for name, value in (("last", final.result.value), ("best", final.best_value)):
        model = build(network)
        model.load_state_dict(load_file(final.folder / f"{name}.safetensors"))
        assert evaluate(model, data, data.validation, network.resolution).accuracy == value


def test_a_classic_is_trained_by_name_at_full_size(tiny: Path) -> None:
    final = train_final("tiny", network="resnet20", epochs=1)
    weights = load_file(final.folder / "last.safetensors")
    expected = build(scaler.classic("resnet20").replace(in_channels=1, num_classes=10)).state_dict()
    assert {name: value.shape for name, value in weights.items()} == {n: v.shape for n, v in expected.items()}


def test_a_baseline_is_trained_by_name(tiny: Path) -> None:
    final = train_final("tiny", baseline="classic", epochs=1)
    (trial,) = existing_study(load_study("tiny"), "train").get_trials()
    assert (trial.user_attrs["source"], trial.user_attrs["model"][:10]) == ("classic", "resnet18 ×")
    assert trial.user_attrs["macs"] <= 400_000
    assert final.result.epochs == 1


def test_what_is_not_there_is_named(tiny: Path) -> None:
    with pytest.raises(InputError, match="tiny has no results"):
        train_final("tiny")
    with pytest.raises(InputError, match=r"'resnet19' is unknown \(did you mean 'resnet18'"):
        train_final("tiny", network="resnet19")
    with pytest.raises(InputError, match=r"baseline: 'width' and network 'resnet18' are both given"):
        train_final("tiny", network="resnet18", baseline="width")
    with pytest.raises(InputError, match=r"baseline: 'classics' is unknown \(did you mean 'classic'"):
        train_final("tiny", baseline="classics")


def test_the_command_says_what_came_out(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "train", "tiny", "--epochs", "2", "--test")
    assert code == 0
    assert "   1/2  loss" in out
    assert "test accuracy" in out
    assert "last.safetensors" in out


def test_two_processes_train_one_network(searched: Path) -> None:
    command = [sys.executable, "-m", "scaler", "train", "tiny", "--epochs", "2", "--devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("   2/2  loss") == 1
    (trial,) = existing_study(load_study("tiny"), "train").get_trials()
    assert trial.user_attrs["epochs"] == 2
    failed = subprocess.run([*command, "--trial", "99"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert "trial: '99' is no completed trial" in failed.stderr
