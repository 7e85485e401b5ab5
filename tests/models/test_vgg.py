"""VGG in torch: what its arithmetic says is what is built, and timm can do with it what it does with its own."""

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaler.architecture import ACTIVATIONS
from scaler.errors import InputError
from scaler.families import classic
from scaler.families.vgg import CLASSICS, VGG
from scaler.models import build, timm_entry, vgg
from scaler.models.plugin import plugin_args
from tests.conftest import DRAWS
from tests.families.test_vgg import networks

EXAMPLES = {
    "three pools": VGG(
        depths=(1, 2, 1, 1, 2),
        widths=(4, 6, 8, 10, 12, 14),
        resolution=28,
        num_classes=5,
        in_channels=1,
        normalisation="batch",
        pools=3,
        head_map=2,
    ),
    "single kernels": VGG(
        depths=(2, 1, 3, 1, 1),
        widths=(4, 5, 6, 7, 8, 9),
        resolution=40,
        num_classes=5,
        in_channels=1,
        kernel="single",
        activation="tanh",
        head_map=3,
    ),
    "global": VGG(
        depths=(1, 1, 1, 1, 2),
        widths=(4, 5, 6, 7, 8, 9),
        resolution=96,
        num_classes=5,
        in_channels=1,
        activation="leaky_relu",
        head_map=1,
    ),
}


def images(network: VGG, count: int = 2) -> torch.Tensor:
    return torch.randn(count, network.in_channels, network.resolution, network.resolution)


def counted_activations(model: nn.Module, x: torch.Tensor) -> int:
    """Elements in the outputs of convolution, spatial pooling and linear layers, for one image."""
    sizes: list[int] = []

    def hook(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if not (isinstance(module, nn.AdaptiveAvgPool2d) and output.shape[-1] == 1):
            sizes.append(output[0].numel())

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.MaxPool2d)) or type(module) is nn.AdaptiveAvgPool2d:
            module.register_forward_hook(hook)
    model(x)
    return sum(sizes)


def check_macs_and_params(network: VGG) -> None:
    cost = network.cost()
    with torch.device("meta"):
        model = build(network).eval()
        with FlopCounterMode(display=False) as counter:
            model(images(network, 1))
    assert counter.get_total_flops() == 2 * cost.macs
    assert sum(parameter.numel() for parameter in model.parameters()) == cost.params


@settings(max_examples=DRAWS)
@given(networks())
def test_torch_counts_the_same_cost(network: VGG) -> None:
    check_macs_and_params(network)
    assert counted_activations(build(network).eval(), images(network, 1)) == network.cost().activations


@pytest.mark.parametrize("resolution", [32, 100, 224, 255, 256, 320])
def test_torch_counts_the_same_cost_of_a_classic_at_any_resolution(resolution: int) -> None:
    check_macs_and_params(classic("vgg11_bn").replace(resolution=resolution))


@settings(max_examples=DRAWS)
@given(networks())
def test_layer_table_names_the_modules(network: VGG) -> None:
    with torch.device("meta"):
        model = build(network)
    tabled = {layer.name: layer for layer in network.layers() if layer.name != "pre_logits.pool"}
    kinds = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.BatchNorm2d)
    modules = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
    assert modules.keys() == tabled.keys()
    for name, module in modules.items():
        assert sum(parameter.numel() for parameter in module.parameters()) == tabled[name].cost.params


@settings(max_examples=DRAWS)
@given(networks())
def test_timm_makes_the_same_network(network: VGG) -> None:
    entry = timm_entry(network)
    assert entry.tier == "plugin"
    assert json.loads(json.dumps(entry.model_args)) == entry.model_args
    with torch.device("meta"):
        ours = build(network)
        theirs = timm.create_model(
            entry.name, **entry.model_args, num_classes=network.num_classes, in_chans=network.in_channels
        )
    shapes = {key: value.shape for key, value in ours.state_dict().items()}
    assert {key: value.shape for key, value in theirs.state_dict().items()} == shapes
    assert theirs.pretrained_cfg["input_size"] == (network.in_channels, network.resolution, network.resolution)
    assert f"{entry.first_conv}.weight" in shapes
    assert f"{entry.classifier}.weight" in shapes


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


