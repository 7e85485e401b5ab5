"""ResNet beyond its four-stage stock form: the networks for CIFAR, their stem, and the three kinds of shortcut."""

import time

import pytest

from scaler.errors import InputError
from scaler.families import classic
from scaler.families.resnet import ResNet

# He et al., arXiv 1512.03385, table 6, prints these rounded; the exact numbers are those of the paper's option A.
PARAMS = {
    "resnet20": (269_722, 0.27e6),
    "resnet32": (464_154, 0.46e6),
    "resnet44": (658_586, 0.66e6),
    "resnet56": (853_018, 0.85e6),
    "resnet110": (1_727_962, 1.7e6),
    "resnet1202": (19_421_274, 19.4e6),
}


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


def test_depth_costs_no_time():
    deep = classic("resnet20").replace(depths=(10**6,) * 3)
    started = time.perf_counter()
    for _ in range(20):
        deep.cost()
    assert time.perf_counter() - started < 0.5
    assert len(list(deep.blocks(deep.depths, deep.widths, deep.resolution))) < 20
