"""GoogLeNet's arithmetic: published figures, a hand count, the depth rule, monotone MACs, small budgets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.architecture import Shapes
from scaler.errors import InputError
from scaler.families import CLASSICS
from scaler.families.inception import Inception
from tests.conftest import DRAWS
from tests.families.strategies import STRATEGIES

# Parameters with and without auxiliary heads: torchvision's meta data and module for googlenet_bn; for googlenet the
# paper's table with biases. MACs of googlenet_bn: torchvision's meta data say 1.498 G.
PUBLISHED = {
    "googlenet": (1_582_671_872, 6_998_552, 13_378_280),
    "googlenet_bn": (1_498_376_192, 6_624_904, 13_004_888),
}
STEPS = [*range(4, 64, 4), *range(64, 513, 8)]
REDUCTIONS = ["published", 1, 2, 3, 7]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures(name: str) -> None:
    macs, params, params_with_aux = PUBLISHED[name]
    cost = CLASSICS[name].cost()
    assert (cost.macs, cost.params, cost.activations) == (macs, params, 4_644_632)
    with_aux = CLASSICS[name].replace(aux_heads=True).cost()
    assert (with_aux.macs, with_aux.params, with_aux.activations) == (macs, params_with_aux, 4_644_632)


def test_published_channels_and_sides() -> None:
    net = CLASSICS["googlenet"]
    channels = [module.c_out for module in net.modules(net.depths, net.widths) if module.repeat]
    assert channels == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    pools = {layer.name: layer.side for layer in net.layers() if layer.name.startswith("maxpool")}
    assert pools == {"maxpool1": 56, "maxpool2": 28, "maxpool3": 14, "maxpool4": 7}


def test_hand_count() -> None:
    # One module a stage, every branch 4 wide: 8 px, pooled to 4, 2 and 1 px before the three stages.
    net = Inception(
        depths=(1, 1, 1),
        widths=(4, 4, 4, 4),
        resolution=8,
        num_classes=2,
        in_channels=1,
        kernel=3,
        norm="batch",
        stem="small",
    )
    weights = {c_in: 4 * c_in * 4 + 2 * 9 * 4 * 4 for c_in in (4, 16)}
    cost = net.cost()
    assert cost.macs == 64 * 9 * 4 + 16 * weights[4] + 4 * weights[16] + weights[16] + 16 * 2
    norms = 2 * (4 + 3 * 6 * 4)
    assert cost.params == 9 * 4 + weights[4] + 2 * weights[16] + norms + 16 * 2 + 2
    conv1, modules = 64 * 4, 16 * (24 + 4) + 4 * (24 + 16) + (24 + 16)
    assert cost.activations == conv1 + 16 * 4 + modules + 4 * 16 + 16 + 2


@pytest.mark.parametrize(
    ("depth", "names"), [(1, "a"), (2, "ae"), (3, "ade"), (4, "acde"), (5, "abcde"), (7, "abcde01")]
)
def test_depth_keeps_the_first_and_the_last(depth: int, names: str) -> None:
    layers = CLASSICS["googlenet"].replace(depths=(2, depth, 2)).layers()
    first = [layer.name for layer in layers if layer.name.startswith("inception4") and "branch1" in layer.name]
    letters = [f"inception4{n}" if n.isalpha() else f"inception4_repeats.{n}" for n in names]
    assert first == [f"{name}.branch1.conv" for name in letters]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("kernel", [3, 5])
def test_macs_grow_with_depth_at_every_width(kernel: int, reduction: int | str) -> None:
    net = CLASSICS["googlenet"].replace(kernel=kernel, reduction=reduction)
    for stage in range(3):
        # The stage's width against a wide and a narrow neighbourhood, since both sides of it depend on its output.
        for others in (4, 1024):
            depths = np.tile([2, 5, 2], (len(STEPS), 1))
            widths = np.full((len(STEPS), 4), others)
            widths[:, 1 + stage] = STEPS
            resolution = np.full(len(STEPS), 224)
            previous = np.zeros(len(STEPS), np.int64)
            for depth in range(1, 9):
                depths[:, stage] = depth
                macs = net.costs(Shapes(depths, widths, resolution)).macs
                assert (macs > previous).all()
                previous = macs


@settings(max_examples=DRAWS)
@given(STRATEGIES["inception"](), *[st.floats(0.01, 3)] * 3)
def test_scaled_widths_are_what_is_built(net: Inception, depth: float, width: float, resolution: float) -> None:
    base = net.replace(widths=(192, 192, 320, 384))
    scaled = base.scaled(depth, width, resolution)
    last = {layer.name.split(".")[0]: layer for layer in scaled.layers() if layer.name.endswith("branch2.1.conv")}
    for stage, letter, width_built in zip("345", "beb", scaled.widths[1:], strict=True):
        module = last.get(f"inception{stage}{letter}")
        assert module is None or module.channels == width_built
    assert all(width % (4 if width < 64 else 8) == 0 for width in scaled.widths)


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel": 7},
        {"kernel": 3.0},
        {"reduction": 0},
        {"reduction": "table"},
        {"reduction": True},
        {"norm": "layer"},
        {"stem": "deep"},
        {"aux_heads": 1},
        {"resolution": 30},
        {"stem": "small", "resolution": 7},
        {"depths": (2, 5)},
    ],
)
def test_impossible_networks_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError) as raised:
        CLASSICS["googlenet"].replace(**changes)
    assert str(raised.value).partition(":")[0] in changes
