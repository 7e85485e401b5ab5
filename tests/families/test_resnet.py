import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import InputError, classic
from scaler.architecture import Shapes
from scaler.families.resnet import ResNet
from tests.counters import hooked_activations, torch_macs_and_params

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "classics.json").read_text())["classics"]
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


@st.composite
def resnets(draw: st.DrawFn) -> ResNet:
    stem = draw(st.sampled_from(["imagenet", "deep"]))
    widths = draw(st.lists(st.integers(1, 48), min_size=4, max_size=4))
    return ResNet(
        depths=tuple(draw(st.lists(st.integers(1, 4), min_size=4, max_size=4))),
        widths=(64 if stem == "imagenet" else 2 * draw(st.integers(1, 24)), *widths),
        resolution=draw(st.integers(17, 70)),
        num_classes=draw(st.integers(1, 20)),
        in_channels=draw(st.integers(1, 4)),
        block=draw(st.sampled_from(["basic", "bottleneck"])),
        stem=stem,
    )


@pytest.mark.parametrize("name", RESNETS)
def test_classics_cost_what_is_published(name: str) -> None:
    golden, cost = GOLDEN[name], classic(name).cost()
    assert classic(name).resolution == golden["resolution"]
    assert (cost.macs, cost.params) == (golden["macs"], golden["params"])
    assert round(cost.macs / 1e9, 3) == golden["published_gmacs"]
    if "activations" in golden:
        assert cost.activations == golden["activations"]


@pytest.mark.parametrize("name", RESNETS)
def test_classics_cost_what_torch_counts(name: str) -> None:
    cost = classic(name).cost()
    assert (cost.macs, cost.params) == torch_macs_and_params(classic(name))


def test_cost_of_a_tiny_net_by_hand() -> None:
    net = ResNet(depths=(1, 1, 1, 1), widths=(4, 4, 8, 8, 8), resolution=32, num_classes=3, in_channels=1, stem="deep")
    stem = 9 * 1 * 2 * 16**2 + 9 * 2 * 2 * 16**2 + 9 * 2 * 4 * 16**2
    layer1 = 2 * 9 * 4 * 4 * 8**2
    layer2 = (9 * 4 * 8 + 9 * 8 * 8 + 4 * 8) * 4**2
    layer3 = (9 * 8 * 8 + 9 * 8 * 8 + 8 * 8) * 2**2
    layer4 = (9 * 8 * 8 + 9 * 8 * 8 + 8 * 8) * 1**2
    assert net.cost().macs == stem + layer1 + layer2 + layer3 + layer4 + 8 * 3
    outputs = (2 + 2 + 4) * 16**2 + 4 * 8**2 + 2 * 4 * 8**2 + 3 * 8 * (4**2 + 2**2 + 1) + 3
    assert net.cost().activations == outputs


@given(resnets())
def test_random_networks_cost_what_torch_counts(net: ResNet) -> None:
    cost = net.cost()
    assert (cost.macs, cost.params) == torch_macs_and_params(net)
    assert cost.activations == hooked_activations(net)


@given(resnets())
def test_the_layer_table_adds_up_to_the_cost(net: ResNet) -> None:
    layers = net.layers()
    for count in ("macs", "params", "activations"):
        assert sum(getattr(layer.cost, count) for layer in layers) == getattr(net.cost(), count)
    assert len({layer.name for layer in layers}) == len(layers)


def test_the_layer_table_has_the_names_of_the_torch_module() -> None:
    import torch

    from scaler.models import build

    net = classic("resnet50").replace(stem="deep", widths=(32, 64, 128, 256, 512))
    with torch.device("meta"):
        modules = dict(build(net).named_modules())
    for layer in net.layers():
        assert sum(p.numel() for p in modules[layer.name].parameters()) == layer.cost.params, layer.name


@given(st.sampled_from(["basic", "bottleneck"]), st.integers(0, 2**32 - 1))
def test_array_cost_equals_scalar_cost(block: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    template = classic("resnet18").replace(stem="deep", block=block)
    shapes = Shapes(rng.integers(1, 40, (20, 4)), 2 * rng.integers(1, 300, (20, 5)), rng.integers(17, 600, 20))
    costs = template.costs(shapes)
    for index in range(20):
        cost = template.at(shapes, index).cost()
        assert (costs.macs[index], costs.params[index], costs.activations[index]) == (
            cost.macs,
            cost.params,
            cost.activations,
        )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"block": "basik"}, "block"),
        ({"stem": "shallow"}, "stem"),
        ({"widths": (32, 64, 128, 256, 512)}, "widths"),
        ({"stem": "deep", "widths": (33, 64, 128, 256, 512)}, "widths"),
        ({"depths": (2, 2)}, "depths"),
        ({"depths": (2, 2, 2, 0)}, "depths"),
        ({"resolution": 16}, "resolution"),
        ({"num_classes": 0}, "num_classes"),
        ({"dropout": 1.0}, "dropout"),
        ({"activation": "rilu"}, "activation"),
        ({"depth": 3}, "resnet field"),
    ],
)
def test_impossible_networks_are_refused_by_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: "):
        classic("resnet18").replace(**changes)


def test_the_smallest_resolution_runs_in_torch() -> None:
    import torch

    from scaler.models import build

    net = classic("resnet18").replace(resolution=17)
    assert build(net).eval()(torch.zeros(1, 3, 17, 17)).shape == (1, 1000)
