"""How timm is asked for each network: the entry point and its arguments, as data.

Stock wherever an entry point of timm's own makes exactly the network, else one that `scaler.models` registers.
"""

from dataclasses import dataclass
from typing import Any

from scaler.architecture import Architecture
from scaler.families import efficientnet, vgg
from scaler.families.alexnet import AlexNet
from scaler.families.efficientnet import EfficientNet
from scaler.families.inception import Inception
from scaler.families.inception_v3 import InceptionV3
from scaler.families.resnet import ResNet
from scaler.families.vgg import VGG

# Fields that an entry point takes under timm's names alone: `num_classes`, `in_chans` and `drop_rate`.
TIMMS = frozenset({"num_classes", "in_channels", "dropout"})

_RESNETS = {"basic": "resnet18", "bottleneck": "resnet50"}
_EFFICIENTNET_SHAPE = ("depths", "widths", "kernels", "expansions", "se_ratios", "stem_stride")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmEntry:
    """A timm entry point that makes one network.

    name        entry point, as `timm.create_model` takes it
    model_args  JSON-safe keyword arguments, without the classes and the input channels
    first_conv  module name of the first convolution, which timm adapts to other input channels
    classifier  module name of the classifier, which timm replaces for other classes
    auxiliary   module names of further classifiers in mid-network
    tier        stock (timm alone knows the entry point) or plugin (`import scaler.models` registers it)
    """

    name: str
    model_args: dict[str, Any]
    first_conv: str
    classifier: str
    tier: str
    auxiliary: tuple[str, ...] = ()


def timm_entry(architecture: Architecture) -> TimmEntry:
    """The timm entry point and arguments that make this network."""
    match architecture:
        case AlexNet():
            return _plugin("scaler_alexnet", architecture, first_conv="features.0", classifier="classifier.6")
        case VGG():
            return _vgg(architecture)
        case ResNet():
            return _resnet(architecture)
        case Inception():
            auxiliary = ("aux1.fc2", "aux2.fc2") if architecture.aux_heads else ()
            return _plugin("scaler_inception", architecture, "conv1.conv", "fc", auxiliary)
        case InceptionV3():
            return _stock("inception_v3", stock_args(architecture), first_conv="Conv2d_1a_3x3.conv", classifier="fc")
        case EfficientNet():
            return _efficientnet(architecture)
    raise AssertionError(f"{architecture.family} has no torch module")


def stock_args(architecture: Architecture, activation: str = "relu") -> dict[str, Any]:
    """The activation and the dropout by timm's names, where they are not those of a stock entry point: `activation`
    and no dropout."""
    arguments: dict[str, Any] = {}
    if architecture.activation != activation:
        arguments["act_layer"] = architecture.activation
    if architecture.dropout:
        arguments["drop_rate"] = architecture.dropout
    return arguments


def plugin_args(architecture: Architecture) -> dict[str, Any]:
    """The JSON-safe keyword arguments with which the family's `scaler_*` entry point makes this network."""
    fields = {name: value for name, value in architecture.to_dict().items() if name not in TIMMS}
    del fields["family"], fields["activation"]
    return {**fields, "act_layer": architecture.activation, "drop_rate": architecture.dropout}


def _stock(name: str, arguments: dict[str, Any], first_conv: str, classifier: str) -> TimmEntry:
    return TimmEntry(name=name, model_args=arguments, first_conv=first_conv, classifier=classifier, tier="stock")


def _plugin(
    name: str, architecture: Architecture, first_conv: str, classifier: str, auxiliary: tuple[str, ...] = ()
) -> TimmEntry:
    return TimmEntry(
        name=name,
        model_args=plugin_args(architecture),
        first_conv=first_conv,
        classifier=classifier,
        tier="plugin",
        auxiliary=auxiliary,
    )


def _resnet(architecture: ResNet) -> TimmEntry:
    """Stock for four stages with projections."""
    first_conv = "conv1.0" if architecture.stem == "deep" else "conv1"
    if architecture.stages != 4 or architecture.stem == "cifar" or architecture.shortcut != "B":
        return _plugin("scaler_resnet", architecture, first_conv, "fc")
    shape: dict[str, Any] = {"layers": list(architecture.depths), "channels": list(architecture.widths[1:])}
    if architecture.stem == "deep":
        shape |= {"stem_type": "deep", "stem_width": architecture.widths[0] // 2}
    return _stock(_RESNETS[architecture.block], shape | stock_args(architecture), first_conv, "fc")


def _vgg(architecture: VGG) -> TimmEntry:
    """Stock for the published depths and widths with a map that the head covers."""
    first_conv, classifier = "features.0", "head.fc"
    if architecture.last_side <= architecture.head_map:  # else timm's head would slide over the map
        for name, classic in vgg.CLASSICS.items():
            as_classic = architecture.replace(
                resolution=classic.resolution,
                num_classes=classic.num_classes,
                in_channels=classic.in_channels,
                dropout=classic.dropout,
            )
            if as_classic == classic:
                return _stock(name, stock_args(architecture), first_conv, classifier)
    return _plugin("scaler_vgg", architecture, first_conv, classifier)


def _efficientnet(architecture: EfficientNet) -> TimmEntry:
    """Stock for the shapes of B0 to B7."""
    first_conv, classifier = "conv_stem", "classifier"
    for name, classic in efficientnet.CLASSICS.items():
        if all(getattr(classic, field) == getattr(architecture, field) for field in _EFFICIENTNET_SHAPE):
            return _stock(name, stock_args(architecture, activation="silu"), first_conv, classifier)
    return _plugin("scaler_efficientnet", architecture, first_conv, classifier)
