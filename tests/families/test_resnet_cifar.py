"""ResNet beyond its four-stage stock form: the networks for CIFAR, their stem, and the three kinds of shortcut."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.architecture import Shapes
from scaler.budget import Budget
from scaler.errors import InputError
from scaler.families import classic, from_dict
from scaler.families.resnet import BLOCKS, SHORTCUTS, STEMS, ResNet
from scaler.space import Triangle, load_space
from tests.conftest import DRAWS

# He et al., arXiv 1512.03385, table 6, prints these rounded; the exact numbers are those of the paper's option A.
PARAMS = {
    "resnet20": (269_722, 0.27e6),
    "resnet32": (464_154, 0.46e6),
    "resnet44": (658_586, 0.66e6),
    "resnet56": (853_018, 0.85e6),
    "resnet110": (1_727_962, 1.7e6),
    "resnet1202": (19_421_274, 19.4e6),
}


@st.composite
def architectures(draw, max_depth=4):
    stages, stem = draw(st.sampled_from([3, 4])), draw(st.sampled_from(STEMS))
    smallest = 2 ** (stages - (2 if stem == "cifar" else 0)) + 1
    first = 64 if stem == "imagenet" else 2 * draw(st.integers(1, 12))
    return ResNet(
        depths=tuple(draw(st.lists(st.integers(1, max_depth), min_size=stages, max_size=stages))),
        widths=(first, *draw(st.lists(st.integers(1, 40), min_size=stages, max_size=stages))),
        resolution=draw(st.integers(smallest, 40)),
        num_classes=draw(st.integers(1, 12)),
        in_channels=draw(st.sampled_from([1, 3])),
        block=draw(st.sampled_from(BLOCKS)),
        stem=stem,
        shortcut=draw(st.sampled_from(SHORTCUTS)),
    )


@pytest.mark.parametrize("name", PARAMS)
def test_published_params(name):
    net, (exact, published) = classic(name), PARAMS[name]
    assert net.cost().params == exact
    assert abs(exact - published) <= (0.05e6 if published > 1e6 else 0.005e6)
    assert (net.resolution, net.num_classes, net.shortcut) == (32, 10, "A")
    # The paper counts the stem, two convolutions a block and the classifier.
    assert int(name.removeprefix("resnet")) == 2 + 2 * sum(net.depths)


def test_four_stages_keep_their_published_cost():
    cost = classic("resnet50").cost()
    assert (cost.macs, cost.params, cost.activations) == (4_089_184_256, 25_557_032, 11_315_688)


def test_hand_formula():
    net = ResNet(
        depths=(1, 2, 1),
        widths=(4, 4, 8, 8),
        resolution=7,
        num_classes=3,
        in_channels=1,
        stem="cifar",
        shortcut="A",
    )
    # Sides: stem and layer1 7, layer2 4, layer3 2.
    weights = {"stem": 36, "layer1": 2 * 9 * 16, "first": 9 * 4 * 8, "wide": 9 * 8 * 8}
    macs = (weights["stem"] + weights["layer1"]) * 49 + (weights["first"] + 3 * weights["wide"]) * 16
    macs += 2 * weights["wide"] * 4 + 8 * 3
    cost = net.cost()
    assert cost.macs == macs
    assert cost.activations == 3 * 4 * 49 + 4 * 8 * 16 + 2 * 8 * 4 + 3
    assert cost.params == 36 + 288 + 288 + 5 * 576 + 2 * (3 * 4 + 6 * 8) + 8 * 3 + 3
    projected = net.replace(shortcut="B").cost()
    assert projected.macs - cost.macs == 4 * 8 * 16 + 8 * 8 * 4
    assert projected.params - cost.params == 4 * 8 + 2 * 8 + 8 * 8 + 2 * 8
    assert projected.activations - cost.activations == 8 * 16 + 8 * 4
    assert net.replace(shortcut="none").cost() == cost


@settings(max_examples=DRAWS)
@given(architectures())
def test_layers_add_up_and_arrays_agree(net):
    layers = net.layers()
    for quantity in ("macs", "params", "activations"):
        assert sum(getattr(layer.cost, quantity) for layer in layers) == getattr(net.cost(), quantity)
        assert type(getattr(net.cost(), quantity)) is int
    rng = np.random.default_rng(0)
    widths = 2 * rng.integers(1, 99, (20, len(net.widths)))
    widths[:, list(net.fixed_widths)] = 64
    shapes = Shapes(rng.integers(1, 9, (20, net.stages)), widths, rng.integers(net.min_resolution, 99, 20))
    costs = net.costs(shapes)
    for index in range(len(shapes)):
        one = net.at(shapes, index).cost()
        assert (one.macs, one.params, one.activations) == (
            costs.macs[index],
            costs.params[index],
            costs.activations[index],
        )


@settings(max_examples=DRAWS)
@given(architectures(max_depth=20), st.data())
def test_growing_any_number_is_never_cheaper(net, data):
    # Under shortcut B the first stage's projection vanishes where its width comes to equal the stem's: no order there.
    before = net.cost().macs
    depths = list(net.depths)
    depths[data.draw(st.integers(0, net.stages - 1))] += 1
    assert net.replace(depths=tuple(depths)).cost().macs > before
    assert net.replace(resolution=net.resolution + 1).cost().macs >= before
    if net.shortcut != "B":
        widths = list(net.widths)
        widths[data.draw(st.integers(len(net.fixed_widths), net.stages))] += 2
        assert net.replace(widths=tuple(widths)).cost().macs > before
    depth, width, resolution = (data.draw(st.floats(1, 3)) for _ in range(3))
    assert net.scaled(depth, 1.0 if net.shortcut == "B" else width, resolution).cost().macs >= before


@pytest.mark.parametrize(
    ("stages", "stem", "smallest"),
    [(3, "cifar", 3), (4, "cifar", 5), (3, "deep", 9), (4, "deep", 17), (4, "imagenet", 17)],
)
def test_smallest_input(stages, stem, smallest):
    net = ResNet(depths=(1,) * stages, widths=(64,) * (stages + 1), resolution=40, stem=stem)
    assert net.min_resolution == smallest
    with pytest.raises(InputError, match=f"resolution: {smallest - 1} is too small"):
        net.replace(resolution=smallest - 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shortcut": "C"}, "shortcut: 'C' is unknown.*known: A, B, none"),
        ({"stem": "cifra"}, r"stem: 'cifra' is unknown \(did you mean 'cifar'\?\)"),
        ({"depths": (2, 2)}, r"depths: \[2, 2\] has 2 numbers; resnet needs 3 or 4"),
        ({"depths": (2,) * 5}, "depths: .* has 5 numbers; resnet needs 3 or 4"),
        ({"depths": (2,) * 4}, r"widths: \[16, 16, 32, 64\] has 4 numbers; resnet needs 5"),
        ({"widths": (15, 16, 32, 64)}, "widths: a cifar stem of 15 channels is odd; give an even number"),
    ],
)
def test_impossible_networks_say_what_to_change(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        classic("resnet20").replace(**changes)
    assert "\n" not in str(caught.value)


def test_plain_data_round_trip():
    net = classic("resnet1202")
    assert from_dict(net.to_dict()) == net
    assert net.scaled() == net
    assert net.digest != net.replace(shortcut="B").digest


def test_small_budgets_have_networks():
    root = load_space("resnet_cifar").root(resolution=28, num_classes=10, in_channels=1)
    for macs, at_least in (("1M", 2), ("12M", 50)):
        networks = [net for _, net in Triangle(root, Budget(macs=macs)).enumerate()]
        assert len({net.digest for net in networks}) == len(networks) >= at_least
        assert all(Budget(macs=macs).admits(net.cost()) for net in networks)


def test_depth_costs_no_time():
    deep = classic("resnet20").replace(depths=(10**6,) * 3)
    started = time.perf_counter()
    for _ in range(20):
        deep.cost()
    assert time.perf_counter() - started < 0.5
    assert len(list(deep.blocks(deep.depths, deep.widths, deep.resolution))) < 20
