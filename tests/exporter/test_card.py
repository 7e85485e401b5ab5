"""What the model card says."""

import dataclasses
import statistics
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard

import scaler
from scaler.config import StudyConfig
from scaler.data import Dataset
from scaler.exporter.card import Checked, model_card
from scaler.exporter.fusing import Fused
from scaler.exporter.verification import Proof
from scaler.exporter.weights import Weights, choose_weights
from scaler.study import existing_study, find_trial
from scaler.workflow import study_data
from tests.exporter.conftest import trials
from tests.exporter.folders import data_for, untrained, weights_of
from tests.models.examples import EXAMPLES

PROOF = Proof(images=360, max_difference=0.0, accuracy=0.25, otherwise=0)


@pytest.fixture
def config(inside: Path) -> StudyConfig:
    return scaler.load_study("tiny.toml")


@pytest.fixture
def data(config: StudyConfig) -> Dataset:
    return study_data(config)[1]


def weights(config: StudyConfig, which: str) -> Weights:
    return choose_weights(config, find_trial(existing_study(config), "best"), which)


def text(
    config: StudyConfig, chosen: Weights, data: Dataset, fused: Fused | None = None, onnx: float | None = None
) -> str:
    return str(model_card(config, chosen, data, Checked(proof=PROOF, fused=fused, onnx_difference=onnx)))


def test_a_card_says_how_the_network_was_found_what_it_costs_and_what_it_reaches(
    config: StudyConfig, data: Dataset
) -> None:
    chosen = weights(config, "final")
    card = text(config, chosen, data)
    record, cost = chosen.record, chosen.record.architecture.cost()
    tests = [trial.user_attrs["test_accuracy"] for trial in trials("confirm")]
    for part in (
        "in the study `tiny`, which searched how to split a budget of\n400K macs",
        "depth {:.2f}, width {:.2f}, resolution {:.2f}".format(*record.rule),
        f"| {cost.macs:,} (",
        f"| parameters | {cost.params:,} |",
        "| data | digits, 10 classes, 1077 training images |",
        "| weights | of `scaler train`: 3 epochs, seed 1 |",
        f"0.2500 on 360 images, by timm's eval transform; {record.accuracy:.4f} as the training resizes them",
        f"| test accuracy | {record.test_accuracy:.4f} on 360 images",
        f"{statistics.mean(tests):.4f} ± {statistics.stdev(tests):.4f} (standard deviation), n = 2 seeds",
        "| export tier | stock: timm alone loads it |",
        'timm.create_model("local-dir:FOLDER", pretrained=True)',
    ):
        assert part in card
    assert not {"import scaler", "onnx", "folded"} & set(card.split())
    assert "ONNX" not in card


def test_the_metadata_is_what_the_hub_reads(config: StudyConfig, data: Dataset, tmp_path: Path) -> None:
    chosen = weights(config, "final")
    model_card(config, chosen, data, Checked(proof=PROOF, fused=None, onnx_difference=None)).save(
        tmp_path / "README.md"
    )
    known = ModelCard.load(tmp_path / "README.md").data
    assert (known.library_name, known.pipeline_tag, known.license) == ("timm", "image-classification", "unknown")
    found = [(result.dataset_split, result.metric_type, result.metric_value) for result in known.eval_results]
    assert found == [("validation", "accuracy", 0.25), ("test", "accuracy", chosen.record.test_accuracy)]
    metadata = yaml.safe_load((tmp_path / "README.md").read_text().split("---")[1])
    assert metadata["model-index"][0]["name"] == chosen.record.model


def test_what_was_not_measured_is_not_claimed(config: StudyConfig, data: Dataset) -> None:
    chosen = dataclasses.replace(weights(config, "search"), confirmations=())
    card = text(config, chosen, data)
    assert "| weights | of `scaler search`: 2 epochs, seed 0 |" in card
    assert "| test accuracy |" not in card
    assert "| confirmed | not measured over seeds; `scaler confirm` does |" in card


def test_weights_that_began_with_others_say_so(config: StudyConfig, data: Dataset) -> None:
    chosen = weights(config, "final")
    assert "began with" not in text(config, chosen, data)
    initial = {"source": "exports/other", "sha256": "0" * 64, "tensors": 60, "of": 62, "values": 1, "of_values": 2}
    tuned = dataclasses.replace(chosen, record=dataclasses.replace(chosen.record, initial=initial))
    assert "| began with | 60 of 62 tensors of exports/other |" in text(config, tuned, data)


def test_folded_batch_norms_and_onnx_are_said(config: StudyConfig, data: Dataset) -> None:
    fused = Fused(model=torch.nn.Identity(), difference=1.5e-6, speed_up=1.25)
    card = text(config, weights(config, "final"), data, fused, 3e-7)
    assert "logits differ by up to 1.5e-06 of the largest; 1.25 × as fast" in card
    assert "`scaler.fuse(model)`" in card
    assert "ONNX Runtime's logits differ by up to 3.0e-07" in card
    assert 'onnxruntime.InferenceSession("FOLDER/model.onnx")' in card


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("efficientnet wide", "of timm's own classes, without scaler:\n\n```python\nfrom functools import partial"),
        ("inception small", "timm has no classes for this network: without scaler it can be had as ONNX alone"),
    ],
)
def test_a_plugin_card_says_how_to_load_with_and_without_scaler(config: StudyConfig, name: str, part: str) -> None:
    network = EXAMPLES[name]
    card = text(config, weights_of(network, untrained(network)), data_for(network))
    assert "import scaler.models  # registers the entry point\nimport timm" in card
    assert "| export tier | plugin: timm loads it after `import scaler.models` |" in card
    assert part in card
