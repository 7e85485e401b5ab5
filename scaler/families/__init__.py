"""The families of networks that scaler scales, and the classics published in each."""

from collections.abc import Mapping
from typing import Any

from scaler.architecture import Architecture
from scaler.errors import InputError, unknown
from scaler.families import inception, inception_v3, resnet
from scaler.families.inception import Inception
from scaler.families.inception_v3 import InceptionV3
from scaler.families.resnet import ResNet

FAMILIES: dict[str, type[Architecture]] = {"inception": Inception, "inception_v3": InceptionV3, "resnet": ResNet}

CLASSICS: dict[str, Architecture] = {**resnet.CLASSICS, **inception.CLASSICS, **inception_v3.CLASSICS}


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
