"""Architectures as torch modules with timm's model interface, state-dict keys included."""

from typing import Any

import timm
from torch import nn

from scaler.architecture import Architecture
from scaler.families.inception import Inception
from scaler.families.inception_v3 import InceptionV3
from scaler.families.resnet import ResNet
from scaler.models import inception, inception_v3, resnet
from scaler.models.entry import TimmEntry

__all__ = ["TimmEntry", "build", "timm_entry"]


def timm_entry(architecture: Architecture) -> TimmEntry:
    """The timm entry point and arguments that make this network."""
    match architecture:
        case ResNet():
            return resnet.timm_entry(architecture)
        case Inception():
            return inception.timm_entry(architecture)
        case InceptionV3():
            return inception_v3.timm_entry(architecture)
    raise AssertionError(f"{architecture.family} has no torch module")


def build(architecture: Architecture, **overrides: Any) -> nn.Module:
    """The network in torch, freshly initialised, under torch's current default device.

    It maps a float batch (n, in_channels, resolution, resolution) to logits (n, num_classes). `overrides` are further
    arguments of the timm entry point, e.g. `drop_path_rate=0.1`.
    """
    entry = timm_entry(architecture)
    arguments = {**entry.model_args, "num_classes": architecture.num_classes, "in_chans": architecture.in_channels}
    model: nn.Module = timm.create_model(entry.name, pretrained=False, **{**arguments, **overrides})
    return model
