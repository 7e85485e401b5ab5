"""EfficientNet in torch: the module is what the arithmetic says, under timm's keys and timm's interface."""

import importlib
import json
import warnings

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import scaler.models.efficientnet as module
from scaler.architecture import ACTIVATIONS
from scaler.errors import InputError
from scaler.families import classic
from scaler.families.efficientnet import CLASSICS, EfficientNet
from scaler.models import build, timm_entry
from tests.conftest import DRAWS


@st.composite
def architectures(draw):
    stem_stride = draw(st.sampled_from([1, 2]))
    seven = {"min_size": 7, "max_size": 7}
    return EfficientNet(
        depths=tuple(draw(st.lists(st.integers(1, 3), **seven))),
        widths=tuple(draw(st.lists(st.integers(1, 40), min_size=9, max_size=9))),
        resolution=draw(st.integers(9 if stem_stride == 1 else 17, 40)),
        num_classes=draw(st.integers(1, 12)),
        in_channels=draw(st.sampled_from([1, 3])),
        kernels=tuple(draw(st.lists(st.sampled_from([3, 5, 7]), **seven))),
        expansions=tuple(draw(st.lists(st.integers(1, 6), **seven))),
        se_ratios=tuple(draw(st.lists(st.sampled_from([0, 0.01, 0.1, 0.25, 0.3, 1]), **seven))),
        stem_stride=stem_stride,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        dropout=draw(st.sampled_from([0, 0.3])),
    )


THREE = [
    EfficientNet(depths=(1,) * 7, widths=(8,) * 9, resolution=17, num_classes=5, in_channels=1),
    EfficientNet(
        depths=(1, 2, 1, 3, 1, 2, 1),
        widths=(16, 8, 16, 24, 24, 32, 40, 48, 64),
        resolution=22,
        num_classes=5,
        in_channels=1,
        kernels=(5, 3, 7, 3, 3, 5, 3),
        expansions=(2, 4, 1, 3, 6, 6, 1),
        activation="hard_swish",
    ),
    EfficientNet(
        depths=(2, 1, 1, 1, 2, 1, 1),
        widths=(12, 4, 12, 20, 20, 32, 40, 48, 24),
        resolution=9,
        num_classes=5,
        in_channels=1,
        se_ratios=(0.25, 0, 0.01, 0.25, 0.25, 0.5, 0),
        stem_stride=1,
    ),
]


def images(net, count=2):
    return torch.randn(count, net.in_channels, net.resolution, net.resolution)


def count_activations(net):
    """Elements in the outputs of convolution, spatial pooling and linear layers, measured in a forward pass."""
    model, counted = build(net).eval(), []
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d)):
            layer.register_forward_hook(lambda *call: counted.append(call[-1].numel()))
    with torch.no_grad():
        model(images(net, 1))
    return sum(counted)


def count_macs(net):
    with torch.device("meta"):
        model, counter = build(net).eval(), FlopCounterMode(display=False)
        with counter:
            model(images(net, 1))
    return counter.get_total_flops() / 2


@settings(max_examples=DRAWS)
@given(architectures())
def test_module_is_what_the_arithmetic_says(net):
    cost = net.cost()
    with torch.device("meta"):
        model = build(net)
    assert sum(parameter.numel() for parameter in model.parameters()) == cost.params
    assert count_macs(net) == cost.macs
    assert count_activations(net) == cost.activations


@settings(max_examples=DRAWS)
@given(architectures())
def test_layer_names_are_module_names(net):
    with torch.device("meta"):
        model = build(net)
    weights = [name.removesuffix(".weight") for name in model.state_dict() if name.endswith(".weight")]
    assert weights == [layer.name for layer in net.layers()]
    sizes = {name: sum(p.numel() for p in model.get_submodule(name).parameters()) for name in weights}
    assert sizes == {layer.name: layer.cost.params for layer in net.layers()}


@pytest.mark.parametrize("name", CLASSICS)
def test_classics_are_timms_own(name):
    net = classic(name)
    entry = timm_entry(net)
    assert (entry.name, entry.tier) == (name, "stock")
    with torch.device("meta"):
        published = timm.create_model(name)
    assert sum(parameter.numel() for parameter in published.parameters()) == net.cost().params
    if name < "efficientnet_b4":  # the larger ones take long, and the golden figures hold for them
        assert count_macs(net) == net.cost().macs


