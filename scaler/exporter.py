"""A trained network as a folder that timm loads, proven by a fresh process before it gets its name."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import torch
from huggingface_hub import ModelCard, ModelCardData
from optuna.artifacts import FileSystemArtifactStore, download_artifact
from optuna.trial import FrozenTrial, TrialState
from safetensors.torch import load_file, save_file
from torch import nn

from scaler import fresh_check
from scaler.budget import Budget, format_quantity
from scaler.config import StudyConfig, load_study
from scaler.data import INTERPOLATION, Dataset
from scaler.entries import timm_entry
from scaler.errors import InputError, WorkError
from scaler.models import build
from scaler.record import Record
from scaler.scoring import timm_batches
from scaler.study import artifacts_folder, existing_study, find_trial, stored_config
from scaler.workflow import study_data

_BATCH = 64  # as in fresh_check: equal batches give equal bits
_COMPARED_BATCHES = 16  # more would prove no more


class ExportError(WorkError):
    """The exported folder did not give what the trained network gives; the message says what differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A verified export.

    folder          where it is
    tier            stock or plugin
    weights         which training the weights are from: confirm or search
    images          number of validation images whose logits were compared
    max_difference  largest difference between the trained network's logits and the loaded one's
    """

    folder: Path
    tier: str
    weights: str
    images: int
    max_difference: float


def export(
    study: str | Path | StudyConfig | optuna.Study,
    trial: str | int = "best",
    to: str | Path = "export",
    *,
    force: bool = False,
) -> Export:
    """Writes a trial's network to a folder that `timm.create_model("local-dir:FOLDER", pretrained=True)` loads.

    `trial` is "best", a trial's number or a digest of the search. The weights are those of the best confirmation of the
    network, if there is one, else the trial's own. `force` replaces an earlier export. Raises `InputError` for a trial
    that is not there or a folder in use, and `ExportError` if a fresh process does not get bit-equal logits; then no
    folder is left.
    """
    config, searched = _open(study)
    target = Path(to)
    _check_target(target, force)
    chosen, origin = _with_weights(config, find_trial(searched, trial))
    record = Record.from_trial(chosen)
    _, data = study_data(config)  # as the search had it, so that mean and std are the same and nothing is decoded again
    model = build(record.architecture)
    with tempfile.TemporaryDirectory(prefix="scaler-") as scratch:
        weights = Path(scratch) / "weights.safetensors"
        store = FileSystemArtifactStore(artifacts_folder(config))
        assert record.weights is not None
        download_artifact(artifact_store=store, artifact_id=record.weights, file_path=str(weights))
        model.load_state_dict(load_file(weights))
    model.eval()

    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        save_file(model.state_dict(), staged / "model.safetensors", metadata={"format": "pt"})
        _write_config(staged / "config.json", config, record, chosen, origin, data, model)
        _card(config, record, chosen, origin, data).save(staged / "README.md")
        found = _verify(staged, model, record, data)
        os.chmod(staged, 0o755)
        if target.exists():
            shutil.rmtree(target)
        staged.rename(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Export(
        folder=target,
        tier=timm_entry(record.architecture).tier,
        weights=origin,
        images=found["images"],
        max_difference=found["max_difference"],
    )


def _open(study: str | Path | StudyConfig | optuna.Study) -> tuple[StudyConfig, optuna.Study]:
    if isinstance(study, optuna.Study):
        return stored_config(study), study
    config = study if isinstance(study, StudyConfig) else load_study(study)
    searched = existing_study(config)
    if searched is None:
        raise InputError(f"study: {config.name} has no results in {config.folder}; run scaler search first")
    return config, searched


def _check_target(target: Path, force: bool) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"to: {target} is a file; name a folder")
    if target.is_dir() and any(target.iterdir()):
        if not force:
            raise InputError(f"to: {target} is not empty; choose another folder, or replace it with --force")
        if not (target / "config.json").is_file():
            raise InputError(f"to: {target} holds something other than an export; choose another folder")
    existing = next(parent for parent in target.absolute().parents if parent.exists())
    if not os.access(existing, os.W_OK):
        raise InputError(f"to: {existing} cannot be written; choose another folder")


def _with_weights(config: StudyConfig, trial: FrozenTrial) -> tuple[FrozenTrial, str]:
    """The training whose weights are exported, and its kind."""
    confirmed = existing_study(config, "confirm")
    repeats = [
        candidate
        for candidate in (confirmed.get_trials(states=(TrialState.COMPLETE,)) if confirmed else [])
        if candidate.user_attrs["digest"] == trial.user_attrs["digest"]
    ]
    if repeats:
        return max(repeats, key=lambda candidate: (candidate.value, -candidate.number)), "confirm"
    return trial, "search"


def _write_config(
    path: Path,
    config: StudyConfig,
    record: Record,
    trial: FrozenTrial,
    origin: str,
    data: Dataset,
    model: nn.Module,
) -> None:
    network, entry = record.architecture, timm_entry(record.architecture)
    in_channels = {} if network.in_channels == 3 else {"in_chans": network.in_channels}
    content: dict[str, Any] = {
        "architecture": entry.name,
        "num_classes": network.num_classes,
        "num_features": model.num_features,
        "global_pool": "avg",
        "model_args": {**entry.model_args, **in_channels},
        "label_names": list(data.classes),
        "pretrained_cfg": {
            "tag": f"scaler_{config.name}",
            "input_size": [network.in_channels, network.resolution, network.resolution],
            "fixed_input_size": False,
            "interpolation": INTERPOLATION,
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": list(data.mean),
            "std": list(data.std),
            "num_classes": network.num_classes,
            "pool_size": None,
            "first_conv": entry.first_conv,
            "classifier": entry.classifier,
            "license": None,
            "origin_url": None,
            "paper_ids": None,
            "paper_name": None,
        },
        "scaler": {
            "version": version("scaler-nas"),
            "timm": version("timm"),
            "torch": version("torch"),
            "study": config.name,
            "trial": record.repeats if record.repeats is not None else trial.number,
            "digest": network.digest,
            "weights": origin,
            "seed": record.seed,
            "architecture": network.to_dict(),
        },
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _card(config: StudyConfig, record: Record, trial: FrozenTrial, origin: str, data: Dataset) -> ModelCard:
    network = record.architecture
    cost = network.cost()
    metadata = ModelCardData(
        library_name="timm", pipeline_tag="image-classification", tags=["scaler", network.family, "compound-scaling"]
    )
    test = (
        f"{record.test_accuracy:.4f} on {record.test_images} test images (n = 1 seed)"
        if record.test_accuracy is not None
        else "not measured; `scaler confirm` measures it"
    )
    shares = (
        "depth {:.2f}, width {:.2f}, resolution {:.2f}".format(*record.rule) if record.rule else "none: a classic shape"
    )
    budget = Budget(**record.budget) if record.budget else config.budgets
    plugin = "import scaler.models  # registers the entry point\n"
    imports = ("" if timm_entry(network).tier == "stock" else plugin) + "import timm"
    text = f"""---
{metadata.to_yaml()}
---

