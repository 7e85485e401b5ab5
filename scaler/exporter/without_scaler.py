"""Python code that builds a network from timm's own classes: for who has a plugin export's folder, but no scaler."""

from scaler.architecture import Architecture
from scaler.families.efficientnet import EfficientNet
from scaler.families.resnet import ResNet
from scaler.families.vgg import VGG
from scaler.models.efficientnet import block_args

_BLOCKS = {"basic": "BasicBlock", "bottleneck": "Bottleneck"}


def code_without_scaler(network: Architecture) -> str | None:
    """The code, which leaves `model` with the weights of `FOLDER`; None where timm has no classes for the network.

    timm has none for AlexNet and GoogLeNet, nor for VGG's single kernels and ResNet's shortcuts A and none.
    """
    match network:
        case EfficientNet():
            lines = _efficientnet(network)
        case ResNet() if network.shortcut == "B":
            lines = _resnet(network)
        case VGG() if network.kernel == "stack":
            lines = _vgg(network)
        case _:
            return None
    return "\n".join(
        [*lines, 'model.load_state_dict(load_file("FOLDER/model.safetensors"))', "model.eval()  # drops nothing"]
    )


def _surroundings(network: Architecture) -> list[str]:
    return [f"    num_classes={network.num_classes},", f"    in_chans={network.in_channels},"]


def _efficientnet(network: EfficientNet) -> list[str]:
    stem, *widths, head = network.widths
    stages = [
        f"        [{block_args(network, stage, width)} for _ in range({network.depths[stage]})],"
        for stage, width in enumerate(widths)
    ]
    return [
        "from functools import partial",
        "from safetensors.torch import load_file",
        "from timm.models._efficientnet_blocks import SqueezeExcite",
        "from timm.models.efficientnet import EfficientNet",
        "",
        "model = EfficientNet(",
        "    block_args=[",
        *stages,
        "    ],",
        *_surroundings(network),
        f"    stem_size={stem},",
        f"    num_features={head},",
        f"    act_layer={network.activation!r},",
        "    round_chs_fn=lambda channels: channels,",
        "    se_layer=partial(SqueezeExcite, rd_round_fn=lambda channels: max(1, round(channels))),",
        ")",
        *(["model.conv_stem.stride = (1, 1)"] if network.stem_stride == 1 else []),
    ]


def _resnet(network: ResNet) -> list[str]:
    stem, *widths = network.widths
    own_stem = [
        f"model.conv1 = nn.Conv2d({network.in_channels}, {stem}, 3, padding=1, bias=False)",
        "model.maxpool = nn.Identity()",
    ]
    return [
        "from safetensors.torch import load_file",
        f"from timm.models.resnet import {_BLOCKS[network.block]}, ResNet",
        "from torch import nn",
        "",
        "model = ResNet(",
        f"    {_BLOCKS[network.block]},",
        f"    layers={list(network.depths)},",
        f"    channels={widths},",
        *_surroundings(network),
        f"    stem_type={'' if network.stem == 'imagenet' else 'deep'!r},",
        f"    stem_width={stem // 2},",
        f"    act_layer={network.activation!r},",
        ")",
        *(["model.layer4 = nn.Sequential()"] if network.stages == 3 else []),
        *(own_stem if network.stem == "cifar" else []),
    ]


def _vgg(network: VGG) -> list[str]:
    *widths, hidden = network.widths
    layers: list[int | str] = []
    for stage, width in enumerate(widths):
        layers += [width] * network.depths[stage] + (["M"] if stage < network.pools else [])
    normalised = network.normalisation == "batch"
    pooled = f"model.features.append(nn.AdaptiveAvgPool2d({network.head_map}))  # the head takes such a map alone"
    return [
        "from functools import partial",
        "from safetensors.torch import load_file",
        "from timm.layers import ClassifierHead, create_act_layer",
        "from timm.models.vgg import VGG, ConvMlp",
        "from torch import nn",
        "",
        f"act = partial(create_act_layer, {network.activation!r})",
        "model = VGG(",
        f"    {layers},",
        *_surroundings(network),
        "    act_layer=act,",
        f"    norm_layer={'nn.BatchNorm2d' if normalised else None},",
        ")",
        *([pooled] if network.last_side > network.head_map else []),
        f"model.pre_logits = ConvMlp({widths[-1]}, {hidden}, {network.head_map}, act_layer=act)",
        f"model.head = ClassifierHead({hidden}, {network.num_classes})",
    ]
