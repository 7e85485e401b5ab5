"""What an export's verification finds out: each test makes one thing wrong."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import scaler
from scaler.data import Dataset
from scaler.exporter import ExportError
from scaler.exporter.timm_config import timm_config
from scaler.exporter.verification import verify
from scaler.exporter.weights import Weights, choose_weights
from scaler.study import existing_study, find_trial
from scaler.workflow import study_data
from tests.conftest import FULL


@dataclasses.dataclass
class Case:
    """An export that is right, to be made wrong."""

    folder: Path
    weights: Weights
    data: Dataset

    def change(self, name: str, value: object) -> None:
        """Changes an entry of timm's `pretrained_cfg`."""
        content = json.loads((self.folder / "config.json").read_text())
        content["pretrained_cfg"][name] = value
        (self.folder / "config.json").write_text(json.dumps(content))

    def record(self, **changes: object) -> Weights:
        return dataclasses.replace(self.weights, record=dataclasses.replace(self.weights.record, **changes))


@pytest.fixture
def case(inside: Path, tmp_path: Path) -> Case:
    config = scaler.load_study("tiny.toml")
    weights = choose_weights(config, find_trial(existing_study(config), "best"), "final")
    _, data = study_data(config)
    save_file(weights.model.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(timm_config(config, weights, data, "scaler export")))
    return Case(tmp_path, weights, data)


def test_what_is_right_is_proven_on_the_whole_of_both_splits(case: Case) -> None:
    proof = verify(case.folder, case.weights, case.data)
    assert (proof.images, proof.max_difference) == (720, 0.0)
    assert abs(proof.accuracy - case.weights.record.accuracy) * 360 <= proof.otherwise + 1e-9


WRONG = [
    ("mean", [0.5], r"mean \[0\.5\] instead of"),
    ("std", [0.5], r"std \[0\.5\] instead of"),
    ("input_size", [1, 64, 64], r"input_size \[1, 64, 64\] instead of"),
    ("interpolation", "bilinear", "interpolation bilinear instead of bicubic"),
    ("crop_pct", 0.875, "crop_pct 0.875 instead of 1.0"),
    ("crop_mode", "squash", "crop_mode squash instead of center"),
    ("no_such_key", 1, "a fresh process cannot load it: TypeError"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG if FULL else WRONG[:1])
def test_other_preprocessing_is_noticed(case: Case, name: str, value: object, message: str) -> None:
    case.change(name, value)
    with pytest.raises(ExportError, match=message):
        verify(case.folder, case.weights, case.data)


def test_other_weights_in_the_folder_are_noticed(case: Case) -> None:
    state = case.weights.model.state_dict()
    state["fc.bias"] = state["fc.bias"] + torch.finfo(torch.float32).eps
    save_file(state, case.folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match="logits differ by up to .*e-0. from the trained network's"):
        verify(case.folder, case.weights, case.data)


RECORDED = [("test", "test_accuracy"), ("validation", "accuracy")]


@pytest.mark.parametrize(("split", "field"), RECORDED if FULL else RECORDED[:1])
def test_another_accuracy_than_the_recorded_is_noticed(case: Case, split: str, field: str) -> None:
    recorded = getattr(case.weights.record, field)
    with pytest.raises(
        ExportError, match=f"of 360 {split} images are classified rightly, {round(recorded * 360) + 2} "
    ):
        verify(case.folder, case.record(**{field: recorded + 2 / 360}), case.data)


def test_a_network_of_nans_is_noticed(case: Case) -> None:
    nn.init.constant_(case.weights.model.get_submodule("fc").bias, float("nan"))
    save_file(case.weights.model.state_dict(), case.folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match="logits differ by up to nan"):
        verify(case.folder, case.weights, case.data)
