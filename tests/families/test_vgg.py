"""VGG as data: published figures, arithmetic by hand, and what scaling promises."""

import pytest

from scaler.errors import InputError
from scaler.families import classic
from scaler.families.vgg import VGG

# Parameters (torchvision, num_params of VGG*_Weights) and MACs (its _ops: 7.609, 11.308, 15.470 and 19.632 giga).
GOLDEN = {
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg11_bn": (132_868_840, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg13_bn": (133_053_736, 11_308_466_176),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg19_bn": (143_678_248, 19_632_062_464),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_classic_has_its_published_cost(name: str) -> None:
    cost = classic(name).cost()
    assert (cost.params, cost.macs) == GOLDEN[name]


@pytest.mark.parametrize(("kernel", "head_map"), [("stack", 2), ("single", 3)])
def test_cost_of_a_tiny_network_by_hand(kernel: str, head_map: int) -> None:
    network = VGG(
        depths=(1, 1, 2, 1, 1),
        widths=(4, 5, 6, 7, 8, 9),
        resolution=14,
        num_classes=3,
        in_channels=1,
        kernel=kernel,
        normalisation="batch",
        pools=2,
        head_map=head_map,
    )
    # Sides 14 → 7 → 3, the last of which stays for three stages.
    third = [(9 * 5 * 6, 6), (9 * 6 * 6, 6)] if kernel == "stack" else [(25 * 5 * 6, 6)]
    layers = [(9 * 1 * 4, 4, 14), (9 * 4 * 5, 5, 7), *((w, c, 3) for w, c in third), (9 * 42, 7, 3), (9 * 56, 8, 3)]
    head = (8 * head_map**2 * 9, 9 * 9, 9 * 3)
    cost = network.cost()
    assert cost.macs == sum(w * side**2 for w, _, side in layers) + sum(head)
    assert cost.params == sum(w + 3 * c for w, c, _ in layers) + sum(head) + 9 + 9 + 3
    poolings = 4 * 7**2 + 5 * 3**2 + (8 * 2**2 if head_map == 2 else 0)
    assert cost.activations == sum(c * side**2 for _, c, side in layers) + poolings + 9 + 9 + 3


def test_a_stack_costs_less_than_one_kernel_of_its_receptive_field() -> None:
    stack, single = classic("vgg16"), classic("vgg16").replace(kernel="single")
    assert stack.cost().macs < single.cost().macs
    kernels = {layer.name: layer.cost.params for layer in single.layers() if layer.kind == "conv"}
    assert kernels["features.0"] == 5 * 5 * 3 * 64 + 64
    assert kernels["features.12"] == 7 * 7 * 512 * 512 + 512


@pytest.mark.parametrize(("pools", "smallest"), [(5, 32), (4, 16), (3, 8), (1, 2)])
def test_smallest_resolution(pools: int, smallest: int) -> None:
    network = classic("vgg16").replace(pools=pools, resolution=smallest)
    assert network.min_resolution == smallest
    assert network.last_side == 1
    with pytest.raises(InputError, match=f"resolution: {smallest - 1} is too small for this vgg"):
        network.replace(resolution=smallest - 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": "stacks"}, "kernel: 'stacks' is unknown .did you mean 'stack'"),
        ({"normalisation": "lrn"}, "normalisation: 'lrn' is unknown"),
        ({"pools": 6}, "pools: 6 is not a whole number from 1 to 5"),
        ({"pools": 0}, "pools: 0"),
        ({"pools": True}, "pools: True"),
        ({"head_map": 0}, "head_map: 0 is not a whole number of at least 1"),
        ({"widths": (64, 128, 256, 512, 512)}, "widths: .* has 5 numbers; vgg needs 6"),
    ],
)
def test_impossible_networks_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        classic("vgg16").replace(**changes)
