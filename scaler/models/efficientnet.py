"""EfficientNet in torch: timm's own class, through its stock entry points for B0 to B7 and `scaler_efficientnet` else.

timm's entry points decode their blocks inside, from multipliers that they set themselves, so no argument of theirs
reaches a stage's depth or width.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from timm.models import build_model_with_cfg, is_model, register_model
from timm.models import efficientnet as timm_efficientnet
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import nn

from scaler.families.efficientnet import CLASSICS, STRIDES, EfficientNet
from scaler.models.entry import TimmEntry, untrained_cfg

_SHAPE = ("depths", "widths", "kernels", "expansions", "se_ratios", "stem_stride")


def timm_entry(architecture: EfficientNet) -> TimmEntry:
    """The entry point and the JSON-safe arguments that make this network: stock for the shapes of B0 to B7."""
    arguments: dict[str, Any] = {}
    if architecture.activation != "silu":
        arguments["act_layer"] = architecture.activation
    if architecture.dropout:
        arguments["drop_rate"] = architecture.dropout
    stock = [name for name, classic in CLASSICS.items() if _shape(classic) == _shape(architecture)]
    if not stock:
        shape = _shape(architecture) | {"resolution": architecture.resolution}
        arguments |= {name: list(value) if isinstance(value, tuple) else value for name, value in shape.items()}
    return TimmEntry(
        name=stock[0] if stock else "scaler_efficientnet",
        model_args=arguments,
        first_conv="conv_stem",
        classifier="classifier",
        tier="stock" if stock else "plugin",
    )


def _shape(architecture: EfficientNet) -> dict[str, Any]:
    return {name: getattr(architecture, name) for name in _SHAPE}


class ScaledEfficientNet(timm_efficientnet.EfficientNet):
    """timm's EfficientNet with the blocks, the channels and the stem's stride of an architecture, keys included.

    Maps a float batch (n, in_chans, side, side) to logits (n, num_classes); `options` are arguments of timm's class.
    """

    def __init__(self, architecture: EfficientNet, **options: Any) -> None:
        stem, *stage_widths, head = architecture.widths
        super().__init__(
            block_args=[
                [_block_args(architecture, stage, width) for _ in range(architecture.depths[stage])]
                for stage, width in enumerate(stage_widths)
            ],
            stem_size=stem,
            num_features=head,
            round_chs_fn=_as_given,
            # A narrow block's squeeze can round to no channel at all.
            se_layer=partial(SqueezeExcite, rd_round_fn=_at_least_one),
            **options,
        )
        if architecture.stem_stride == 1:  # timm's class fixes it at 2
            self.conv_stem.stride = (1, 1)
            for level in self.feature_info:
                level["reduction"] //= 2


def _block_args(architecture: EfficientNet, stage: int, width: int) -> dict[str, Any]:
    """The arguments of one block, as timm's decoder of block strings gives them; a depthwise separable block is an
    inverted bottleneck without expansion."""
    arguments = {
        "block_type": "ds",
        "out_chs": width,
        "stride": STRIDES[stage],
        "act_layer": None,
        "dw_kernel_size": architecture.kernels[stage],
        "se_ratio": architecture.se_ratios[stage],
    }
    if architecture.expansions[stage] != 1:
        arguments |= {"block_type": "ir", "exp_ratio": architecture.expansions[stage]}
    return arguments


def _as_given(channels: int) -> int:
    return channels


def _at_least_one(channels: float) -> int:
    return max(1, round(channels))


def scaler_efficientnet(
    pretrained: bool = False,
    *,
    depths: Sequence[int],
    widths: Sequence[int],
    resolution: int,
    kernels: Sequence[int] = CLASSICS["efficientnet_b0"].kernels,
    expansions: Sequence[int] = CLASSICS["efficientnet_b0"].expansions,
    se_ratios: Sequence[float] = CLASSICS["efficientnet_b0"].se_ratios,
    stem_stride: int = 2,
    act_layer: str = "silu",
    **options: Any,
) -> nn.Module:
    """timm entry point of any EfficientNet: the architecture's fields, and timm's usual arguments as `options`.

    `resolution` is the input's side in the model's own `pretrained_cfg`. An impossible network raises `InputError`.
    """
    architecture = EfficientNet(
        depths=tuple(depths),
        widths=tuple(widths),
        resolution=resolution,
        kernels=tuple(kernels),
        expansions=tuple(expansions),
        se_ratios=tuple(se_ratios),
        stem_stride=stem_stride,
        activation=act_layer,
    )
    if not options.get("pretrained_cfg"):
        options["pretrained_cfg"] = untrained_cfg(resolution, options.get("in_chans", 3), "conv_stem", "classifier")
    model: nn.Module = build_model_with_cfg(
        partial(ScaledEfficientNet, architecture),
        "scaler_efficientnet",
        pretrained,
        feature_cfg={"flatten_sequential": True},
        act_layer=act_layer,
        **options,
    )
    return model


if not is_model("scaler_efficientnet"):  # registering it twice would warn
    register_model(scaler_efficientnet)
