"""How timm is asked for a network."""

from dataclasses import dataclass
from typing import Any

from scaler.architecture import Architecture


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


def stock_args(architecture: Architecture, activation: str = "relu") -> dict[str, Any]:
    """The activation and the dropout by timm's names, where they are not those of a stock entry point: `activation`
    and no dropout."""
    arguments: dict[str, Any] = {}
    if architecture.activation != activation:
        arguments["act_layer"] = architecture.activation
    if architecture.dropout:
        arguments["drop_rate"] = architecture.dropout
    return arguments
