"""The network as an ONNX file: for any runtime, without torch, timm and scaler."""

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from scaler.errors import InputError
from scaler.exporter.verification import ExportError

LARGEST_DIFFERENCE = 1e-4
"""Of ONNX Runtime's logits from torch's, relative to the largest logit where that is over 1."""


def check_installed() -> None:
    """Raises `InputError` if a package is missing that ONNX needs."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise InputError(f"onnx: the package {package} is not installed; pip install 'scaler-nas[onnx]'")


def write_onnx(model: nn.Module, images: torch.Tensor, path: Path) -> None:
    """Writes the model as one file with the input `images`, of any batch size, and the output `logits`."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (images[:1].repeat(2, 1, 1, 1),),  # one image would fix the batch size
                path,
                dynamo=True,
                external_data=False,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    finally:
        exporter.setLevel(level)


@torch.inference_mode()
def onnx_difference(path: Path, model: nn.Module, images: torch.Tensor) -> float:
    """The largest difference of ONNX Runtime's logits from the model's on images (n, channels, side, side).

    Raises `ExportError` if it is over `LARGEST_DIFFERENCE`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    expected = model(images)
    (found,) = session.run(["logits"], {"images": images.numpy()})
    difference = float((torch.from_numpy(found) - expected).abs().max())
    if not difference <= LARGEST_DIFFERENCE * max(1.0, float(expected.abs().max())):
        raise ExportError(f"ONNX Runtime's logits differ by up to {difference:g} from the trained network's")
    return difference
