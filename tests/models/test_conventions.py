"""The checks that timm's own model tests make, over the `scaler_*` entry points.

What `test_every_family` finds of every network anyway is not repeated here: forward and backward, features, the
classifier reset to other and to no classes, checkpointing, `torch.export`, folders.
"""

from collections.abc import Callable

import pytest
import timm
import torch
from timm.layers import set_scriptable
from timm.models import GraphExtractNet, get_pretrained_cfg, group_parameters
from timm.optim import create_optimizer_v2
from torch import nn

from scaler import Architecture, build
from scaler.entries import timm_entry
from tests.conftest import FULL
from tests.families.strategies import SCALABLE
from tests.models.examples import EXAMPLES
from tests.models.test_every_family import images

OURS = {name: network for name, network in EXAMPLES.items() if timm_entry(network).tier == "plugin"}
OF_A_FAMILY = OURS if FULL else {network.family: network for network in OURS.values()}
each_of_ours = pytest.mark.parametrize("network", OURS.values(), ids=OURS)
each_family = pytest.mark.parametrize("network", OF_A_FAMILY.values(), ids=OF_A_FAMILY)

EARLY_POOLING = {"alexnet", "vgg"}
"""Families with layers after the pooling, which timm's tests except from what follows the pooling."""


@pytest.mark.parametrize("family", SCALABLE)
def test_the_default_cfg_is_complete_and_true(family: str) -> None:
    name = f"scaler_{family}"
    cfg = get_pretrained_cfg(name)
    assert cfg is not None
    assert cfg.architecture == name
    assert not cfg.has_weights
    assert name in timm.list_models("scaler_*")
    assert name not in timm.list_pretrained("scaler_*")
    for field in ("input_size", "pool_size", "num_classes", "mean", "std", "interpolation", "crop_pct", "crop_mode"):
        assert getattr(cfg, field) is not None, field
        assert timm.models.get_pretrained_cfg_value(name, field) == getattr(cfg, field)
    with torch.device("meta"):
        model = timm.create_model(name).eval()
        check_cfg(model, torch.empty(1, *cfg.input_size))
    assert model.default_cfg is model.pretrained_cfg
    assert {key: model.default_cfg[key] for key in ("input_size", "pool_size", "first_conv", "classifier")} == {
        key: getattr(cfg, key) for key in ("input_size", "pool_size", "first_conv", "classifier")
    }


@each_of_ours
def test_the_cfg_of_any_shape_is_true(network: Architecture) -> None:
    model = build(network).eval()
    assert model.default_cfg["input_size"] == (network.in_channels, network.resolution, network.resolution)
    check_cfg(model, images(network))


def check_cfg(model: nn.Module, x: torch.Tensor) -> None:
    """What the cfg says of the network is so."""
    cfg, state = model.default_cfg, model.state_dict()
    features = model.forward_features(x)
    assert features.shape == (len(x), model.num_features, *cfg["pool_size"])
    assert model.forward_head(features, pre_logits=True).shape == (len(x), model.head_hidden_size)
    assert model(x).shape == (len(x), model.num_classes)
    assert {f"{cfg[part]}.weight" for part in ("first_conv", "classifier")} <= state.keys()


@each_of_ours
def test_without_pooling_and_classifier_the_map_comes_out(network: Architecture) -> None:
    x = images(network)
    model = build(network).eval()
    features, hidden = model.forward_features(x), model.forward_head(model.forward_features(x), pre_logits=True)
    model.reset_classifier(0)
    assert model.num_classes == 0
    assert torch.equal(model(x), hidden)
    assert build(network, num_classes=0).eval()(x).shape == hidden.shape
    if network.family in EARLY_POOLING:
        return
    model.reset_classifier(0, "")
    assert torch.equal(model(x), features)
    assert build(network, num_classes=0, global_pool="").eval()(x).shape == features.shape


@each_of_ours
def test_every_resolution_goes_through(network: Architecture) -> None:
    model = build(network).eval()
    x = torch.randn(1, network.in_channels, network.resolution + 7, 2 * network.resolution)
    with torch.inference_mode():
        logits = model(x)
        model.set_grad_checkpointing()
        assert torch.equal(model(x), logits)
    assert logits.shape == (1, 5)
    assert logits.isfinite().all()


@each_of_ours
@pytest.mark.parametrize("coarse", [False, True])
def test_parameters_are_grouped_from_the_images_to_the_classes(network: Architecture, coarse: bool) -> None:
    model = build(network)
    groups = group_parameters(model, model.group_matcher(coarse=coarse))
    named = [name for names in groups.values() for name in names]
    assert sorted(named) == sorted(name for name, _ in model.named_parameters())
    entry = timm_entry(network)
    assert f"{entry.first_conv}.weight" in groups[min(groups)]
    assert f"{entry.classifier}.weight" in groups[max(groups)]
    assert len(groups) > network.stages
    # In the order in which the images go through them; shortcuts and auxiliary heads lie beside the way.
    forward = [f"{layer.name}.weight" for layer in network.layers() if layer.cost.params]
    depths = [next(group for group, names in groups.items() if name in names) for name in forward]
    assert depths == sorted(depths) or getattr(network, "aux_heads", False)


@each_family
def test_rates_of_learning_fall_with_depth(network: Architecture) -> None:
    """Which is what timm groups parameters for."""
    model = build(network)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.1, weight_decay=0.01, layer_decay=0.5)
    scales = {id(p): group["lr_scale"] for group in optimizer.param_groups for p in group["params"]}
    entry = timm_entry(network)
    assert scales.keys() == {id(parameter) for parameter in model.parameters()}
    assert scales[id(model.get_submodule(entry.classifier).weight)] == 1
    assert scales[id(model.get_submodule(entry.first_conv).weight)] == min(scales.values()) < 0.5


@each_family
def test_torchscript(network: Architecture) -> None:
    with set_scriptable(True):
        model = build(network).eval()
    x = images(network)
    torch.testing.assert_close(torch.jit.script(model)(x), model(x))


@each_family
def test_a_traced_graph_gives_the_same_and_learns(network: Architecture) -> None:
    x = images(network)
    model = build(network)
    traced = GraphExtractNet(model, return_nodes=[timm_entry(network).classifier])
    outputs = traced(x)
    outputs.mean().backward()
    aside = {name for name, parameter in traced.named_parameters() if parameter.grad is None}
    assert all(".aux" in name or name.startswith("aux") for name in aside)
    model.eval()
    traced.eval()
    torch.testing.assert_close(traced(x).flatten(1), model(x))


@each_family
@pytest.mark.parametrize("feature_cls", ["hook", "fx"])
def test_features_come_out_of_hooks_and_graphs_alike(network: Architecture, feature_cls: str) -> None:
    x = images(network)
    plain, other = (
        _seeded(lambda cls=cls: build(network, features_only=True, feature_cls=cls).eval())
        for cls in ("list", feature_cls)
    )
    assert other.feature_info.channels() == plain.feature_info.channels()
    assert other.feature_info.reduction() == plain.feature_info.reduction()
    for one, another in zip(plain(x), other(x), strict=True):
        torch.testing.assert_close(one, another)


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make()
