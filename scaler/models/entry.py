"""How timm is asked for a network."""

from dataclasses import dataclass
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmEntry:
    """A timm entry point that makes one network.

    name        entry point, as `timm.create_model` takes it
    model_args  JSON-safe keyword arguments, without the classes and the input channels
    first_conv  module name of the first convolution, which timm adapts to other input channels
    classifier  module name of the classifier, which timm replaces for other classes
    tier        stock (timm alone knows the entry point) or plugin (`import scaler.models` registers it)
    """

    name: str
    model_args: dict[str, Any]
    first_conv: str
    classifier: str
    tier: str


def untrained_cfg(resolution: int, in_channels: int, first_conv: str, classifier: str) -> dict[str, Any]:
    """timm's `pretrained_cfg` of a network without weights: ImageNet's normalisation and an input of `resolution`
    pixels."""
    return {
        "num_classes": 1000,
        "input_size": (in_channels, resolution, resolution),
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "first_conv": first_conv,
        "classifier": classifier,
    }
