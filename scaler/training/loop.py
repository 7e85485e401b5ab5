"""Training of one network on whatever device there is, resumable after every epoch."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from torch import nn

from scaler.architecture import Architecture
from scaler.checkpoint import load_state, save_state
from scaler.data import Dataset
from scaler.distributed import ALONE, Group
from scaler.errors import InputError
from scaler.evaluation import Report, Result
from scaler.hardware import pick_device
from scaler.initial import Initial
from scaler.recipe import Recipe
from scaler.training.training import Epoch, Training

_LOG = logging.getLogger(__name__)

Watch: TypeAlias = Callable[[Epoch, nn.Module], None]
"""Is told of each epoch as it ends, and shown the network."""


def never_stop(epoch: int, accuracy: float) -> bool:
    """A `Report` that lets every epoch run."""
    return True


def train(
    architecture: Architecture,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    report: Report = never_stop,
    *,
    objective: str = "accuracy",
    device: torch.device | None = None,
    group: Group = ALONE,
    checkpoint: Path | None = None,
    watch: Watch | None = None,
    initial: Initial | None = None,
) -> tuple[nn.Module, Result]:
    """Trains one network from scratch, or from `initial` weights; returns it in eval mode beside the result.

    `report` gets the validation split's `objective` after each epoch. With a `checkpoint` file the training is saved
    there after each epoch, and goes on from there if the file holds this same training; the epochs before are then
    reported again first. A damaged file is named in the log, and the training starts anew. Where it cannot be saved, on
    a full disk, it goes on unsaved. The same seed on the same machine with the same number of threads gives the same
    weights, interrupted or not. Raises `EvaluationError` when the loss is no longer finite, or not even one image fits
    in memory.
    """

    def begin() -> Training:
        tensors = initial.tensors if initial else {}
        return Training(architecture, data, recipe, seed, device or pick_device(group.local), group, tensors)

    fingerprint = {
        "digest": architecture.digest,
        "seed": seed,
        "objective": objective,
        "data": data.name,
        "recipe": dataclasses.asdict(recipe),
        **({"initial": initial.checksum} if initial else {}),
    }
    training, values = _restored(begin, checkpoint, fingerprint)
    stopped = not group.all_told(not group.leads or all(report(epoch, value) for epoch, value in enumerate(values, 1)))
    while training.epochs_done < recipe.epochs and not stopped:
        epoch = training.epoch()
        values.append(getattr(epoch.scores, objective))
        if watch is not None:
            watch(epoch, training.network)
        if checkpoint and group.leads:
            _save(checkpoint, {"of": fingerprint, "values": values, "training": training.state()})
        stopped = not group.all_told(not group.leads or report(epoch.epoch, values[-1]))
    return training.network.eval(), training.result(objective, stopped and training.epochs_done < recipe.epochs)


def _restored(
    begin: Callable[[], Training], checkpoint: Path | None, fingerprint: dict[str, Any]
) -> tuple[Training, list[float]]:
    """The training and what its epochs came to so far: as the checkpoint has it, else at its beginning."""
    training = begin()
    try:
        saved = load_state(checkpoint) if checkpoint else None
        if saved is None or saved["of"] != fingerprint:
            return training, []
        training.restore(saved["training"])
        return training, list(saved["values"])
    except InputError as error:
        _LOG.warning("%s", error)
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:  # whatever a part makes of it
        reason = " ".join(str(error).split())
        _LOG.warning("checkpoint: %s does not fit its training (%s); the training starts anew", checkpoint, reason)
    return begin(), []


def _save(checkpoint: Path, state: dict[str, Any]) -> None:
    try:
        save_state(checkpoint, state)
    except (OSError, SafetensorError) as error:
        _LOG.warning("the training cannot be saved in %s (%s) and goes on", checkpoint.parent, error)
