"""What every family's networks are in torch: what the arithmetic says, with timm's interface, for torch's own tools."""

import importlib
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from timm.layers import create_act_layer
from torch import nn

from scaler import Architecture, Budget, InputError, Triangle, build, load_space
from scaler.architecture import ACTIVATIONS
from scaler.entries import TimmEntry, timm_entry
from scaler.families import CLASSICS
from scaler.shipped import shipped
from tests.conftest import DRAWS, FULL
from tests.counters import meta_model, torch_cost
from tests.families.strategies import SCALABLE, STRATEGIES
from tests.models.examples import EXAMPLES, OF_A_FAMILY

SPACES = sorted(file.stem for file in shipped("search_spaces").glob("*.toml"))


def images(network: Architecture, count: int = 3) -> torch.Tensor:
    return torch.randn(count, network.in_channels, network.resolution, network.resolution)


def shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in model.state_dict().items()}


def backbone_of(model: nn.Module, network: Architecture) -> nn.Module:
    """The network by `features_only` with the model's weights, which it has in the same order under its own names."""
    backbone = build(network, features_only=True).eval()
    weights = iter(model.state_dict().values())
    backbone.load_state_dict({key: next(weights) for key in backbone.state_dict()})
    return backbone


def of_the_triangles(count: int) -> dict[str, Architecture]:
    """Random networks of each search space."""
    networks = {}
    for space in SPACES:
        root = load_space(space).root(resolution=28, num_classes=5, in_channels=1)
        found = Triangle(root, Budget(macs="6M")).enumerate(divisions=20)
        chosen = np.random.default_rng(0).choice(len(found), 10, replace=False)[:count]
        networks |= {f"space {space} {index}": found[index][1] for index in chosen}
    return networks


NETWORKS = EXAMPLES | of_the_triangles(10 if FULL else 2)
each_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.mark.parametrize("family", SCALABLE)
@given(data=st.data())
@settings(max_examples=DRAWS)
def test_random_networks_are_what_the_arithmetic_says(family: str, data: st.DataObject) -> None:
    check_network(data.draw(STRATEGIES[family]()))


@given(STRATEGIES["inception_v3"]())
@settings(max_examples=20 if FULL else 5)  # slow to build, and all of one shape
def test_inception_v3_of_any_resolution_is_what_the_arithmetic_says(network: Architecture) -> None:
    check_network(network)


@pytest.mark.parametrize("name", [name for name in CLASSICS if FULL or name != "resnet1202"])
def test_classics_are_what_the_arithmetic_says(name: str) -> None:
    entry, model = timm_entry(CLASSICS[name]), check_network(CLASSICS[name])
    # What timm has of the classics goes by its own name: its weights and its entry point are the stock ones.
    assert entry.tier == ("stock" if timm.is_model(name) else "plugin")
    if entry.tier == "stock":
        with torch.device("meta"):
            assert shapes(timm.create_model(name)) == shapes(model)


def check_network(network: Architecture) -> nn.Module:
    """The network in torch, once its cost, its layer table and its entry point have been found right."""
    model = meta_model(network)
    assert torch_cost(network, model) == network.cost()
    check_layer_table(network, model)
    check_entry(network, timm_entry(network), model)
    return model


def check_layer_table(network: Architecture, model: nn.Module) -> None:
    """The table names the modules in torch's order, and has the parameters of each."""
    layers, modules = network.layers(), dict(model.named_modules())
    weighted = {layer.name: layer.cost.params for layer in layers if layer.kind != "pool"}
    assert list(weighted) == [key.removesuffix(".weight") for key in model.state_dict() if key.endswith(".weight")]
    assert weighted == {name: sum(p.numel() for p in modules[name].parameters()) for name in weighted}
    pools = {layer.name for layer in layers if layer.kind == "pool"}
    assert {name for name, module in modules.items() if isinstance(module, nn.MaxPool2d)} <= pools
    assert pools <= modules.keys() or network.family == "inception_v3"  # which pools by functions as well
    assert all(isinstance(modules[name], (nn.MaxPool2d, nn.AdaptiveAvgPool2d)) for name in pools & modules.keys())


def check_entry(network: Architecture, entry: TimmEntry, model: nn.Module) -> None:
    """timm makes the network from plain data alone, and finds its first and its last layer."""
    assert json.loads(json.dumps(entry.model_args)) == entry.model_args
    assert timm.is_model(entry.name)
    assert (entry.tier == "plugin") == entry.name.startswith("scaler_")
    assert model.get_submodule(entry.first_conv).in_channels == network.in_channels
    assert model.get_submodule(entry.classifier).out_features == network.num_classes
    side = network.resolution
    if entry.tier == "plugin":
        assert model.pretrained_cfg["input_size"] == (network.in_channels, side, side)
        assert (model.pretrained_cfg["first_conv"], model.pretrained_cfg["classifier"]) == (
            entry.first_conv,
            entry.classifier,
        )
    assert getattr(model, "drop_rate", network.dropout) == network.dropout  # timm's Inception v3 does not keep it


@each_network
def test_every_parameter_learns(name: str) -> None:
    network = NETWORKS[name]
    torch.manual_seed(0)
    model = build(network)
    logits = model(images(network))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert all(name.startswith("aux") for name in unused)
    assert bool(unused) == getattr(network, "aux_heads", False)
    assert model.get_submodule(timm_entry(network).first_conv).weight.grad.any()


