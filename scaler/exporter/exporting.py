"""The export itself: what is written, what is proven, and that a folder is whole or not there."""

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import torch

from scaler.config import StudyConfig, load_study
from scaler.data import Dataset
from scaler.entries import timm_entry
from scaler.errors import InputError
from scaler.export_folder import CONFIG, WEIGHTS, sha256
from scaler.exporter import onnx_file
from scaler.exporter.card import Checked, model_card
from scaler.exporter.fresh_check import BATCH_SIZE
from scaler.exporter.fusing import fused_and_checked
from scaler.exporter.timm_config import timm_config
from scaler.exporter.verification import verify
from scaler.exporter.weights import Weights, choose_weights
from scaler.scoring import timm_batches
from scaler.study import existing_study, find_trial, stored_config
from scaler.weights import save_tensors
from scaler.workflow import study_data


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A verified export.

    folder            where it is
    tier              stock or plugin
    weights           which training the weights are from: final, confirm or search; or the name of their file
    images            number of images whose logits were compared
    max_difference    largest difference between the trained network's logits and the loaded one's
    accuracy          on the validation split, through timm's own eval transform in a fresh process
    recorded          on the validation split, as the training measured it; None for the weights of a file
    otherwise         validation images that are of another class by the training's own resizing
    onnx_difference   largest difference of ONNX Runtime's logits; None without an ONNX file
    fused_difference  largest difference of the logits with batch norms folded, relative to the largest; None if not
    speed_up          how many times as fast the network is with batch norms folded; None if they were not
    """

    folder: Path
    tier: str
    weights: str
    images: int
    max_difference: float
    accuracy: float
    recorded: float | None
    otherwise: int
    onnx_difference: float | None
    fused_difference: float | None
    speed_up: float | None


def export(
    study: str | Path | StudyConfig | optuna.Study,
    trial: str | int = "best",
    to: str | Path = "export",
    *,
    weights: str | Path | None = None,
    onnx: bool = False,
    fuse: bool = False,
    force: bool = False,
) -> Export:
    """Writes a trial's network to a folder that `timm.create_model("local-dir:FOLDER", pretrained=True)` loads.

    `trial` is "best", a trial's number or a digest of the search. The weights are those of the newest `train_final` of
    the network ("final"), else of its best confirmation ("confirm"), else the trial's own ("search"), unless `weights`
    names one of these or a .safetensors file. `onnx` adds model.onnx. `fuse` checks that batch norms can be folded,
    which the ONNX file's then are; timm's weights stay as they are. `force` replaces an earlier export.

    Raises `InputError` for what is not there or a folder in use, and `ExportError` if what is written does not give
    what the trained network gives; then no folder is left.
    """
    if onnx:
        onnx_file.check_installed()
    config, searched = _open(study)
    target = Path(to)
    _check_target(target, force)
    chosen = choose_weights(config, find_trial(searched, trial), weights)
    _, data = study_data(config)  # as the search had it, so that mean and std are the same and nothing is decoded again
    command = f"scaler export {config.name} --trial {chosen.trial} --weights {chosen.origin} --to DIR"
    command += " --onnx" * onnx + " --fuse" * fuse
    with _whole_or_not_there(target) as folder:
        save_tensors(chosen.model.state_dict(), folder / WEIGHTS)
        content = timm_config(config, chosen, data, command)
        content["scaler"]["sha256"] = sha256(folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        checked = _checked(folder, chosen, data, onnx=onnx, fuse=fuse)
        model_card(config, chosen, data, checked).save(folder / "README.md")
    return Export(
        folder=target,
        tier=timm_entry(chosen.record.architecture).tier,
        weights=chosen.origin,
        images=checked.proof.images,
        max_difference=checked.proof.max_difference,
        accuracy=checked.proof.accuracy,
        recorded=chosen.record.accuracy,
        otherwise=checked.proof.otherwise,
        onnx_difference=checked.onnx_difference,
        fused_difference=checked.fused.difference if checked.fused else None,
        speed_up=checked.fused.speed_up if checked.fused else None,
    )


def _checked(folder: Path, weights: Weights, data: Dataset, *, onnx: bool, fuse: bool) -> Checked:
    """Verifies the folder, and writes the ONNX file into it if wanted."""
    proof = verify(folder, weights, data)
    batches = timm_batches(data, data.validation, weights.record.architecture.resolution, BATCH_SIZE)
    images = torch.cat(list(itertools.islice(batches, 4)))
    fused = fused_and_checked(weights.model, images) if fuse else None
    difference = None
    if onnx:
        file = folder / "model.onnx"
        onnx_file.write_onnx(fused.model if fused else weights.model, images, file)
        difference = onnx_file.onnx_difference(file, weights.model, images)
    return Checked(proof=proof, fused=fused, onnx_difference=difference)


def _open(study: str | Path | StudyConfig | optuna.Study) -> tuple[StudyConfig, optuna.Study]:
    if isinstance(study, optuna.Study):
        return stored_config(study), study
    config = study if isinstance(study, StudyConfig) else load_study(study)
    searched = existing_study(config)
    if searched is None:
        raise InputError(f"study: {config.name} has no results in {config.folder}; run scaler search first")
    return config, searched


def _check_target(target: Path, force: bool) -> None:
    if target.is_symlink():
        raise InputError(f"to: {target} is a link; name the folder itself")
    if target.exists() and not target.is_dir():
        raise InputError(f"to: {target} is a file; name a folder")
    if target.is_dir() and any(target.iterdir()):
        if not force:
            raise InputError(f"to: {target} is not empty; choose another folder, or replace it with --force")
        if not (target / CONFIG).is_file():
            raise InputError(f"to: {target} holds something other than an export; choose another folder")
    existing = next(parent for parent in target.absolute().parents if parent.exists())
    if not os.access(existing, os.W_OK):
        raise InputError(f"to: {existing} cannot be written; choose another folder")


@contextlib.contextmanager
def _whole_or_not_there(target: Path) -> Iterator[Path]:
    """A hidden folder beside the target, NAME.partial, which takes its name, and the place of what had it, at the end.

    A process that is killed leaves it under that name; one that fails removes it. A link is replaced, not followed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".partial", dir=target.parent))
    earlier = staged.with_suffix(".old")
    try:
        yield staged
        os.chmod(staged, 0o755)  # temporary folders, and safetensors' files, are their owner's alone
        for file in staged.iterdir():
            os.chmod(file, 0o644)
        if target.is_symlink():
            target.unlink()
        elif target.exists():  # moved away at once: removing takes time in which half of it would be there
            target.rename(earlier)
        staged.rename(target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)
