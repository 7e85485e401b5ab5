"""AlexNet as data: published figures, arithmetic by hand, and what scaling promises."""

import pytest

from scaler.errors import InputError
from scaler.families import classic
from scaler.families.alexnet import STEMS, AlexNet

# Parameters and MACs. The 2012 network: the paper's layers, summed by hand (Krizhevsky et al., section 3.5, speak of 60
# million). One tower: torchvision, AlexNet_Weights.IMAGENET1K_V1 (num_params, _ops 0.714 giga).
GOLDEN = {"alexnet": (60_965_224, 724_406_816), "alexnet_one_tower": (61_100_840, 714_188_480)}

MIN_SIDES = {"original": 67, "padded": 63, "small": 15}


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
