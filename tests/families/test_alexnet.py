"""AlexNet as data: published figures, arithmetic by hand, and what scaling promises."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.architecture import ACTIVATIONS, Shapes
from scaler.budget import Budget
from scaler.errors import InputError
from scaler.families import classic, from_dict
from scaler.families.alexnet import NORMALISATIONS, STEMS, AlexNet
from scaler.scaling import RULES, fit_to_budget
from scaler.space import Triangle, load_space
from tests.conftest import DRAWS

# Parameters and MACs. The 2012 network: the paper's layers, summed by hand (Krizhevsky et al., section 3.5, speak of 60
# million). One tower: torchvision, AlexNet_Weights.IMAGENET1K_V1 (num_params, _ops 0.714 giga).
GOLDEN = {"alexnet": (60_965_224, 724_406_816), "alexnet_one_tower": (61_100_840, 714_188_480)}

MIN_SIDES = {"original": 67, "padded": 63, "small": 15}


@st.composite
def networks(draw: st.DrawFn) -> AlexNet:
    """Small AlexNets with every knob."""
    stem = draw(st.sampled_from(sorted(STEMS)))
    groups = draw(st.sampled_from((1, 2)))
    channels = st.integers(1, 12).map(lambda width: width * groups)
    return AlexNet(
        depths=tuple(draw(st.lists(st.integers(1, 3), min_size=4, max_size=4))),
        widths=(*draw(st.lists(channels, min_size=4, max_size=4)), draw(st.integers(1, 24))),
        resolution=MIN_SIDES[stem] + draw(st.integers(0, 30)),
        num_classes=draw(st.integers(1, 12)),
        in_channels=draw(st.integers(1, 4)),
        stem=stem,
        groups=groups,
        normalisation=draw(st.sampled_from(NORMALISATIONS)),
        head_map=draw(st.integers(1, 4)),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        dropout=draw(st.sampled_from((0.0, 0.5))),
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_classic_has_its_published_cost(name: str) -> None:
    cost = classic(name).cost()
    assert (cost.params, cost.macs) == GOLDEN[name]


def test_the_2012_network_has_the_papers_maps() -> None:
    found = {layer.name: (layer.channels, layer.side) for layer in classic("alexnet").layers()}
    assert found == {
        "features.0": (96, 55),
        "features.3": (96, 27),
        "features.4": (256, 27),
        "features.7": (256, 13),
        "features.8": (384, 13),
        "features.10": (384, 13),
        "features.12": (256, 13),
        "features.14": (256, 6),
        "avgpool": (256, 6),
        "classifier.1": (4096, 1),
        "classifier.4": (4096, 1),
        "classifier.6": (1000, 1),
    }


def test_cost_of_a_tiny_network_by_hand() -> None:
    network = AlexNet(
        depths=(1, 2, 1, 1),
        widths=(4, 6, 8, 10, 12),
        resolution=28,
        num_classes=5,
        in_channels=1,
        stem="small",
        head_map=2,
        normalisation="batch",
    )
    # Sides 28 → 13 → 6 → 2. Weights of each convolution: kernel², input channels of a group, output channels.
    weights = (25 * 1 * 4, 25 * 2 * 6, 9 * 3 * 6, 9 * 6 * 8, 9 * 4 * 10)
    areas = (28**2, 13**2, 13**2, 6**2, 6**2)
    head = (10 * 4 * 12, 12 * 12, 12 * 5)
    cost = network.cost()
    assert cost.macs == sum(w * a for w, a in zip(weights, areas, strict=True)) + sum(head)
    assert cost.params == sum(weights) + 3 * (4 + 6 + 6 + 8 + 10) + sum(head) + (12 + 12 + 5)
    convolutions = 4 * 28**2 + (6 + 6) * 13**2 + (8 + 10) * 6**2
    poolings = 4 * 13**2 + 6 * 6**2 + 10 * 2**2 + 10 * 2**2
    assert cost.activations == convolutions + poolings + 12 + 12 + 5


@settings(max_examples=DRAWS)
@given(networks())
def test_layer_table_adds_up_and_round_trips(network: AlexNet) -> None:
    layers = network.layers()
    cost = network.cost()
    for field in ("macs", "params", "activations"):
        assert sum(getattr(layer.cost, field) for layer in layers) == getattr(cost, field)
    assert len({layer.name for layer in layers}) == len(layers)
    assert from_dict(network.to_dict()) == network


@settings(max_examples=DRAWS)
@given(networks(), st.integers(0, 2**32 - 1))
def test_many_networks_cost_what_each_costs(network: AlexNet, seed: int) -> None:
    random = np.random.default_rng(seed)
    shapes = Shapes(
        random.integers(1, 6, (8, 4)),
        2 * random.integers(1, 60, (8, 5)),
        network.min_resolution + random.integers(0, 200, 8),
    )
    costs = network.costs(shapes)
    for index in range(len(shapes)):
        one = network.at(shapes, index).cost()
        assert (costs.macs[index], costs.params[index], costs.activations[index]) == dataclasses.astuple(one)


@settings(max_examples=DRAWS)
@given(networks())
def test_no_number_grows_for_free(network: AlexNet) -> None:
    macs = network.cost().macs
    for field, step in (("depths", 1), ("widths", 2)):
        numbers = getattr(network, field)
        for index, number in enumerate(numbers):
            grown = (*numbers[:index], number + step, *numbers[index + 1 :])
            assert network.replace(**{field: grown}).cost().macs > macs
    for more in range(1, 9):
        assert network.replace(resolution=network.resolution + more).cost().macs >= macs


@settings(max_examples=DRAWS)
@given(networks(), st.lists(st.floats(0.05, 8), min_size=3, max_size=3))
def test_scaling_gives_valid_networks_and_growth_costs(network: AlexNet, factors: list[float]) -> None:
    scaled = network.scaled(*factors)
    assert all(width % network.groups == 0 for width in scaled.widths[:4])
    grown = network.scaled(*(max(factor, 1.0) for factor in factors))
    assert grown.cost().macs >= network.cost().macs
    assert network.scaled() == network


def test_small_budgets_have_many_networks() -> None:
    root = load_space("alexnet").root(resolution=28, num_classes=10, in_channels=1)
    assert fit_to_budget(root, RULES["uniform"], Budget(macs="1M")).cost().macs <= 10**6
    assert len(Triangle(root, Budget(macs="1M")).enumerate()) >= 50
    assert len(Triangle(root, Budget(macs="12M")).enumerate()) >= 50


@pytest.mark.parametrize("stem", STEMS)
def test_smallest_resolution(stem: str) -> None:
    smallest = MIN_SIDES[stem]
    network = classic("alexnet").replace(stem=stem, resolution=smallest)
    assert network.min_resolution == smallest
    assert [layer.side for layer in network.layers() if layer.kind == "pool"][:3] == [7, 3, 1]
    with pytest.raises(InputError, match=f"resolution: {smallest - 1} is too small for this alexnet"):
        network.replace(resolution=smallest - 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": "smal"}, "stem: 'smal' is unknown .did you mean 'small'"),
        ({"normalisation": "layer"}, "normalisation: 'layer' is unknown"),
        ({"groups": 3}, "groups: 3 is not possible; give 1 or 2"),
        ({"groups": True}, "groups: True"),
        ({"head_map": 0}, "head_map: 0 is not a whole number of at least 1"),
        ({"head_map": 2.5}, "head_map: 2.5"),
        ({"widths": (96, 255, 384, 256, 4096)}, "widths: 255 channels cannot be halved"),
        ({"depths": (1, 1, 3)}, "depths: .* has 3 numbers; alexnet needs 4"),
    ],
)
def test_impossible_networks_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        classic("alexnet").replace(**changes)


def test_one_group_takes_odd_widths() -> None:
    assert classic("alexnet").replace(groups=1, widths=(95, 255, 383, 255, 4095)).cost().macs > 0
