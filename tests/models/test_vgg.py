"""VGG in torch: what its arithmetic says is what is built, and timm can do with it what it does with its own."""

from typing import Any

import pytest
import timm
import torch
from torch import nn

from scaler.architecture import ACTIVATIONS
from scaler.entries import plugin_args, timm_entry
from scaler.families import classic
from scaler.families.vgg import CLASSICS
from scaler.models import build
from tests.counters import torch_cost
from tests.models.examples import EXAMPLES


@pytest.mark.parametrize("resolution", [32, 100, 224, 255, 256, 320])
def test_torch_counts_the_same_cost_of_a_classic_at_any_resolution(resolution: int) -> None:
    network = classic("vgg11_bn").replace(resolution=resolution)
    assert torch_cost(network) == network.cost()


@pytest.mark.parametrize("name", CLASSICS)
def test_classics_are_stock(name: str) -> None:
    network = classic(name)
    entry = timm_entry(network)
    assert (entry.name, entry.tier, entry.model_args) == (name, "stock", {"drop_rate": 0.5})
    with torch.device("meta"):
        stock = timm.create_model(name).state_dict()
        ours = timm.create_model("scaler_vgg", **plugin_args(network)).state_dict()
    assert {key: value.shape for key, value in stock.items()} == {key: value.shape for key, value in ours.items()}


@pytest.mark.parametrize(
    "changes",
    [
        {"head_map": 6},
        {"pools": 4},
        {"kernel": "single"},
        {"activation": "gelu"},
        {"depths": (2, 2, 3, 3, 4)},
        {"widths": (64, 128, 256, 512, 512, 2048)},
        {"widths": (64, 128, 256, 512, 504, 4096)},
        {"resolution": 256},
    ],
)
def test_what_timm_cannot_say_is_a_plugin(changes: dict[str, Any]) -> None:
    assert timm_entry(classic("vgg16").replace(**changes)).tier == "plugin"


def test_stock_takes_what_timm_can_say() -> None:
    network = classic("vgg13").replace(resolution=192, num_classes=3, in_channels=1, dropout=0.0)
    assert (timm_entry(network).name, timm_entry(network).tier) == ("vgg13", "stock")


@pytest.mark.parametrize("name", ["vgg16", "vgg16_bn"])
def test_our_class_computes_what_timms_does(name: str) -> None:
    stock = timm.create_model(name).eval()
    with torch.device("meta"):
        ours = timm.create_model("scaler_vgg", **plugin_args(classic(name))).eval()
    ours.load_state_dict(stock.state_dict(), strict=True, assign=True)
    for side in (224, 64):
        x = torch.randn(1, 3, side, side)
        with torch.no_grad():
            assert torch.equal(ours(x), stock(x))
    stock.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("name", ["vgg three pools", "vgg single kernels", "vgg global"])
def test_feature_maps_end_the_stages(name: str) -> None:
    network = EXAMPLES[name]
    info = build(network, features_only=True).feature_info
    widths, reductions = list(network.widths[:5]), [2 ** min(stage, network.pools) for stage in range(5)]
    if network.pools == 5:
        widths, reductions = [*widths, widths[-1]], [*reductions, 32]
    assert (info.channels(), info.reduction()) == (widths, reductions)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_is_the_same_in_the_head(activation: str) -> None:
    model = build(EXAMPLES["vgg global"].replace(activation=activation))
    # timm hands its activation one positional argument in the head, which LeakyReLU would take for its slope.
    x = torch.linspace(-2, 2, 9)
    first = next(layer for layer in model.features if not isinstance(layer, nn.Conv2d))
    assert torch.equal(model.pre_logits.act1(x.clone()), first(x.clone()))
    assert not torch.equal(first(x.clone()), x)
