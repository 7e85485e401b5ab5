"""How good a network is on a split: through the training's own fast path, or as a user of timm measures it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import f1_score, recall_score
from timm.data import create_transform
from torch import nn

from scaler.data import INTERPOLATION, Dataset, Split, normalize

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Scores:
    """How many of the predictions are right, from 0 to 1.

    accuracy           share of the images
    balanced_accuracy  mean over the classes of the share of a class's images
    macro_f1           mean over the classes of the harmonic mean of precision and recall
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float

    @classmethod
    def of(cls, predicted: torch.Tensor, labels: torch.Tensor) -> "Scores":
        """The scores of predicted classes, both int64 (n,) on the CPU."""
        truth, guess = labels.numpy(), predicted.numpy()
        return cls(
            accuracy=float((truth == guess).mean()),
            balanced_accuracy=float(
                recall_score(truth, guess, labels=np.unique(truth), average="macro", zero_division=0)
            ),
            macro_f1=float(f1_score(truth, guess, average="macro", zero_division=0)),
        )


def evaluate(model: nn.Module, data: Dataset, split: Split, side: int) -> Scores:
    """The scores on a split, images resized to `side` pixels as the training resizes them."""
    device = next(model.parameters()).device
    return _scores(model, training_batches(data, split, side, device), split.labels)


def evaluate_as_timm_user(model: nn.Module, data: Dataset, split: Split, side: int) -> Scores:
    """The scores on a split as a user of the exported network measures them, through timm's own eval transform."""
    device = next(model.parameters()).device
    return _scores(model, (batch.to(device) for batch in timm_batches(data, split, side)), split.labels)


def training_batches(data: Dataset, split: Split, side: int, device: torch.device) -> Iterator[torch.Tensor]:
    """A split's images as the training validates on them: float32 (n, channels, side, side), channels-last."""
    return (normalize(images, data) for images, _ in split.batches(None, _BATCH, side, device))


def timm_batches(data: Dataset, split: Split, side: int, batch_size: int = _BATCH) -> Iterator[torch.Tensor]:
    """A split's images as timm's own eval transform makes them from pictures: float32 (n, channels, side, side)."""
    transform = create_transform(
        input_size=(data.channels, side, side),
        interpolation=INTERPOLATION,
        mean=data.mean,
        std=data.std,
        crop_pct=1.0,
        crop_mode="center",
    )
    batch: list[torch.Tensor] = []
    for picture in split.pictures():
        batch.append(transform(picture))
        if len(batch) == batch_size:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


@torch.inference_mode()
def _scores(model: nn.Module, batches: Iterator[torch.Tensor], labels: torch.Tensor) -> Scores:
    model.eval()
    return Scores.of(torch.cat([model(batch).argmax(dim=1) for batch in batches]).cpu(), labels)
