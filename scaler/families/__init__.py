"""The families of networks that scaler scales, and the classics published in each."""

from collections.abc import Mapping
from typing import Any

from scaler.architecture import Architecture
from scaler.errors import InputError, unknown
from scaler.families import alexnet, resnet, vgg
from scaler.families.alexnet import AlexNet
from scaler.families.resnet import ResNet
from scaler.families.vgg import VGG

FAMILIES: dict[str, type[Architecture]] = {"alexnet": AlexNet, "resnet": ResNet, "vgg": VGG}

CLASSICS: dict[str, Architecture] = {**alexnet.CLASSICS, **resnet.CLASSICS, **vgg.CLASSICS}


def family(name: str) -> type[Architecture]:
    """The architecture class of a family; an unknown name raises `InputError`."""
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]


def classic(name: str) -> Architecture:
    """A published architecture at its published resolution with 1000 classes; an unknown name raises `InputError`."""
    if name not in CLASSICS:
        raise unknown("classic", name, CLASSICS)
    return CLASSICS[name]


def from_dict(record: Mapping[str, Any]) -> Architecture:
    """The architecture that `to_dict` described."""
    fields = dict(record)
    if "family" not in fields:
        raise InputError(f"family: missing in the architecture; one of {', '.join(sorted(FAMILIES))}")
    return family(fields.pop("family")).from_fields(fields)
