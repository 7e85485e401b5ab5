"""What a recipe asks for, made of timm's parts."""

import functools
from typing import Any

import torch
from timm.data import Mixup
from timm.optim import create_optimizer_v2, get_optimizer_class
from timm.scheduler import create_scheduler_v2
from torch import nn

from scaler.data import Augmentation, Dataset
from scaler.recipe import Recipe

_FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """timm's optimizer over the model's parameters, biases and norms without weight decay.

    Torch's own are asked for their fused step: of a network of half a million weights, AdamW's took 1.1 ms in place of
    6.6 on two CPU cores. On a GPU it was not measured.
    """
    named = get_optimizer_class(recipe.optimizer)
    kind = named.func if isinstance(named, functools.partial) else named
    options: dict[str, Any] = {"fused": True} if kind in _FUSED else {}
    made: torch.optim.Optimizer = create_optimizer_v2(
        model,
        opt=recipe.optimizer,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
        **options,
    )
    return made


def augmentation(recipe: Recipe, data: Dataset) -> Augmentation:
    """How the training images are augmented."""
    return Augmentation(
        shift=recipe.shift,
        resized_crop=recipe.resized_crop,
        flip=data.flip if recipe.flip is None else recipe.flip,
        color_jitter=recipe.color_jitter,
        erasing=recipe.erasing,
    )


def mixup(recipe: Recipe, classes: int) -> Mixup | None:
    """timm's Mixup and CutMix, drawn per sample; None if the recipe has neither."""
    if not recipe.mixup and not recipe.cutmix:
        return None
    return Mixup(
        mixup_alpha=recipe.mixup,
        cutmix_alpha=recipe.cutmix,
        mode="elem",
        label_smoothing=recipe.label_smoothing,
        num_classes=classes,
    )


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Any:
    """timm's scheduler over the recipe's epochs, its warm-up among them."""
    falling = max(1, recipe.epochs - recipe.warmup_epochs)
    made, _ = create_scheduler_v2(
        optimizer,
        sched=recipe.schedule,
        num_epochs=falling,
        decay_milestones=[falling // 2, falling * 3 // 4],
        decay_rate=1.0 if recipe.schedule == "poly" else 0.1,
        warmup_epochs=recipe.warmup_epochs,
        warmup_prefix=True,
        step_on_epochs=False,
        updates_per_epoch=steps,
    )
    return made


def class_weights(data: Dataset) -> torch.Tensor:
    """float32 (classes,), inverse to each class's share of the training split, 1 on average over the images."""
    counts = torch.bincount(data.train.labels, minlength=len(data.classes)).clamp(min=1)
    return len(data.train) / (len(data.classes) * counts.float())
