import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboardX.proto.event_pb2 import Event
from torch import nn

import scaler
from scaler import InputError, load_study, train_final
from scaler.models import build
from scaler.scoring import evaluate
from scaler.study import existing_study
from scaler.training import Epoch
from scaler.workflow import study_data
from tests.cli.test_cli import run
from tests.conftest import TINY_STUDY


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


def test_fine_tuning_begins_where_an_export_ended(
    searched: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    scaler.export("tiny", "best", "exported")
    plain = train_final("tiny", epochs=1)
    with caplog.at_level("INFO", "scaler"):
        tuned = train_final("tiny", epochs=1, init="exported")
    assert tuned.result.value != plain.result.value
    assert plain.initial is None
    assert tuned.initial is not None
    assert len(tuned.initial.tensors) == tuned.initial.of
    assert sum(message.endswith(f": {tuned.initial}") for message in caplog.messages) == 1
    assert tuned.folder != plain.folder
    assert tuned.folder.name == f"{plain.folder.name}-from-{tuned.initial.checksum[:12]}"
    assert train_final("tiny", epochs=1, init="exported").result == tuned.result

    recorded = [trial.user_attrs for trial in existing_study(load_study("tiny"), "train").get_trials()]
    assert [each.get("initial") for each in recorded] == [None, tuned.initial.to_dict()]
    code, out, errors = run(capsys, "train", "tiny", "--network", "resnet20", "--epochs", "1", "--init", "exported")
    assert code == 2
    assert "init: no tensor of exported has the name and the shape" in errors
    code, out, errors = run(capsys, "train", "tiny", "--epochs", "2", "--init", "exported")
    assert code == 0, errors
    assert out.splitlines()[-4] == f"began with {tuned.initial}"
    assert f"{tuned.initial}" in errors


def test_fine_tuning_goes_on_after_an_interruption(searched: Path) -> None:
    scaler.export("tiny", "best", "exported")
    whole = train_final("tiny", epochs=2, init="exported")
    weights = load_file(whole.folder / "last.safetensors")
    shutil.rmtree(whole.folder)

    def interrupt(epoch: Epoch, model: nn.Module) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_final("tiny", epochs=2, init="exported", watch=interrupt)
    seen: list[int] = []
    again = train_final("tiny", epochs=2, init="exported", watch=lambda epoch, model: seen.append(epoch.epoch))
    assert seen == [2]
    found = load_file(again.folder / "last.safetensors")
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_an_export_is_fine_tuned_on_other_data(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scaler.export("tiny", "best", "exported")
    exported = json.loads(Path("exported/config.json").read_text())
    for number in range(24):
        place = Path("colours") / f"class {number % 3}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (number, 80 * (number % 3), 9)).save(place)
    Path("colours.toml").write_text(TINY_STUDY.replace('"tiny"', '"colours"').replace("digits", "folder:colours"))
    code, out, errors = run(
        capsys, "train", "colours.toml", "--network", "exported", "--init", "exported", "--epochs", "1"
    )
    assert code == 0, errors
    (trial,) = existing_study(load_study("colours.toml"), "train").get_trials()
    network = scaler.from_dict(trial.user_attrs["architecture"])
    assert network == scaler.from_dict(exported["scaler"]["architecture"]).replace(num_classes=3, in_channels=3)
    initial = trial.user_attrs["initial"]
    assert initial["of"] - initial["tensors"] == 2  # the classifier's
    assert f"began with {initial['tensors']} of {initial['of']} tensors" in out
    Path("exported/config.json").write_text(json.dumps({**exported, "scaler": {}}))
    with pytest.raises(InputError, match="^network: exported was not written by scaler export"):
        train_final("colours.toml", network="exported")
    with pytest.raises(InputError, match="^network: colours is no export, it has no config.json"):
        train_final("colours.toml", network="colours")


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
    scaler.export("tiny", "best", "exported")
    command = [sys.executable, "-m", "scaler", "train", "tiny", "--epochs", "2", "--devices", "2", "--init", "exported"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("   2/2  loss") == done.stdout.count("taken from exported") == 1
    (trial,) = existing_study(load_study("tiny"), "train").get_trials()
    assert trial.user_attrs["epochs"] == 2
    assert trial.user_attrs["initial"]["source"] == "exported"
    failed = subprocess.run([*command, "--trial", "99"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert "trial: '99' is no completed trial" in failed.stderr