def test_other_shapes_are_plugin():
    assert timm_entry(classic("efficientnet_b0").replace(resolution=32, num_classes=10)).tier == "stock"
    entry = timm_entry(classic("efficientnet_b0").replace(stem_stride=1))
    assert (entry.name, entry.tier) == ("scaler_efficientnet", "plugin")


def test_weights_go_both_ways_between_timm_and_the_plugin():
    net = classic("efficientnet_b0")
    ours = timm.create_model("scaler_efficientnet", depths=net.depths, widths=net.widths, resolution=224).eval()
    theirs = timm.create_model("efficientnet_b0").eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    batch = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours.load_state_dict(theirs.state_dict(), strict=True)
        assert torch.equal(ours(batch), theirs(batch))
        for parameter in ours.parameters():
            parameter.mul_(0.9)
        assert not torch.equal(ours(batch), theirs(batch))
        theirs.load_state_dict(ours.state_dict(), strict=True)
        assert torch.equal(ours(batch), theirs(batch))


@pytest.mark.parametrize("net", [*THREE, classic("efficientnet_b1")])
def test_entry_point_makes_what_build_makes(net):
    entry = timm_entry(net)
    arguments = json.loads(json.dumps(entry.model_args))
    with torch.device("meta"):
        ours = build(net)
        theirs = timm.create_model(entry.name, **arguments, num_classes=net.num_classes, in_chans=net.in_channels)
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert ours.get_submodule(entry.first_conv).in_channels == net.in_channels
    assert ours.get_submodule(entry.classifier).out_features == net.num_classes


@pytest.mark.parametrize("net", THREE)
def test_timms_interface(net):
    model = build(net)
    batch = images(net)
    features = model.forward_features(batch)
    assert features.shape[1] == model.num_features == net.widths[-1]
    assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
    assert model.forward_head(features).shape == (2, 5) == (2, model.num_classes)
    assert model.pretrained_cfg["input_size"] == (1, net.resolution, net.resolution)
    assert model.drop_rate == net.dropout
    assert model.get_classifier().out_features == 5
    model.reset_classifier(7)
    assert model(batch).shape == (2, 7)
    model.reset_classifier(0)
    assert model(batch).shape == (2, model.num_features)


@pytest.mark.parametrize("net", THREE)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_parameter_learns(net, checkpointing):
    model = build(net)
    model.set_grad_checkpointing(checkpointing)
    model(images(net)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("net", THREE)
def test_features_only(net):
    backbone = build(net, features_only=True)
    batch = images(net)
    maps = backbone(batch)
    assert [level.shape[1] for level in maps] == backbone.feature_info.channels()
    for level, reduction in zip(maps, backbone.feature_info.reduction(), strict=True):
        assert level.shape[-1] == -(-net.resolution // reduction)
    assert len(build(net, features_only=True, out_indices=(1, 3))(batch)) == 2


@pytest.mark.parametrize("net", THREE)
def test_torch_export(net):
    model = build(net).eval()
    batch = images(net)
    exported = torch.export.export(model, (batch,))
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(batch), model(batch))


def test_local_folder_loads(tmp_path):
    net = THREE[2]
    entry, model = timm_entry(net), build(net).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    size = [net.in_channels, net.resolution, net.resolution]
    config = {
        "architecture": entry.name,
        "num_classes": net.num_classes,
        "model_args": entry.model_args,
        "pretrained_cfg": {
            "input_size": size,
            "num_classes": net.num_classes,
            "first_conv": entry.first_conv,
            "classifier": entry.classifier,
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    batch = images(net)
    with torch.no_grad():
        assert torch.equal(loaded(batch), model(batch))
    backbone = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, features_only=True).eval()
    with torch.no_grad():
        assert torch.equal(backbone(batch)[-1], model.forward_intermediates(batch, intermediates_only=True)[-1])


def test_a_second_import_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(module)
    assert timm.is_model("scaler_efficientnet")


def test_a_wrong_argument_is_the_users_error():
    with pytest.raises(InputError, match="stem_stride: 3"):
        timm.create_model("scaler_efficientnet", depths=(1,) * 7, widths=(8,) * 9, resolution=32, stem_stride=3)
