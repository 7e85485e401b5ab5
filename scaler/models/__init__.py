"""Architectures as torch modules with timm's model interface, state-dict keys included."""

from typing import Any

import timm
from torch import nn

from scaler.architecture import Architecture
from scaler.entries import timm_entry
from scaler.models import alexnet, efficientnet, inception, resnet, vgg

__all__ = ["alexnet", "build", "efficientnet", "inception", "resnet", "vgg"]


def build(architecture: Architecture, **overrides: Any) -> nn.Module:
    """The network in torch, freshly initialised, under torch's current default device.

    It maps a float batch (n, in_channels, resolution, resolution) to logits (n, num_classes). `overrides` are further
    arguments of the timm entry point, e.g. `drop_path_rate=0.1`.
    """
    entry = timm_entry(architecture)
    arguments = {**entry.model_args, "num_classes": architecture.num_classes, "in_chans": architecture.in_channels}
    model: nn.Module = timm.create_model(entry.name, pretrained=False, **{**arguments, **overrides})
    return model
