"""Which weights an export takes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import scaler
from scaler import InputError
from scaler.exporter.weights import choose_weights
from scaler.study import existing_study, find_trial
from tests.cli.test_cli import run
from tests.exporter.conftest import trials


def chosen(which: str | None, trial: str = "best"):
    config = scaler.load_study("tiny.toml")
    return choose_weights(config, find_trial(existing_study(config), trial), which)


def artifact(inside: Path, trial) -> dict[str, torch.Tensor]:
    return load_file(inside / "runs" / "tiny" / "artifacts" / trial.user_attrs["weights"])


def test_the_newest_final_training_comes_before_the_best_confirmation_and_that_before_the_search(inside: Path) -> None:
    best = max(trials(), key=lambda trial: trial.value)
    confirmed = max(trials("confirm"), key=lambda trial: trial.value)
    expected = {"final": trials("train")[-1], "confirm": confirmed, "search": best, None: trials("train")[-1]}
    for which, trial in expected.items():
        found = chosen(which)
        assert found.origin == (which or "final")
        assert found.trial == best.number
        assert found.record.seed == trial.user_attrs["seed"]
        assert found.record.accuracy == trial.user_attrs["accuracy"]
        weights = artifact(inside, trial)
        assert all(torch.equal(weights[name], tensor) for name, tensor in found.model.state_dict().items())
        assert len(found.confirmations) == 2
    assert trials("train")[0].user_attrs["epochs"] == 2  # an older training there was


def test_a_network_that_was_only_searched_has_its_own(inside: Path) -> None:
    other = min(trials(), key=lambda trial: trial.value)
    for name in (str(other.number), other.user_attrs["digest"]):
        found = chosen(None, name)
        assert (found.origin, found.trial, found.confirmations) == ("search", other.number, ())
    for which, command in (("final", "scaler train"), ("confirm", "scaler confirm")):
        with pytest.raises(
            InputError, match=f"weights: there are none of '{which}' for tiny#{other.number}; run {command}"
        ):
            chosen(which, str(other.number))


def test_a_file_is_exported_and_nothing_is_said_to_be_recorded(
    inside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: tensor * 2 for name, tensor in chosen("search").model.state_dict().items()}
    save_file(state, tmp_path / "mine.safetensors")
    code, out, errors = run(
        capsys, "export", "tiny.toml", "--weights", str(tmp_path / "mine.safetensors"), "--to", str(tmp_path / "out")
    )
    assert code == 0, errors
    assert "weights from mine.safetensors" in out
    assert "nothing recorded" in out
    assert all(
        torch.equal(state[name], tensor) for name, tensor in load_file(tmp_path / "out/model.safetensors").items()
    )
    about = json.loads((tmp_path / "out/config.json").read_text())["scaler"]
    assert (about["weights"], about["epochs"]) == ("mine.safetensors", None)
    card = (tmp_path / "out/README.md").read_text()
    assert "of the file mine.safetensors, whose training is not on record" in card
    assert str(tmp_path) not in card + json.dumps(about)


def test_a_file_of_another_network_is_refused_in_a_line(inside: Path, tmp_path: Path) -> None:
    state = chosen("search").model.state_dict()
    file = tmp_path / "mine.safetensors"
    lacking = {name: tensor for name, tensor in state.items() if name != "fc.bias"}
    wrong = {
        "it lacks fc.bias": lacking,
        "it has head.bias, which the network lacks": {**state, "head.bias": torch.zeros(3)},
        r"it has fc.bias as \(3,\), the network as \(10,\)": {**state, "fc.bias": torch.zeros(3)},
    }
    for message, content in wrong.items():
        save_file(content, file)
        with pytest.raises(InputError, match=f"^weights: .*{message}.*; name a file of this network$"):
            chosen(str(file))
    file.write_bytes(b"PK\x03\x04 no such thing")
    with pytest.raises(
        InputError, match="mine.safetensors is no whole safetensors file .*; name a file of this network"
    ):
        chosen(str(file))
    for name in ("finale", str(tmp_path / "absent.safetensors"), str(tmp_path / "weights.pt")):
        with pytest.raises(
            InputError, match="is no .safetensors file that is there; name one, or final, confirm, search"
        ):
            chosen(name)
