"""ResNet in torch: timm's own class, through its stock entry points where they reach and `scaler_resnet` else.

timm's class has four stages, a stem of stride 4 and projections for shortcuts; what differs is put right after it is
built, so that the keys stay timm's.
"""

from typing import Any

import torch
from timm.models import resnet as timm_resnet
from timm.models._features import feature_take_indices
from torch import nn
from torch.nn import functional

from scaler.families.resnet import CLASSICS, ResNet
from scaler.models.plugin import Plugin, register

_BLOCKS: dict[str, Any] = {"basic": timm_resnet.BasicBlock, "bottleneck": timm_resnet.Bottleneck}


class ScaledResNet(timm_resnet.ResNet):
    """timm's ResNet with the stages, the stem and the shortcuts of an architecture, keys included.

    Maps a float batch (n, in_chans, side, side) to logits (n, num_classes); `options` are arguments of timm's class.
    """

    def __init__(self, cfg: ResNet, *, zero_init_last: bool = True, **options: Any) -> None:
        stem, *stage_widths = cfg.widths
        super().__init__(
            _BLOCKS[cfg.block],
            cfg.depths,
            channels=tuple(stage_widths),
            # timm's plain stem has 64 channels; its deep one any even number, which the blocks then expect.
            stem_type="" if cfg.stem == "imagenet" else "deep",
            stem_width=stem // 2,
            # A plain block that starts as zero would end all gradients.
            zero_init_last=zero_init_last and cfg.shortcut != "none",
            act_layer=cfg.activation,
            **options,
        )
        if cfg.stages == 3:
            self.layer4 = nn.Sequential()
        if cfg.stem == "cifar":
            like = self.bn1.weight
            c_in = options.get("in_chans", 3)
            conv1 = nn.Conv2d(c_in, stem, kernel_size=3, padding=1, bias=False, device=like.device, dtype=like.dtype)
            nn.init.kaiming_normal_(conv1.weight, mode="fan_out", nonlinearity="relu")
            self.add_module("conv1", conv1)
            self.add_module("maxpool", nn.Identity())
            self.feature_info[0]["reduction"] = 1
            for stage in range(cfg.stages):
                self.feature_info[stage + 1]["reduction"] = 2**stage
        for stage in range(cfg.stages):
            for block in self.get_submodule(f"layer{stage + 1}").children():
                if cfg.shortcut == "none":
                    block.downsample = _NoShortcut()
                elif cfg.shortcut == "A" and block.downsample is not None:
                    c_out = stage_widths[stage] * cfg.expansion
                    block.downsample = _PaddedShortcut(c_out, stride=1 if stage == 0 else 2)

    def forward_intermediates(
        self,
        x: torch.Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]:
        """timm's, with as many levels as this network has."""
        levels, _ = feature_take_indices(len(self.feature_info), indices)
        return super().forward_intermediates(x, levels, norm, stop_early, output_fmt, intermediates_only)

    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """timm's, with as many levels as this network has."""
        levels, last_kept = feature_take_indices(len(self.feature_info), indices)
        # timm counts the empty fourth stage: with it in the list, a network of three keeps the classifier it asks for.
        kept = [*levels, 4] if last_kept == len(self.feature_info) - 1 else levels
        super().prune_intermediate_layers(kept, prune_norm, prune_head)
        return levels


class _PaddedShortcut(nn.Module):
    """Shortcut A: every `stride`-th pixel, with zeros for the channels that (n, c_in, side, side) lacks of `c_out`."""

    def __init__(self, c_out: int, stride: int) -> None:
        super().__init__()
        self.c_out = c_out
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, : self.c_out, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, self.c_out - x.shape[1]))


class _NoShortcut(nn.Module):
    """What timm's block adds in a plain network: zero."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.new_zeros(())


_PLUGIN = Plugin(
    name="scaler_resnet",
    module=ScaledResNet,
    default=CLASSICS["resnet18"],
    trunk="layer",
    features=lambda network: network.stages + 1,
)
default_cfgs = _PLUGIN.default_cfgs()


@register
def scaler_resnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """ResNet of any shape: takes the fields of `scaler.families.resnet.ResNet` and timm's arguments."""
    return _PLUGIN.build(pretrained, **kwargs)
