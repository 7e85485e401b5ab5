"""Random architectures of every family, with every knob: what the tests that all families share draw from."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from scaler import Architecture
from scaler.architecture import ACTIVATIONS, Shapes
from scaler.families import CLASSICS, alexnet, inception, resnet, vgg
from scaler.families.alexnet import AlexNet
from scaler.families.efficientnet import EfficientNet
from scaler.families.inception import Inception
from scaler.families.inception_v3 import InceptionV3
from scaler.families.resnet import ResNet
from scaler.families.vgg import VGG

Draw = st.DrawFn


def numbers(count: int, largest: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(1, largest)] * count)


def surroundings(draw: Draw) -> dict[str, object]:
    """The fields that every family has beside its shape."""
    return {
        "num_classes": draw(st.integers(1, 20)),
        "in_channels": draw(st.integers(1, 4)),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "dropout": draw(st.sampled_from((0.0, 0.3))),
    }


@st.composite
def alexnets(draw: Draw, max_depth: int = 3) -> AlexNet:
    stem, groups = draw(st.sampled_from(sorted(alexnet.STEMS))), draw(st.sampled_from((1, 2)))
    return AlexNet(
        depths=draw(numbers(4, max_depth)),
        widths=(*(groups * width for width in draw(numbers(4, 24))), draw(st.integers(1, 24))),
        resolution={"original": 67, "padded": 63, "small": 15}[stem] + draw(st.integers(0, 30)),
        stem=stem,
        groups=groups,
        normalisation=draw(st.sampled_from(alexnet.NORMALISATIONS)),
        head_map=draw(st.integers(1, 4)),
        **surroundings(draw),
    )


@st.composite
def vggs(draw: Draw, max_depth: int = 3) -> VGG:
    pools = draw(st.integers(1, 5))
    return VGG(
        depths=draw(numbers(5, max_depth)),
        widths=draw(numbers(6, 24)),
        resolution=2**pools + draw(st.integers(0, 24)),
        kernel=draw(st.sampled_from(vgg.KERNELS)),
        normalisation=draw(st.sampled_from(vgg.NORMALISATIONS)),
        pools=pools,
        head_map=draw(st.integers(1, 4)),
        **surroundings(draw),
    )


@st.composite
def resnets(draw: Draw, max_depth: int = 4) -> ResNet:
    """Every other one is such that timm's stock entry points make it."""
    stages, stem, shortcut = 4, draw(st.sampled_from(("imagenet", "deep"))), "B"
    if draw(st.booleans()):
        stages, stem = draw(st.sampled_from((3, 4))), draw(st.sampled_from(resnet.STEMS))
        shortcut = draw(st.sampled_from(resnet.SHORTCUTS))
    smallest = 2 ** (stages - (2 if stem == "cifar" else 0)) + 1
    block = draw(st.sampled_from(resnet.BLOCKS))
    first = 64 if stem == "imagenet" else 8 * draw(st.integers(1, 6)) - draw(st.sampled_from((0, 2)))
    widths = draw(numbers(stages, 48))
    if draw(st.booleans()):  # the first stage needs no projection where it puts out what it takes, as published
        widths = (max(1, first // 4) if block == "bottleneck" else first, *widths[1:])
    return ResNet(
        depths=draw(numbers(stages, max_depth)),
        widths=(first, *widths),
        resolution=draw(st.integers(smallest, 70)),
        block=block,
        stem=stem,
        shortcut=shortcut,
        **surroundings(draw),
    )


@st.composite
def inceptions(draw: Draw, max_depth: int = 8) -> Inception:
    stem = draw(st.sampled_from(inception.STEMS))
    return Inception(
        depths=draw(numbers(3, max_depth)),
        widths=draw(numbers(4, 96)),
        resolution=draw(st.integers(31 if stem == "imagenet" else 8, 80)),
        kernel=draw(st.sampled_from(inception.KERNELS)),
        reduction=draw(st.sampled_from(("published", 1, 2, 3, 5, 7))),
        norm=draw(st.sampled_from(inception.NORMS)),
        stem=stem,
        aux_heads=draw(st.booleans()),
        **surroundings(draw),
    )


@st.composite
def inception_v3s(draw: Draw, max_depth: int = 0) -> InceptionV3:
    """Of any resolution: nothing else varies, `max_depth` included."""
    return CLASSICS["inception_v3"].replace(resolution=draw(st.integers(75, 130)), **surroundings(draw))


@st.composite
def efficientnets(draw: Draw, max_depth: int = 3) -> EfficientNet:
    stem_stride = draw(st.sampled_from((1, 2)))
    return EfficientNet(
        depths=draw(numbers(7, max_depth)),
        widths=draw(st.one_of(numbers(9, 40), numbers(9, 60).map(lambda widths: tuple(8 * width for width in widths)))),
        resolution=draw(st.integers(9 if stem_stride == 1 else 17, 48)),
        kernels=draw(st.tuples(*[st.sampled_from((3, 5, 7))] * 7)),
        expansions=draw(numbers(7, 6)),
        se_ratios=draw(st.tuples(*[st.sampled_from((0, 0.01, 0.1, 0.25, 0.3, 1))] * 7)),
        stem_stride=stem_stride,
        **surroundings(draw),
    )


STRATEGIES: dict[str, Callable[..., st.SearchStrategy[Architecture]]] = {
    "alexnet": alexnets,
    "vgg": vggs,
    "resnet": resnets,
    "inception": inceptions,
    "inception_v3": inception_v3s,
    "efficientnet": efficientnets,
}

SCALABLE = sorted(STRATEGIES.keys() - {"inception_v3"})


def width_units(network: Architecture) -> np.ndarray:
    """What each width is a multiple of, whatever else it is; 0 where it is fixed."""
    units = np.ones(len(network.widths), np.int64)
    if isinstance(network, AlexNet):
        units[:-1] = network.groups
    if isinstance(network, ResNet):
        units[0] = 2
    units[list(network.fixed_widths)] = 0
    return units


def unordered_widths(network: Architecture) -> set[int]:
    """The widths that can grow and save MACs: a ResNet's projection in the first stage vanishes where its two sides
    come to be equally wide."""
    return {0, 1} if isinstance(network, ResNet) and network.shortcut == "B" else set()


def random_shapes(network: Architecture, count: int, seed: int) -> Shapes:
    """Shapes that the network's family admits under its knobs."""
    random = np.random.default_rng(seed)
    resolution = network.min_resolution + random.integers(0, 200, count)
    if network.family == "inception_v3":
        return Shapes(np.tile(network.depths, (count, 1)), np.tile(network.widths, (count, 1)), resolution)
    units = width_units(network)
    widths = units * random.integers(1, 200, (count, len(units)))
    return Shapes(
        random.integers(1, 12, (count, network.stages)), np.where(units == 0, network.widths, widths), resolution
    )
