"""EfficientNet in torch: timm's own class, through its stock entry points for B0 to B7 and `scaler_efficientnet` else.

timm's entry points decode their blocks inside, from multipliers that they set themselves, so no argument of theirs
reaches a stage's depth or width.
"""

from functools import partial
from typing import Any

from timm.models import efficientnet as timm_efficientnet
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import nn

from scaler.families.efficientnet import CLASSICS, STRIDES, EfficientNet
from scaler.models.plugin import Plugin, register


class ScaledEfficientNet(timm_efficientnet.EfficientNet):
    """timm's EfficientNet with the blocks, the channels and the stem's stride of an architecture, keys included.

    Maps a float batch (n, in_chans, side, side) to logits (n, num_classes); `options` are arguments of timm's class.
    """

    def __init__(self, cfg: EfficientNet, **options: Any) -> None:
        stem, *stage_widths, head = cfg.widths
        super().__init__(
            block_args=[
                [block_args(cfg, stage, width) for _ in range(cfg.depths[stage])]
                for stage, width in enumerate(stage_widths)
            ],
            stem_size=stem,
            num_features=head,
            round_chs_fn=_as_given,
            act_layer=cfg.activation,
            # A narrow block's squeeze can round to no channel at all.
            se_layer=partial(SqueezeExcite, rd_round_fn=_at_least_one),
            **options,
        )
        if cfg.stem_stride == 1:  # timm's class fixes it at 2
            self.conv_stem.stride = (1, 1)
            for level in self.feature_info:
                level["reduction"] //= 2


def block_args(architecture: EfficientNet, stage: int, width: int) -> dict[str, Any]:
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


_PLUGIN = Plugin(
    name="scaler_efficientnet",
    module=ScaledEfficientNet,
    default=CLASSICS["efficientnet_b0"].replace(dropout=0.0),  # as timm's own, which drop nothing unless asked to
    trunk="conv_head",
    features=lambda network: 5,
    nested=True,
)
default_cfgs = _PLUGIN.default_cfgs()


@register
def scaler_efficientnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Any EfficientNet: takes the fields of `scaler.families.efficientnet.EfficientNet` and timm's arguments."""
    return _PLUGIN.build(pretrained, **kwargs)
