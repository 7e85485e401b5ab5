"""How timm is asked for a network."""

from dataclasses import dataclass
from typing import Any


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