# {record.model}: {network.family} at {network.resolution} px

Found by scaler in the study `{config.name}`, which searched how to split a budget of {budget} over depth, width
and resolution.

| | |
|---|---|
| shares of the growth | {shares} |
| depths | {"-".join(map(str, network.depths))} |
| widths ({", ".join(network.width_names)}) | {"-".join(map(str, network.widths))} |
| MACs | {cost.macs:,} ({format_quantity(cost.macs)}) |
| parameters | {cost.params:,} |
| activations | {cost.activations:,} |
| data | {config.data.name}, {len(data.classes)} classes, {len(data.train)} training images |
| training | {record.epochs} epochs, seed {record.seed}, weights from `{origin}` |
| validation accuracy | {trial.value:.4f} on {len(data.validation)} images |
| test accuracy | {test} |
| export tier | {timm_entry(network).tier} |

```python
{imports}

model = timm.create_model("local-dir:PATH_OF_THIS_FOLDER", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config({{}}, model=model))
```
"""
    return ModelCard(text)


def _verify(folder: Path, model: nn.Module, record: Record, data: Dataset) -> dict[str, Any]:
    """What a fresh process finds in the folder; raises `ExportError` if it is not what was trained."""
    tier = timm_entry(record.architecture).tier
    batches = timm_batches(data, data.validation, record.architecture.resolution, _BATCH)
    parts = list(itertools.islice(batches, _COMPARED_BATCHES))
    with torch.inference_mode():
        logits = torch.cat([model(part) for part in parts])
    images = torch.cat(parts)
    with tempfile.TemporaryDirectory(prefix="scaler-") as scratch:
        cases = Path(scratch) / "cases.safetensors"
        threads = torch.tensor(torch.get_num_threads())
        save_file({"images": images, "logits": logits.contiguous(), "threads": threads}, cases)
        process = subprocess.run(
            [sys.executable, "-P", fresh_check.__file__, str(folder.absolute()), str(cases), tier],
            capture_output=True,
            text=True,
            check=False,
        )
    if process.returncode != 0:
        raise ExportError(f"a fresh process cannot load it: {process.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = {"images": len(images), **json.loads(process.stdout.splitlines()[-1])}
    if tier == "stock" and found["scaler_imported"]:
        raise ExportError("the check imported scaler, which a user of the export does not have")
    if found["max_difference"] != 0:
        raise ExportError(f"logits differ by up to {found['max_difference']:g} from the trained network's")
    size = [record.architecture.in_channels, record.architecture.resolution, record.architecture.resolution]
    if found["data_config"]["input_size"] != size:
        raise ExportError(f"timm would feed it {found['data_config']['input_size']} instead of {size}")
    return found
