"""What the `scaler_*` entry points share: they enter timm's registry and go through timm's builder."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from timm.models import build_model_with_cfg, register_model
from timm.models._manipulate import checkpoint_seq
from torch import Tensor, nn

from scaler.architecture import Architecture

EntryPoint = TypeVar("EntryPoint", bound=Callable[..., nn.Module])

# The classes and the input channels are timm's arguments, and so is the dropout, as `drop_rate`.
_TIMM_NAMES = frozenset({"num_classes", "in_channels", "dropout"})


def register(entry_point: EntryPoint) -> EntryPoint:
    """timm's `register_model`, silent where the module is imported once more: the newest definition counts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f"Overwriting {entry_point.__name__} in registry")
        register_model(entry_point)
    return entry_point


def plugin_args(architecture: Architecture) -> dict[str, Any]:
    """The JSON-safe keyword arguments with which the family's entry point makes this network."""
    fields = {name: value for name, value in architecture.to_dict().items() if name not in _TIMM_NAMES}
    del fields["family"]
    return {**fields, "drop_rate": architecture.dropout}


def build_plugin(
    module: type[nn.Module], default: Architecture, name: str, pretrained: bool, features: int, **arguments: Any
) -> nn.Module:
    """A network of ours by timm's builder, with pretrained weights and `features_only` as timm knows them.

    `arguments` are those of `plugin_args`, where `default` fills in what is missing, and timm's own. The module takes
    the architecture as `cfg`, then timm's arguments. `features` is the number of its feature maps. Raises `InputError`
    for an impossible network.
    """
    own = {field.name for field in dataclasses.fields(default)} - _TIMM_NAMES
    architecture = default.replace(**{key: arguments.pop(key) for key in own & arguments.keys()})
    arguments.setdefault("drop_rate", architecture.dropout)
    if arguments.get("pretrained_cfg") is None:
        # A network that comes from no file is made for its own resolution.
        side, in_channels = architecture.resolution, arguments.get("in_chans", default.in_channels)
        overlay = arguments.pop("pretrained_cfg_overlay", None) or {}
        arguments["pretrained_cfg_overlay"] = {"input_size": (in_channels, side, side), **overlay}
    model: nn.Module = build_model_with_cfg(
        module,
        name,
        pretrained,
        model_cfg=architecture,
        feature_cfg={"flatten_sequential": True, "out_indices": tuple(range(features))},
        **arguments,
    )
    return model


def checkpointed(layers: nn.Sequential, ends: list[int], x: Tensor) -> Tensor:
    """`layers(x)`, keeping for the backward pass only what the layers numbered in `ends` put out.

    The last layer is one of them, and the layer after each of them must not change its input in place.
    """
    starts = [0, *(end + 1 for end in ends[:-1])]
    parts = [layers[start : end + 1] for start, end in zip(starts, ends, strict=True)]
    output: Tensor = checkpoint_seq(parts, x)
    return output
