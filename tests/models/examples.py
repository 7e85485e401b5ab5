"""Networks small enough to be run, of every family and for one input channel and five classes."""

from scaler.architecture import Architecture
from scaler.families import CLASSICS
from scaler.families.alexnet import AlexNet
from scaler.families.efficientnet import EfficientNet
from scaler.families.inception import Inception
from scaler.families.resnet import ResNet
from scaler.families.vgg import VGG


def example(family: type[Architecture], *numbers: int | tuple[int, ...], **knobs: object) -> Architecture:
    depths, widths, resolution = numbers
    return family(depths=depths, widths=widths, resolution=resolution, num_classes=5, in_channels=1, **knobs)


EXAMPLES: dict[str, Architecture] = {
    "alexnet halves": example(AlexNet, (1, 2, 1, 1), (8, 12, 16, 12, 20), 28, stem="small", head_map=2),
    "alexnet normalised": example(
        AlexNet,
        (2, 1, 2, 2),
        (4, 8, 6, 10, 16),
        33,
        stem="small",
        normalisation="batch",
        activation="tanh",
        head_map=1,
    ),
    "alexnet plain": example(
        AlexNet, (1, 1, 1, 3), (6, 7, 8, 9, 10), 67, groups=1, normalisation="none", activation="silu"
    ),
    "vgg three pools": example(
        VGG, (1, 2, 1, 1, 2), (4, 6, 8, 10, 12, 14), 28, normalisation="batch", pools=3, head_map=2
    ),
    "vgg single kernels": example(
        VGG, (2, 1, 3, 1, 1), (4, 5, 6, 7, 8, 9), 40, kernel="single", activation="tanh", head_map=3
    ),
    "vgg global": example(VGG, (1, 1, 1, 1, 2), (4, 5, 6, 7, 8, 9), 96, activation="leaky_relu", head_map=1),
    "resnet cifar A": example(ResNet, (1, 1, 1), (4, 4, 8, 12), 3, stem="cifar", shortcut="A"),
    "resnet plain": example(
        ResNet, (2, 1, 3), (8, 12, 8, 12), 17, block="bottleneck", stem="deep", shortcut="none", activation="silu"
    ),
    "resnet A": example(ResNet, (1, 2, 1, 1), (64, 16, 12, 20, 8), 18, shortcut="A", dropout=0.3),
    "resnet cifar B": example(ResNet, (2, 1, 1), (8, 12, 8, 12), 9, stem="cifar", shortcut="B"),
    "resnet stock": example(ResNet, (1, 2, 1, 1), (8, 8, 12, 8, 12), 20, stem="deep", block="bottleneck"),
    "inception small": example(Inception, (1, 1, 1), (8, 8, 12, 16), 8, stem="small"),
    "inception normalised": example(
        Inception, (2, 4, 1), (24, 16, 20, 36), 40, kernel=3, norm="batch", activation="silu"
    ),
    "inception heads": example(Inception, (3, 7, 3), (12, 12, 16, 20), 31, reduction=2, aux_heads=True),
    "inception_v3": CLASSICS["inception_v3"].replace(resolution=75, num_classes=5, in_channels=1, dropout=0.1),
    "efficientnet plain": example(EfficientNet, (1,) * 7, (8,) * 9, 17),
    "efficientnet wide": example(
        EfficientNet,
        (1, 2, 1, 3, 1, 2, 1),
        (16, 8, 16, 24, 24, 32, 40, 48, 64),
        22,
        kernels=(5, 3, 7, 3, 3, 5, 3),
        expansions=(2, 4, 1, 3, 6, 6, 1),
        activation="hard_swish",
    ),
    "efficientnet stride 1": example(
        EfficientNet,
        (2, 1, 1, 1, 2, 1, 1),
        (12, 4, 12, 20, 20, 32, 40, 48, 24),
        9,
        se_ratios=(0.25, 0, 0.01, 0.25, 0.25, 0.5, 0),
        stem_stride=1,
    ),
    "efficientnet stock": CLASSICS["efficientnet_b0"].replace(resolution=33, num_classes=5, in_channels=1),
}

OF_A_FAMILY = {network.family: network for network in reversed(EXAMPLES.values())}
"""One example each."""
