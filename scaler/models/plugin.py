"""What the `scaler_*` entry points share: they enter timm's registry and go through timm's builder."""

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models._manipulate import checkpoint_seq
from torch import Tensor, nn

from scaler.architecture import Architecture
from scaler.entries import TIMMS, timm_entry

EntryPoint = TypeVar("EntryPoint", bound=Callable[..., nn.Module])


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """What makes one family's entry point.

    name      entry point, as `timm.create_model` takes it
    module    class of the network: takes the architecture as `cfg`, then timm's arguments
    default   network whose fields fill in those that a call leaves out
    trunk     what the names of the layers before the pooling begin with, the last of them at least
    features  number of feature maps of a network
    nested    whether feature maps come from inside `nn.Sequential`s, which `features_only` then takes apart
    """

    name: str
    module: type[nn.Module]
    default: Architecture
    trunk: str
    features: Callable[[Any], int]
    nested: bool = False

    def default_cfgs(self) -> Any:
        """What timm's registry holds of the entry point, without weights; it reads a module's `default_cfgs`."""
        return generate_default_cfgs({self.name: self._untrained(self.default, self.default.in_channels)})

    def build(self, pretrained: bool, **arguments: Any) -> nn.Module:
        """A network by timm's builder, with pretrained weights and `features_only` as timm knows them.

        `arguments` are the architecture's fields, without the classes, the input channels and the dropout, and timm's
        own. Raises `InputError` for an impossible network.
        """
        if "act_layer" in arguments:  # timm's name of the field
            arguments["activation"] = arguments.pop("act_layer")
        own = {field.name for field in dataclasses.fields(self.default)} - TIMMS
        architecture = self.default.replace(**{name: arguments.pop(name) for name in own & arguments.keys()})
        arguments.setdefault("drop_rate", architecture.dropout)
        if not arguments.get("pretrained_cfg"):
            # A network that comes from no file is made for its own resolution.
            untrained = self._untrained(architecture, arguments.get("in_chans", self.default.in_channels))
            overlay = arguments.pop("pretrained_cfg_overlay", None) or {}
            arguments["pretrained_cfg_overlay"] = {**untrained, **overlay}
        model: nn.Module = build_model_with_cfg(
            self.module,
            self.name,
            pretrained,
            model_cfg=architecture,
            feature_cfg={"flatten_sequential": self.nested, "out_indices": tuple(range(self.features(architecture)))},
            **arguments,
        )
        return model

    def _untrained(self, architecture: Architecture, in_channels: int) -> dict[str, Any]:
        """timm's `pretrained_cfg` of a network without weights, where it is not timm's default."""
        entry, side = timm_entry(architecture), architecture.resolution
        *_, last = (layer for layer in architecture.layers() if layer.name.startswith(self.trunk))
        return {
            "input_size": (in_channels, side, side),
            "pool_size": (last.side, last.side),
            "first_conv": entry.first_conv,
            "classifier": entry.classifier,
        }


def register(entry_point: EntryPoint) -> EntryPoint:
    """timm's `register_model`, silent where the module is imported once more: the newest definition counts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=f"Overwriting {entry_point.__name__} in registry")
        register_model(entry_point)
    return entry_point


def checkpointed(layers: nn.Sequential, ends: list[int], x: Tensor) -> Tensor:
    """`layers(x)`, keeping for the backward pass only what the layers numbered in `ends` put out.

    The last layer is one of them, and the layer after each of them must not change its input in place.
    """
    starts = [0, *(end + 1 for end in ends[:-1])]
    parts = [layers[start : end + 1] for start, end in zip(starts, ends, strict=True)]
    output: Tensor = checkpoint_seq(parts, x)
    return output
