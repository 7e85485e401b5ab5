"""The network in ONNX Runtime."""

import importlib.util
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from scaler import InputError
from scaler.exporter import ExportError, onnx_file
from scaler.exporter.fusing import fuse
from scaler.exporter.onnx_file import LARGEST_DIFFERENCE, onnx_difference, write_onnx
from tests.conftest import FULL
from tests.exporter.folders import images_for, untrained
from tests.models.examples import EXAMPLES, OF_A_FAMILY

NETWORKS = EXAMPLES if FULL else {**OF_A_FAMILY, "resnet cifar": EXAMPLES["resnet cifar A"]}


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_agrees_on_batches_of_any_size(name: str, tmp_path: Path) -> None:
    model, images = untrained(NETWORKS[name]), images_for(NETWORKS[name], 5)
    write_onnx(model, images, tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    with torch.inference_mode():
        largest = float(model(images).abs().max())
    for count in (5, 1):
        difference = onnx_difference(tmp_path / "model.onnx", model, images[:count])
        assert difference <= LARGEST_DIFFERENCE * max(1, largest)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (given,), (put_out,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("images", ["batch", *images.shape[1:]])
    assert (put_out.name, put_out.shape) == ("logits", ["batch", 5])


def test_a_folded_network_has_no_batch_norm_in_onnx_either(tmp_path: Path) -> None:
    network = EXAMPLES["efficientnet stride 1"]
    model, images = untrained(network), images_for(network, 5)
    write_onnx(fuse(model), images, tmp_path / "model.onnx")
    assert onnx_difference(tmp_path / "model.onnx", model, images) <= LARGEST_DIFFERENCE
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Conv" in kinds
    assert "BatchNormalization" not in kinds


def test_another_network_is_noticed(tmp_path: Path) -> None:
    network = EXAMPLES["alexnet halves"]
    write_onnx(untrained(network, seed=1), images_for(network), tmp_path / "model.onnx")
    with pytest.raises(ExportError, match="^ONNX Runtime's logits differ by up to .* from the trained network's$"):
        onnx_difference(tmp_path / "model.onnx", untrained(network), images_for(network))
    broken = untrained(network)
    torch.nn.init.constant_(broken.get_classifier().bias, float("nan"))
    with pytest.raises(ExportError, match="differ by up to nan"):
        onnx_difference(tmp_path / "model.onnx", broken, images_for(network))


def test_a_package_that_is_missing_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_file.check_installed()
    there = importlib.util.find_spec
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxruntime" else there(name))
    with pytest.raises(
        InputError, match=r"^onnx: the package onnxruntime is not installed; pip install 'scaler-nas\[onnx\]'$"
    ):
        onnx_file.check_installed()
