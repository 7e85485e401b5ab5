"""EfficientNet's arithmetic: published figures, a hand formula, arrays, rounding and the networks of small budgets."""

import numpy as np
import pytest

from scaler.budget import Budget
from scaler.errors import InputError
from scaler.families import classic
from scaler.families.efficientnet import CLASSICS, EfficientNet
from scaler.region import Triangle
from scaler.space import load_space

# Params and MACs of Tan and Le's networks with batch-norm scale and shift; B0's activations are those of pycls,
# dev/model_complexity.json.
PUBLISHED = {
    "efficientnet_b0": (5_288_548, 385_814_752),
    "efficientnet_b1": (7_794_184, 686_802_832),
    "efficientnet_b2": (9_109_994, 993_561_872),
    "efficientnet_b3": (12_233_232, 1_827_141_392),
    "efficientnet_b4": (19_341_616, 4_393_771_024),
    "efficientnet_b5": (30_389_784, 10_266_384_752),
    "efficientnet_b6": (43_040_704, 19_067_593_536),
    "efficientnet_b7": (66_347_960, 37_745_884_192),
}
MULTIPLIERS = {  # width, depth, resolution, dropout: the paper's reference implementation
    "efficientnet_b0": (1.0, 1.0, 224, 0.2),
    "efficientnet_b1": (1.0, 1.1, 240, 0.2),
    "efficientnet_b2": (1.1, 1.2, 260, 0.3),
    "efficientnet_b3": (1.2, 1.4, 300, 0.3),
    "efficientnet_b4": (1.4, 1.8, 380, 0.4),
    "efficientnet_b5": (1.6, 2.2, 456, 0.4),
    "efficientnet_b6": (1.8, 2.6, 528, 0.5),
    "efficientnet_b7": (2.0, 3.1, 600, 0.5),
}
B0 = CLASSICS["efficientnet_b0"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cost(name):
    cost = classic(name).cost()
    assert (cost.params, cost.macs) == PUBLISHED[name]


def test_published_activations():
    assert B0.cost().activations == 6_748_036


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_scaling_b0_by_the_published_factors_gives_the_published_network(name):
    width, depth, resolution, dropout = MULTIPLIERS[name]
    scaled = B0.scaled(depth=depth, width=width, resolution=resolution / 224)
    assert scaled.replace(dropout=dropout) == classic(name)
    assert (scaled.cost().params, scaled.cost().macs) == PUBLISHED[name]
    assert classic(name).activation == "silu"


def test_hand_formula():
    net = EfficientNet(
        depths=(1, 1, 1, 1, 1, 1, 2),
        widths=(8,) * 9,
        resolution=17,
        num_classes=3,
        in_channels=1,
        kernels=(3,) * 7,
        expansions=(1, 2, 1, 1, 1, 1, 1),
        se_ratios=(0, 0.5, 0, 0, 0, 0, 0),
    )
    # Sides: stem 9; stages 9, 5, 3, 2, 2, 1, 1.
    stem = 9 * 1 * 8 * 81
    separable = sum(9 * 8 * side**2 + 8 * 8 * side**2 for side in (9, 3, 2, 2, 1, 1, 1))
    # Expansion to 16 at side 9, depthwise to side 5, 4 squeezed channels, projection at side 5.
    inverted = 8 * 16 * 81 + 9 * 16 * 25 + 16 * 4 + 4 * 16 + 16 * 8 * 25
    cost = net.cost()
    assert cost.macs == stem + separable + inverted + 8 * 8 + 8 * 3
    assert cost.activations == (
        8 * 81
        + sum(16 * side**2 for side in (9, 3, 2, 2, 1, 1, 1))
        + 16 * 81 + 16 * 25 + 4 + 16 + 8 * 25
        + 8 + 3
    )  # fmt: skip
    convolutions = 72 + 7 * (72 + 64) + (128 + 144 + (64 + 4) + (64 + 16) + 128) + 64
    norms = 2 * (8 + 7 * (8 + 8) + (16 + 16 + 8) + 8)
    assert cost.params == convolutions + norms + 8 * 3 + 3


def test_depths_round_up_without_rounding_error():
    assert B0.scaled(depth=1.0) == B0
    assert B0.scaled(depth=1.0000000001).depths == B0.depths
    assert B0.scaled(depth=1.1).depths == (2, 3, 3, 4, 4, 5, 2)
    assert EfficientNet.round_depths(np.array([0.2, 2.0000000001, 2.01, 3 * 1.1])).tolist() == [1, 2, 3, 4]
    many = EfficientNet.round_depths(np.linspace(0.01, 20, 5000))
    assert (np.diff(many) >= 0).all()


def test_smallest_input():
    assert B0.min_resolution == 17
    assert B0.replace(stem_stride=1).min_resolution == 9
    with pytest.raises(InputError, match=r"resolution: 16 is too small.*at least 17"):
        B0.replace(resolution=16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernels": (3, 3, 5, 3, 5, 5)}, r"kernels: .* has 6 numbers; efficientnet needs 7"),
        ({"kernels": (3, 3, 5, 4, 5, 5, 3)}, "kernels: 4 .*odd"),
        ({"kernels": (3, 3, 5, True, 5, 5, 3)}, "kernels: True"),
        ({"expansions": (0, 6, 6, 6, 6, 6, 6)}, "expansions: 0 is not a whole number of at least 1"),
        ({"expansions": (1, 6, 6, 6.5, 6, 6, 6)}, r"expansions: 6\.5"),
        ({"se_ratios": (0.25,) * 6 + (1.5,)}, r"se_ratios: 1\.5 .*from 0 to 1"),
        ({"se_ratios": ("a",) * 7}, "se_ratios: 'a'"),
        ({"stem_stride": 3}, "stem_stride: 3 is neither 2 nor 1"),
        ({"stem_stride": True}, "stem_stride: True"),
        ({"depths": (1, 2)}, r"depths: \[1, 2\] has 2 numbers; efficientnet needs 7"),
    ],
)
def test_impossible_networks_say_what_to_change(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        B0.replace(**changes)
    assert "\n" not in str(caught.value)


def test_equal_ratios_of_either_type_have_one_digest():
    net = B0.replace(se_ratios=[0, 1, 0.5, 0.25, 0.25, 0.25, 0.25], stem_stride=1)
    assert net.digest == B0.replace(se_ratios=[0.0, 1.0, 0.5, 0.25, 0.25, 0.25, 0.25], stem_stride=1).digest


def test_small_budgets_have_networks_of_either_stem() -> None:
    root = load_space("efficientnet").root(resolution=28, num_classes=10, in_channels=1).replace(stem_stride=1)
    for macs, at_least in (("1M", 2), ("12M", 50)):
        networks = [net for _, net in Triangle(root, Budget(macs=macs)).enumerate()]
        assert len({net.digest for net in networks}) == len(networks) >= at_least
        assert all(Budget(macs=macs).admits(net.cost()) for net in networks)
