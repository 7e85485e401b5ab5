"""Folders as an export writes them, of networks that nobody trained, and what a process finds that loads them."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from packaging.requirements import Requirement
from safetensors.torch import save_file
from torch import nn

from scaler import Architecture, build, load_study
from scaler.data import DataConfig, Dataset, load_data
from scaler.entries import timm_entry
from scaler.exporter.timm_config import timm_config
from scaler.exporter.weights import Weights
from scaler.record import Record
from tests.exporter import as_user

ROOT = Path(__file__).parents[2]
PACKAGES = sysconfig.get_path("purelib")
OLDEST_PACKAGES = ROOT / ".venv" / "oldest-timm"


def oldest_timm() -> str:
    """The oldest timm that scaler says it works with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (timm,) = (Requirement(line) for line in project["dependencies"] if line.startswith("timm"))
    (floor,) = (specifier.version for specifier in timm.specifier if specifier.operator == ">=")
    return floor


@torch.no_grad()
def untrained(network: Architecture, seed: int = 0) -> nn.Module:
    """The network in evaluation mode, with batch norms as a training leaves them: none is the identity, none is far
    from the statistics of what it reads."""
    torch.manual_seed(seed)
    model = build(network).train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(std=0.1)
        norm.momentum = 1.0
    model(images_for(network, 8))
    for norm in norms:
        norm.running_var.clamp_(min=0.1)  # else a channel that is hardly used is rounding, made large
    return model.eval()


def images_for(network: Architecture, count: int = 2) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(count, network.in_channels, network.resolution, network.resolution)


def weights_of(network: Architecture, model: nn.Module) -> Weights:
    record = Record(architecture=network, source="discovered", model="tiny#0", seed=0)
    return Weights(origin="search", record=record, trial=0, model=model, confirmations=())


def data_for(network: Architecture) -> Dataset:
    """The digits under as many channels and class names as the network has."""
    digits, channels = load_data(DataConfig(name="digits"), side=8), network.in_channels
    classes = tuple(f"class {index}" for index in range(network.num_classes))
    return replace(digits, classes=classes, mean=digits.mean * channels, std=digits.std * channels)


@torch.inference_mode()
def write_folder(folder: Path, network: Architecture) -> None:
    """An export's folder, beside it what its network gives for the images in it."""
    model, images = untrained(network), images_for(network)
    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    content = timm_config(load_study("quickstart"), weights_of(network, model), data_for(network), "scaler export")
    (folder / "config.json").write_text(json.dumps(content))
    backbone = build(network, features_only=True).eval()
    values = iter(model.state_dict().values())  # which the backbone has in the same order under its own names
    backbone.load_state_dict({key: next(values) for key in backbone.state_dict()})
    maps = {f"map {index}": features.contiguous() for index, features in enumerate(backbone(images))}
    reductions = torch.tensor(backbone.feature_info.reduction())
    save_file(
        {"images": images, "logits": model(images), "reductions": reductions, **maps}, folder.with_suffix(".expected")
    )


@dataclass(frozen=True, slots=True)
class AsUser:
    """What `as_user` found: the version of timm, whether scaler could be found, and for each folder what differs."""

    timm: str
    scaler: bool
    folders: dict[str, dict]


def load_as_user(folders: list[Path], *, tier: str, timm: Path | None = None) -> AsUser:
    """Loads folders in one fresh process, which for stock exports has no scaler on its path.

    timm  a folder with another timm than the environment's
    """
    assert timm is None or timm.is_dir(), f"there is no {timm}; make oldest-timm"
    path = [*([str(timm)] if timm else []), PACKAGES, *([str(ROOT)] if tier == "plugin" else [])]
    # Without `site` nothing but this path: no editable installation, not the folder of the script.
    done = subprocess.run(
        [sys.executable, "-P", "-S", as_user.__file__, tier, *map(str, folders)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return AsUser(**json.loads(done.stdout.splitlines()[-1]))


def tier(network: Architecture) -> str:
    return timm_entry(network).tier
