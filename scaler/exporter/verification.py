"""Whether an exported folder gives, in a process that knows nothing else, what the trained network gives."""

import contextlib
import copy
import itertools
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scaler.data import Dataset, Split
from scaler.entries import timm_entry
from scaler.errors import WorkError
from scaler.exporter import fresh_check
from scaler.exporter.timm_config import preprocessing
from scaler.exporter.weights import Weights
from scaler.hardware import memory_format
from scaler.scoring import timm_batches, training_batches

_CPU = torch.device("cpu")
# How far rounding may move a logit, of the largest: other kernels in float32, and other devices, in TF32.
_ROUNDING_OF_CPUS = 1e-4
_ROUNDING_OF_OTHERS = 1e-2


class ExportError(WorkError):
    """The exported folder did not give what the trained network gives; the message says what differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a fresh process has found in a folder, and nothing but that was expected.

    images           number of images whose logits were compared
    max_difference   largest difference between the trained network's logits and the loaded one's
    accuracy         top-1 on the whole validation split through timm's own eval transform
    otherwise        validation images that are of another class through the training's own resizing
    """

    images: int
    max_difference: float
    accuracy: float
    otherwise: int


def verify(folder: Path, weights: Weights, data: Dataset) -> Proof:
    """Has a fresh process classify the validation split with the folder; raises `ExportError` if anything differs.

    timm must find the training's preprocessing, the logits of all images must be equal bit by bit to the trained
    network's, and the network must reach what is recorded of its training: the validation accuracy the way the training
    measured it, and where the test split was measured, which is done through timm's own eval transform, that as well.
    A recorded accuracy is met if as many images are right as were right then, give or take those whose two best classes
    are nearer to each other than rounding.
    """
    record, side = weights.record, weights.record.architecture.resolution
    splits = {"validation": data.validation}
    if record.test_accuracy is not None:
        splits["test"] = data.test
    found = _classified(folder, timm_entry(record.architecture).tier, list(splits.values()))
    if timm_entry(record.architecture).tier == "stock" and found.scaler_imported:
        raise ExportError("the check imported scaler, which a user of the export does not have")
    for name, wanted in preprocessing(weights, data).items():
        if found.data_config[name] != wanted:
            raise ExportError(f"timm would prepare images with {name} {found.data_config[name]} instead of {wanted}")
    expected = {name: _logits_as_timm_user(weights.model, data, split, side) for name, split in splits.items()}
    difference = float((torch.cat(list(expected.values())) - found.logits).abs().max())
    if difference != 0:  # also if it is not a number
        raise ExportError(f"logits differ by up to {difference:g} from the trained network's")
    if record.accuracy is not None:
        as_trained = _logits_as_trained(weights.model, data, side)
        _check_recorded("validation", record.accuracy, as_trained, data.validation, record.device)
    else:
        as_trained = expected["validation"]
    if record.test_accuracy is not None:
        _check_recorded("test", record.test_accuracy, expected["test"], data.test, record.device)
    classes = expected["validation"].argmax(1)
    return Proof(
        images=len(found.logits),
        max_difference=difference,
        accuracy=_right(expected["validation"], data.validation) / len(data.validation),
        otherwise=int((classes != as_trained.argmax(1)).sum()),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    logits: Tensor
    data_config: dict[str, Any]
    scaler_imported: bool


def _classified(folder: Path, tier: str, splits: list[Split]) -> _Found:
    """What `fresh_check` finds; raises `ExportError` with its last line if it fails."""
    with tempfile.TemporaryDirectory(prefix="scaler-") as scratch:
        output, errors = Path(scratch) / "logits.safetensors", Path(scratch) / "errors"
        arguments = [str(folder.absolute()), tier, str(torch.get_num_threads()), str(output)]
        with (
            errors.open("w") as file,
            subprocess.Popen(
                [sys.executable, "-P", fresh_check.__file__, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:  # a process that has ended says why
                for picture in itertools.chain.from_iterable(split.pictures() for split in splits):
                    fresh_check.write_picture(process.stdin, picture)
            said = process.stdout.read()
        if process.returncode != 0:
            reason = (errors.read_text().strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise ExportError(f"a fresh process cannot load it: {reason}")
        told = json.loads(said.splitlines()[-1])
        return _Found(load_file(output)["logits"], told["data_config"], told["scaler_imported"])


@torch.inference_mode()
def _logits_as_timm_user(model: nn.Module, data: Dataset, split: Split, side: int) -> Tensor:
    return torch.cat([model(batch) for batch in timm_batches(data, split, side, fresh_check.BATCH_SIZE)])


@torch.inference_mode()
def _logits_as_trained(model: nn.Module, data: Dataset, side: int) -> Tensor:
    """Of the validation split, by the images and in the layout of the training."""
    layout: Any = memory_format(model, _CPU)
    trained = copy.deepcopy(model).to(memory_format=layout)
    return torch.cat([trained(batch) for batch in training_batches(data, data.validation, side, _CPU)])


def _right(logits: Tensor, split: Split) -> int:
    return int((logits.argmax(1) == split.labels).sum())


def _check_recorded(name: str, recorded: float, logits: Tensor, split: Split, device: str | None) -> None:
    """Raises `ExportError` if the logits are right for another number of the split's images than is recorded."""
    right, count = _right(logits, split), len(split)
    best, second = logits.topk(2).values.T
    rounding = _ROUNDING_OF_CPUS if device == "cpu" else _ROUNDING_OF_OTHERS
    undecided = int((best - second <= rounding * logits.abs().max()).sum())
    if abs(right - round(recorded * count)) > undecided:
        raise ExportError(
            f"{right} of {count} {name} images are classified rightly, {round(recorded * count)} were when the network "
            "was trained: the weights or the data are not the same"
        )
