"""VGG in torch: timm's stock entry points where they make the network, else timm's class with a head that scales."""

from functools import partial
from typing import Any

import torch
from timm.layers import ClassifierHead, create_act_layer
from timm.models import register_notrace_module
from timm.models import vgg as timm_vgg
from torch import Tensor, nn

from scaler.families.vgg import CLASSICS, VGG
from scaler.models.plugin import Plugin, checkpointed, register


@register_notrace_module  # the side of the map decides whether it is pooled
class PooledHead(timm_vgg.ConvMlp):
    """timm's two hidden layers over a square map of `side` pixels, to which any other map is pooled: (n, c_in, *, *) →
    (n, hidden, 1, 1)."""

    def __init__(self, c_in: int, hidden: int, side: int, drop_rate: float, activation: Any) -> None:
        super().__init__(c_in, hidden, side, drop_rate=drop_rate, act_layer=activation)
        self.pool = nn.AdaptiveAvgPool2d(side)

    def forward(self, x: Tensor) -> Tensor:
        """Pools and maps: see the class."""
        side = self.input_kernel_size
        if x.shape[-2] != side or x.shape[-1] != side:
            x = self.pool(x)
        output: Tensor = self.act2(self.fc2(self.drop(self.act1(self.fc1(x)))))  # TorchScript knows no `super`
        return output


class VGGModule(timm_vgg.VGG):
    """timm's VGG with widths, kernels, pools and a head that follow a `VGG`. State-dict keys are timm's."""

    def __init__(
        self, cfg: VGG, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.0, global_pool: str = "avg"
    ) -> None:
        # timm's own constructor would make a head of 120 million parameters first.
        nn.Module.__init__(self)
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.use_norm = cfg.normalisation == "batch"
        # timm names classes here, and calls them as `activation(True)` as well: the one argument is `inplace`.
        activation = partial(create_act_layer, cfg.activation)
        *channels, hidden = cfg.widths

        layers: list[nn.Module] = []
        self.feature_info = []
        self.feature_ends = []
        c_in, reduction = in_chans, 1
        for stage, (depth, width) in enumerate(zip(cfg.depths, channels, strict=True)):
            kernels = [2 * depth + 1] if cfg.kernel == "single" else [3] * depth
            for kernel in kernels:
                layers.append(nn.Conv2d(c_in, width, kernel, padding=kernel // 2))
                if self.use_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(activation(inplace=True))
                c_in = width
            self._add_feature(c_in, reduction, len(layers) - 1)
            if stage < cfg.pools:
                layers.append(nn.MaxPool2d(2, stride=2))
                reduction *= 2
        if cfg.pools == cfg.stages:
            self._add_feature(c_in, reduction, len(layers) - 1)

        self.features = nn.Sequential(*layers)
        self.num_features = c_in
        self.pre_logits = PooledHead(c_in, hidden, cfg.head_map, drop_rate, activation)
        self.head = ClassifierHead(hidden, num_classes, pool_type=global_pool, drop_rate=drop_rate)
        self.head_hidden_size = hidden * self.head.global_pool.feat_mult()
        self._initialize_weights()

    def _add_feature(self, channels: int, reduction: int, entry: int) -> None:
        self.feature_info.append({"num_chs": channels, "reduction": reduction, "module": f"features.{entry}"})
        self.feature_ends.append(entry)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trades time for memory in training: each stage is computed again in the backward pass."""
        self.grad_checkpointing = enable

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map: (n, in_chans, side, side) → (n, num_features, side', side')."""
        if self.grad_checkpointing and not torch.jit.is_scripting():
            return checkpointed(self.features, self.feature_ends, x)
        output: Tensor = self.features(x)
        return output


_PLUGIN = Plugin(
    name="scaler_vgg",
    module=VGGModule,
    default=CLASSICS["vgg16"],
    # As timm's VGG: the end of every stage, and the last pooling where the last stage has one.
    trunk="features",
    features=lambda network: network.stages + (network.pools == network.stages),
    nested=True,
)
default_cfgs = _PLUGIN.default_cfgs()


@register
def scaler_vgg(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """VGG of any shape: takes the fields of `scaler.families.vgg.VGG` and timm's arguments."""
    return _PLUGIN.build(pretrained, **kwargs)
