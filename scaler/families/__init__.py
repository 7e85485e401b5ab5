"""The families of networks that scaler scales, and the classics published in each."""

from collections.abc import Mapping
from typing import Any

from scaler.architecture import Architecture
from scaler.errors import InputError, unknown
from scaler.families import alexnet, efficientnet, inception, inception_v3, resnet, vgg
from scaler.families.alexnet import AlexNet
from scaler.families.efficientnet import EfficientNet
from scaler.families.inception import Inception
from scaler.families.inception_v3 import InceptionV3
from scaler.families.resnet import ResNet
from scaler.families.vgg import VGG

FAMILIES: dict[str, type[Architecture]] = {
    "alexnet": AlexNet,
    "vgg": VGG,
    "resnet": ResNet,
    "inception": Inception,
    "inception_v3": InceptionV3,
    "efficientnet": EfficientNet,
}

CLASSICS: dict[str, Architecture] = {
    **alexnet.CLASSICS,
    **vgg.CLASSICS,
    **resnet.CLASSICS,
    **inception.CLASSICS,
    **inception_v3.CLASSICS,
    **efficientnet.CLASSICS,
}


def family(name: str) -> type[Architecture]:
    """The architecture class of a family; an unknown name raises `InputError`."""
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]


def classic(name: str) -> Architecture:
    """A published architecture at its published resolution and classes; an unknown name raises `InputError`."""
    if name not in CLASSICS:
        raise unknown("classic", name, CLASSICS)
    return CLASSICS[name]


def from_dict(record: Mapping[str, Any]) -> Architecture:
    """The architecture that `to_dict` described."""
    fields = dict(record)
    if "family" not in fields:
        raise InputError(f"family: missing in the architecture; one of {', '.join(sorted(FAMILIES))}")
    return family(fields.pop("family")).from_fields(fields)