@pytest.mark.parametrize("name", [name for name, network in EXAMPLES.items() if network.family != "inception_v3"])
def test_gradients_are_the_same_with_checkpointing(name: str) -> None:
    """Of all but Inception v3, whose class is timm's and has no checkpointing."""
    network = EXAMPLES[name].replace(dropout=0.0)
    model, x = build(network), images(network)
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    assert model.grad_checkpointing
    torch.testing.assert_close(*gradients)


@each_network
def test_timms_interface(name: str) -> None:
    network = NETWORKS[name]
    model, x = build(network).eval(), images(network)
    logits, features = model(x), model.forward_features(x)
    assert logits.shape == (3, model.num_classes) == (3, 5)
    assert features.shape[:2] == (3, model.num_features)
    assert torch.equal(model.forward_head(features), logits)
    hidden = model.forward_head(features, pre_logits=True)
    assert hidden.shape == (3, model.head_hidden_size)
    assert model.get_classifier() is model.get_submodule(timm_entry(network).classifier)
    assert torch.equal(model.get_classifier()(hidden), logits)

    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), logits)

    model.reset_classifier(7)
    assert model(x).shape == (3, model.num_classes) == (3, 7)
    model.reset_classifier(0)
    assert torch.equal(model(x), hidden)


@each_network
def test_features_only(name: str) -> None:
    network, x = NETWORKS[name], images(NETWORKS[name])
    model = build(network).eval()
    backbone = backbone_of(model, network)
    maps = backbone(x)
    assert [feature.shape[1] for feature in maps] == backbone.feature_info.channels()
    # Of timm's classes VGG's rounds halves of a side down, and the padded ones up.
    rounded = {"vgg": math.floor, "resnet": math.ceil, "efficientnet": math.ceil}.get(network.family)
    for feature, reduction in zip(maps, backbone.feature_info.reduction(), strict=True):
        side = network.resolution / reduction
        if rounded:
            assert feature.shape[-1] == rounded(side)
        else:
            # An unpadded pooling drops up to a pixel, and the ones before it up to a half, a quarter, … of one; so does
            # each of Inception v3's unpadded convolutions.
            assert abs(feature.shape[-1] - side) < {"inception": 1, "inception_v3": 4}.get(network.family, 2)
    if hasattr(model, "forward_intermediates"):
        last, levels = model.forward_intermediates(x)
        assert torch.equal(last, model.forward_features(x))
        assert all(torch.equal(*pair) for pair in zip(maps, levels, strict=True))
    else:
        assert torch.equal(maps[-1], model.forward_features(x))
    assert len(build(network, features_only=True, out_indices=(1, 3))(x)) == 2


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("family", OF_A_FAMILY)
def test_every_activation_trains_in_channels_last(family: str, activation: str) -> None:
    network = OF_A_FAMILY[family].replace(activation=activation)
    torch.manual_seed(0)
    model = build(network).to(memory_format=torch.channels_last)
    assert any(type(module) is type(create_act_layer(activation)) for module in model.modules())
    model(images(network).to(memory_format=torch.channels_last)).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    if family in ("alexnet", "vgg"):  # no normalisation scales a signal to zero at first
        assert all(parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_folder_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    network = EXAMPLES[name]
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
    x, folder = images(network), f"local-dir:{tmp_path}"
    assert torch.equal(timm.create_model(folder, pretrained=True).eval()(x), model(x))
    torch.testing.assert_close(
        timm.create_model(folder, pretrained=True, features_only=True).eval()(x),
        backbone_of(model, network)(x),
    )
    if getattr(network, "aux_heads", False):
        return  # timm replaces the classifier alone, not those of the auxiliary heads
    other = timm.create_model(folder, pretrained=True, num_classes=3, in_chans=3).eval()
    assert other(x.expand(-1, 3, -1, -1)).shape == (3, 3)
    kept = [key for key in model.state_dict() if not key.startswith((f"{entry.first_conv}.", f"{entry.classifier}."))]
    assert all(torch.equal(other.state_dict()[key], model.state_dict()[key]) for key in kept)


@pytest.mark.parametrize("space", SPACES)
def test_the_meta_device_builds_the_same_keys(space: str) -> None:
    network = next(network for name, network in NETWORKS.items() if name.startswith(f"space {space} "))
    assert shapes(meta_model(network)) == shapes(build(network))


@pytest.mark.parametrize("family", SCALABLE)
def test_a_second_import_is_silent(family: str) -> None:
    module = importlib.import_module(f"scaler.models.{family}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(module)
    entry_point = f"scaler_{family}"
    assert timm.models.model_entrypoint(entry_point) is getattr(module, entry_point)
    assert timm.models.get_pretrained_cfg(entry_point).first_conv
    with torch.device("meta"):
        assert type(timm.create_model(entry_point)).__module__ == module.__name__


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("alexnet", {"groups": 5}, "groups: 5 is not possible"),
        ("alexnet", {"global_pool": "max"}, "global_pool: 'max' is unknown"),
        ("vgg", {"pools": 9}, "pools: 9 is not a whole number"),
        ("resnet", {"shortcut": "C"}, "shortcut: 'C' is unknown"),
        ("inception", {"norm": "layer"}, "norm: 'layer' is unknown"),
        ("efficientnet", {"stem_stride": 3}, "stem_stride: 3 is neither"),
        *((family, {"act_layer": "rilu"}, "activation: 'rilu' is unknown") for family in SCALABLE),
        *((family, {"resolution": 1}, "resolution: 1 is too small") for family in SCALABLE),
    ],
)
def test_a_wrong_argument_is_the_users_error(family: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        timm.create_model(f"scaler_{family}", **changes)