@pytest.mark.parametrize("example", EXAMPLES)
def test_interface(example: str) -> None:
    network = EXAMPLES[example]
    model = build(network)
    x = images(network)
    model(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())

    model.eval()
    features = model.forward_features(x)
    assert features.shape == (2, model.num_features, network.last_side, network.last_side)
    hidden = model.forward_head(features, pre_logits=True)
    assert hidden.shape == (2, model.head_hidden_size)
    assert torch.equal(model.get_classifier()(hidden), model(x))
    assert model(x).shape == (2, model.num_classes) == (2, 5)

    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))

    model.reset_classifier(7)
    assert model(x).shape == (2, 7)
    model.reset_classifier(0)
    assert torch.equal(model(x), hidden)


@pytest.mark.parametrize("example", EXAMPLES)
def test_features_only(example: str) -> None:
    network = EXAMPLES[example]
    x = images(network)
    features = build(network, features_only=True)
    maps = features(x)
    widths = list(network.widths[:5])
    reductions = [2 ** min(stage, network.pools) for stage in range(5)]
    if network.pools == 5:
        widths, reductions = [*widths, widths[-1]], [*reductions, 32]
    assert [m.shape[1] for m in maps] == features.feature_info.channels() == widths
    assert features.feature_info.reduction() == reductions
    assert [m.shape[-1] for m in maps] == [network.resolution // reduction for reduction in reductions]
    assert len(build(network, features_only=True, out_indices=(1, 3))(x)) == 2
    model = build(network).eval()
    last, taps = model.forward_intermediates(x)
    assert [tap.shape for tap in taps] == [m.shape for m in maps]
    assert torch.equal(last, model.forward_features(x))


@pytest.mark.parametrize("example", EXAMPLES)
def test_gradients_are_the_same_with_checkpointing(example: str) -> None:
    network = EXAMPLES[example].replace(dropout=0.0)
    model, x = build(network), images(network)
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_reaches_every_layer(activation: str) -> None:
    network = EXAMPLES["global"].replace(activation=activation)
    model = build(network).to(memory_format=torch.channels_last)
    model(images(network).to(memory_format=torch.channels_last)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    # timm hands its activation one positional argument in the head, which LeakyReLU would take for its slope.
    x = torch.linspace(-2, 2, 9)
    first = next(layer for layer in model.features if not isinstance(layer, nn.Conv2d))
    assert torch.equal(model.pre_logits.act1(x.clone()), first(x.clone()))
    assert not torch.equal(first(x.clone()), x)


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_folder_gives_the_same_logits(example: str, tmp_path: Path) -> None:
    network = EXAMPLES[example]
    entry, model = timm_entry(network), build(network).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": entry.name,
        "num_classes": network.num_classes,
        "global_pool": "avg",
        "model_args": {**entry.model_args, "in_chans": network.in_channels},
        "pretrained_cfg": {
            "input_size": [network.in_channels, network.resolution, network.resolution],
            "num_classes": network.num_classes,
            "first_conv": entry.first_conv,
            "classifier": entry.classifier,
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    x = images(network)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(loaded(x), model(x))
    other = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3, in_chans=3).eval()
    assert other(x.expand(-1, 3, -1, -1)).shape == (2, 3)
    assert torch.equal(other.state_dict()["pre_logits.fc2.weight"], model.state_dict()["pre_logits.fc2.weight"])


def test_a_second_import_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(vgg)
    with torch.device("meta"):
        assert type(timm.create_model("scaler_vgg")) is vgg.VGGModule


def test_entry_point_refuses_impossible_networks() -> None:
    with pytest.raises(InputError, match="pools: 9"):
        timm.create_model("scaler_vgg", pools=9)
