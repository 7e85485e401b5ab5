"""AlexNet in torch under torchvision's state-dict keys, since timm has no AlexNet."""

from functools import partial
from typing import Any

import torch
from timm.layers import create_act_layer
from torch import Tensor, nn

from scaler.errors import unknown
from scaler.families.alexnet import CLASSICS, AlexNet
from scaler.models.plugin import Plugin, checkpointed, register


class AlexNetModule(nn.Module):
    """The layers of an `AlexNet`, with timm's model interface.

    Weights start as in He et al., arXiv 1502.01852: the paper's fixed standard deviation of 0.01 leaves deeper networks
    without a signal. Only the classifier keeps it.
    """

    def __init__(
        self, cfg: AlexNet, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.0, global_pool: str = "avg"
    ) -> None:
        super().__init__()
        _check_pooling(global_pool)
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.global_pool = global_pool
        self.grad_checkpointing = False
        activation = partial(create_act_layer, cfg.activation, inplace=True)
        *channels, hidden = cfg.widths

        layers: list[nn.Module] = []
        self.feature_info: list[dict[str, Any]] = []
        c_in, reduction = in_chans, 1
        for stage, (depth, width) in enumerate(zip(cfg.depths, channels, strict=True)):
            for shape in (cfg.first_convolution(stage), *[cfg.further_convolution()] * (depth - 1)):
                kernel, stride = shape["kernel"], shape["stride"]
                layers.append(
                    nn.Conv2d(c_in, width, kernel, stride=stride, padding=shape["padding"], groups=shape["groups"])
                )
                if cfg.normalisation == "batch":
                    layers.append(nn.BatchNorm2d(width))
                layers.append(activation())
                c_in, reduction = width, reduction * stride
            if cfg.has_lrn(stage):
                # The paper's α = 1e-4 multiplies a sum over 5 channels, torch's alpha their mean.
                layers.append(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
            self.feature_info.append(_feature(width, reduction, len(layers) - 1))
            if cfg.has_pool(stage):
                layers.append(nn.MaxPool2d(3, stride=2))
                reduction *= 2
        self.feature_info.append(_feature(c_in, reduction, len(layers) - 1))
        self._feature_ends = [int(info["module"].split(".")[1]) for info in self.feature_info]

        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(cfg.head_map)
        self.classifier = nn.Sequential(
            nn.Dropout(drop_rate),
            nn.Linear(c_in * cfg.head_map**2, hidden),
            activation(),
            nn.Dropout(drop_rate),
            nn.Linear(hidden, hidden),
            activation(),
            nn.Identity(),
        )
        self.num_features = c_in
        self.head_hidden_size = hidden
        self.reset_classifier(num_classes)
        for layer in (*self.features, *self.classifier[:-1]):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def get_classifier(self) -> nn.Module:
        """The last linear layer."""
        return self.classifier[-1]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """A new last layer for `num_classes`, none of it for 0; the hidden layers stay. The head takes a map of fixed
        side, so that the only pooling there is is average pooling onto it."""
        _check_pooling(global_pool or "avg")
        self.num_classes = num_classes
        hidden = self.classifier[4].weight
        if num_classes == 0:
            self.classifier[-1] = nn.Identity()
            return
        classifier = nn.Linear(self.head_hidden_size, num_classes, device=hidden.device, dtype=hidden.dtype)
        nn.init.normal_(classifier.weight, std=0.01)
        nn.init.zeros_(classifier.bias)
        self.classifier[-1] = classifier

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """What timm tells groups of parameters by, from the images on: layers, coarse or not, as its VGG."""
        return {"stem": r"^features\.0", "blocks": r"^features\.(\d+)"}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trades time for memory in training: each stage is computed again in the backward pass."""
        self.grad_checkpointing = enable

    def forward_features(self, x: Tensor) -> Tensor:
        """The last map: (n, in_chans, side, side) → (n, num_features, side', side')."""
        if self.grad_checkpointing and not torch.jit.is_scripting():
            return checkpointed(self.features, self._feature_ends, x)
        output: Tensor = self.features(x)
        return output

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (n, num_classes) from the last map, or what the last layer takes, (n, head_hidden_size)."""
        x = torch.flatten(self.avgpool(x), 1)
        for index, layer in enumerate(self.classifier):  # TorchScript calls no slice of it
            if index < len(self.classifier) - 1 or not pre_logits:
                x = layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, num_classes) of images (n, in_chans, side, side)."""
        return self.forward_head(self.forward_features(x))


def _feature(channels: int, reduction: int, entry: int) -> dict[str, Any]:
    return {"num_chs": channels, "reduction": reduction, "module": f"features.{entry}"}


def _check_pooling(global_pool: str) -> None:
    if global_pool != "avg":
        raise unknown("global_pool", global_pool, ["avg"])


_PLUGIN = Plugin(
    name="scaler_alexnet",
    module=AlexNetModule,
    default=CLASSICS["alexnet"],
    trunk="features",
    features=lambda network: network.stages + 1,
    nested=True,
)
default_cfgs = _PLUGIN.default_cfgs()


@register
def scaler_alexnet(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """AlexNet of any shape: takes the fields of `scaler.families.alexnet.AlexNet` and timm's arguments."""
    return _PLUGIN.build(pretrained, **kwargs)
