"""GoogLeNet in torch: a class of our own with timm's interface, since timm has no GoogLeNet.

Its state dict has torchvision's keys, so that torchvision's weights load (they expect images normalised as ImageNet's,
not torchvision's `transform_input`). Modules repeated beyond the published number are `inception4_repeats.0` and so on.
"""

from collections.abc import Callable
from typing import Any

import torch
from timm.layers.classifier import create_classifier
from timm.layers.create_act import create_act_layer
from timm.models import checkpoint
from torch import nn
from torch.nn import functional

from scaler.families.inception import AUX_SIDE, CLASSICS, POOLS, Inception, Module
from scaler.models.plugin import Plugin, register

_NORM_EPS = 1e-3  # torchvision's
_AUX_DROPOUT = 0.7  # the paper's, section 5


class _ConvNorm(nn.Module):
    """A convolution that keeps the side, or halves it; then batch normalisation, or a bias in its place; then act."""

    def __init__(self, net: Inception, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=net.norm == "none")
        self.bn = nn.BatchNorm2d(c_out, eps=_NORM_EPS) if net.norm == "batch" else nn.Identity()
        self.act = create_act_layer(net.activation, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activated: torch.Tensor = self.act(self.bn(self.conv(x)))
        return activated


class _InceptionModule(nn.Module):
    """Four branches over one input, (n, c_in, side, side) to (n, c_out, side, side)."""

    def __init__(self, net: Inception, module: Module) -> None:
        super().__init__()
        self.branch1 = _ConvNorm(net, module.c_in, module.direct, 1)
        self.branch2 = nn.Sequential(
            _ConvNorm(net, module.c_in, module.reduce_middle, 1),
            _ConvNorm(net, module.reduce_middle, module.middle, 3),
        )
        self.branch3 = nn.Sequential(
            _ConvNorm(net, module.c_in, module.reduce_large, 1),
            _ConvNorm(net, module.reduce_large, module.large, net.kernel),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), _ConvNorm(net, module.c_in, module.projection, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class _AuxiliaryHead(nn.Module):
    """A classifier in mid-network, (n, c_in, side, side) to logits (n, num_classes)."""

    def __init__(self, net: Inception, c_in: int, num_classes: int) -> None:
        super().__init__()
        channels, hidden = net.aux_channels(net.widths)
        self.side = AUX_SIDE
        self.conv = _ConvNorm(net, c_in, channels, 1)
        self.fc1 = nn.Linear(channels * AUX_SIDE**2, hidden)
        self.act = create_act_layer(net.activation, inplace=True)
        self.drop = nn.Dropout(_AUX_DROPOUT)
        self.fc2 = _classifier(hidden, num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Replaces the last layer by a fresh one."""
        self.fc2 = _classifier(self.fc1.out_features, num_classes).to(self.fc1.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(functional.adaptive_avg_pool2d(x, self.side)).flatten(1)
        logits: torch.Tensor = self.fc2(self.drop(self.act(self.fc1(x))))
        return logits


class GoogLeNet(nn.Module):
    """GoogLeNet as the fields of `Inception` say, with timm's interface.

    `forward` gives logits (n, num_classes) in training too; `forward_with_aux` gives those of the auxiliary heads
    beside them. `num_classes` 0 leaves the classifiers out.
    """

    def __init__(
        self,
        cfg: Inception,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.feature_info: list[dict[str, Any]] = []
        stride = self._build_stem(cfg)
        previous = ""
        for module in cfg.modules(cfg.depths, cfg.widths):
            if module.name in POOLS:
                self._tap(previous, module.c_in, stride)
                name, kernel = POOLS[module.name]
                self.add_module(name, _max_pool(kernel))
                stride *= 2
            if module.repeat:
                self.add_module(module.name, _inception(cfg, module))
                previous = module.name
        self.num_features = module.c_in  # the last module is the repeated one, which takes its stage's output
        self._tap(previous, self.num_features, stride)
        self._trunk = [name for name, _ in self.named_children()]

        self._aux_taps: list[str] = []
        if cfg.aux_heads:
            before_last = self._trunk[self._trunk.index("inception4e") - 1] if cfg.depths[1] > 1 else "inception4a"
            self._aux_taps = ["inception4a", before_last]
            for index, c_in in enumerate(cfg.aux_inputs(cfg.depths, cfg.widths), start=1):
                self.add_module(f"aux{index}", _AuxiliaryHead(cfg, c_in, num_classes))
        self.fc: nn.Module
        self.global_pool, self.head_drop, self.fc = create_classifier(
            self.num_features, num_classes, pool_type=global_pool, drop_rate=drop_rate
        )
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        for part in self.modules():
            _initialise(part)

    def _build_stem(self, net: Inception) -> int:
        """Adds the layers before the first module; returns their stride."""
        width = net.widths[0]
        if net.stem == "small":
            self.conv1 = _ConvNorm(net, self.in_chans, width, 3)
            self._tap("conv1", width, 1)
            self.maxpool1 = _max_pool(3)
            return 2
        channels = net.stem_channels(net.widths)
        self.conv1 = _ConvNorm(net, self.in_chans, channels, 7, stride=2)
        self._tap("conv1", channels, 2)
        self.maxpool1 = _max_pool(3)
        if net.norm == "none":
            self.norm1 = _local_response_norm()
        self.conv2 = _ConvNorm(net, channels, channels, 1)
        self.conv3 = _ConvNorm(net, channels, width, 3)
        self._tap("conv3", width, 4)
        if net.norm == "none":
            self.norm2 = _local_response_norm()
        self.maxpool2 = _max_pool(3)
        return 8

    def _tap(self, module: str, channels: int, stride: int) -> None:
        self.feature_info.append({"num_chs": channels, "reduction": stride, "module": module})

    def _layer(self, name: str, x: torch.Tensor) -> torch.Tensor:
        layer = self.get_submodule(name)
        output: torch.Tensor
        output = checkpoint(layer, x) if self.grad_checkpointing and name.startswith("inception") else layer(x)
        return output

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """The last feature map, (n, num_features, side, side)."""
        for name, layer in self.named_children():
            if name in self._trunk:
                x = layer(x) if torch.jit.is_scripting() else self._layer(name, x)
        return x

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Logits (n, num_classes) from the last feature map, or with `pre_logits` the features they come from."""
        x = self.head_drop(self.global_pool(x))
        if pre_logits:
            return x
        logits: torch.Tensor = self.fc(x)
        return logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_with_aux(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Logits (n, num_classes), and those of each auxiliary head in order; none where the network has no such heads.

        The paper adds the heads' losses to the network's with a weight of 0.3 each, in training.
        """
        aux = []
        for name in self._trunk:
            x = self._layer(name, x)
            heads = [index for index, tap in enumerate(self._aux_taps, start=1) if tap == name]
            aux += [self.get_submodule(f"aux{index}")(x) for index in heads]
        return self.forward_head(x), aux

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replaces the classifier, and those of the auxiliary heads, by fresh ones; 0 classes leave them out."""
        self.num_classes = num_classes
        reference = next(self.parameters())
        self.global_pool, fc = create_classifier(
            self.num_features, num_classes, pool_type=self.global_pool.pool_type if global_pool is None else global_pool
        )
        self.fc = fc.to(reference)
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        for index in range(1, len(self._aux_taps) + 1):
            head = self.get_submodule(f"aux{index}")
            assert isinstance(head, _AuxiliaryHead)
            head.reset_classifier(num_classes)

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """What timm tells groups of parameters by, from the images on: the stem, then modules, coarse or not."""
        trunk = [name for name in self._trunk if name.startswith("inception")]

        def group(name: str) -> float:
            part = name.partition(".")[0]
            if part in trunk:
                return 1 + trunk.index(part)
            return 0 if part in self._trunk else float("inf")

        return group

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether training recomputes the Inception modules' inner maps instead of keeping them."""
        self.grad_checkpointing = enable


def _inception(net: Inception, module: Module) -> nn.Module:
    if module.first is None:
        return _InceptionModule(net, module)
    return nn.Sequential(*(_InceptionModule(net, module) for _ in range(module.repeat)))


def _max_pool(kernel: int) -> nn.Module:
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def _local_response_norm() -> nn.Module:
    # Krizhevsky et al. 2012, section 3.3, with the constants that Caffe's GoogLeNet took.
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def _classifier(features: int, num_classes: int) -> nn.Module:
    return nn.Linear(features, num_classes) if num_classes > 0 else nn.Identity()


def _initialise(part: nn.Module) -> None:
    """He et al., arXiv 1502.01852: keeps the scale of the maps through the many layers without normalisation."""
    if isinstance(part, nn.Conv2d):
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if part.bias is not None:
            nn.init.zeros_(part.bias)
    elif isinstance(part, nn.Linear):
        nn.init.trunc_normal_(part.weight, std=0.01)
        nn.init.zeros_(part.bias)


_PLUGIN = Plugin(
    name="scaler_inception",
    module=GoogLeNet,
    default=CLASSICS["googlenet"].replace(dropout=0.0),
    trunk="inception",
    features=lambda network: 4 if network.stem == "small" else 5,
)
default_cfgs = _PLUGIN.default_cfgs()


@register
def scaler_inception(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """GoogLeNet of any shape: takes the fields of `scaler.families.inception.Inception` and timm's arguments."""
    return _PLUGIN.build(pretrained, **kwargs)
