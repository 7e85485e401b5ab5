"""ResNets that timm's stock entry points do not reach: three stages, the CIFAR stem, shortcuts A and none."""

import importlib
import json
import subprocess
import sys
import warnings

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import scaler.models.resnet as module
from scaler.architecture import ACTIVATIONS
from scaler.errors import InputError
from scaler.families import classic
from scaler.families.resnet import BLOCKS, SHORTCUTS, STEMS, ResNet
from scaler.models import build, timm_entry
from tests.conftest import DRAWS


@st.composite
def architectures(draw):
    stages, stem = draw(st.sampled_from([3, 4])), draw(st.sampled_from(STEMS))
    smallest = 2 ** (stages - (2 if stem == "cifar" else 0)) + 1
    first = 64 if stem == "imagenet" else 2 * draw(st.integers(1, 12))
    return ResNet(
        depths=tuple(draw(st.lists(st.integers(1, 4), min_size=stages, max_size=stages))),
        widths=(first, *draw(st.lists(st.integers(1, 40), min_size=stages, max_size=stages))),
        resolution=draw(st.integers(smallest, 40)),
        num_classes=draw(st.integers(1, 12)),
        in_channels=draw(st.sampled_from([1, 3])),
        block=draw(st.sampled_from(BLOCKS)),
        stem=stem,
        shortcut=draw(st.sampled_from(SHORTCUTS)),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        dropout=draw(st.sampled_from([0, 0.3])),
    )


FEW = {"num_classes": 5, "in_channels": 1}
FOUR = [
    ResNet(depths=(1, 1, 1), widths=(4, 4, 8, 12), resolution=3, stem="cifar", shortcut="A", **FEW),
    ResNet(
        depths=(2, 1, 3),
        widths=(8, 12, 8, 12),
        resolution=17,
        block="bottleneck",
        stem="deep",
        shortcut="none",
        activation="silu",
        **FEW,
    ),
    ResNet(depths=(1, 2, 1, 1), widths=(64, 16, 12, 20, 8), resolution=18, shortcut="A", dropout=0.3, **FEW),
    ResNet(depths=(2, 1, 1), widths=(8, 12, 8, 12), resolution=9, stem="cifar", shortcut="B", **FEW),
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
    weights = {name.removesuffix(".weight") for name in model.state_dict() if name.endswith(".weight")}
    layers = {layer.name: layer.cost.params for layer in net.layers() if layer.kind != "pool"}
    assert weights == set(layers)
    assert layers == {name: sum(p.numel() for p in model.get_submodule(name).parameters()) for name in weights}


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_classics(name):
    net = classic(name)
    assert count_macs(net) == net.cost().macs
    assert timm_entry(net).tier == "plugin"


def test_stock_stays_stock():
    assert timm_entry(classic("resnet18")).model_args == {"layers": [2, 2, 2, 2], "channels": [64, 128, 256, 512]}
    deep = timm_entry(classic("resnet50").replace(stem="deep", activation="silu", dropout=0.1))
    assert (deep.name, deep.tier, deep.first_conv) == ("resnet50", "stock", "conv1.0")
    assert deep.model_args["stem_width"] == 32
    assert timm_entry(classic("resnet18").replace(shortcut="A")).tier == "plugin"


def test_plugin_builds_timms_own_network_where_timm_has_it():
    arguments = {"depths": (2, 2, 2, 2), "widths": (64, 64, 128, 256, 512), "resolution": 224}
    ours, theirs = timm.create_model("scaler_resnet", **arguments).eval(), timm.create_model("resnet18").eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    batch = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        assert torch.equal(ours(batch), theirs(batch))


@pytest.mark.parametrize("net", FOUR)
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


@pytest.mark.parametrize("net", FOUR)
def test_timms_interface(net):
    model = build(net)
    batch = images(net)
    features = model.forward_features(batch)
    assert features.shape[1] == model.num_features == net.widths[-1] * net.expansion
    assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
    assert model.forward_head(features).shape == (2, 5) == (2, model.num_classes)
    assert model.pretrained_cfg["input_size"] == (1, net.resolution, net.resolution)
    assert model.drop_rate == net.dropout
    assert model.get_classifier().out_features == 5
    model.reset_classifier(7)
    assert model(batch).shape == (2, 7)
    model.reset_classifier(0)
    assert model(batch).shape == (2, model.num_features)


@pytest.mark.parametrize("net", FOUR)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_parameter_learns(net, checkpointing):
    model = build(net)
    model.set_grad_checkpointing(checkpointing)
    model(images(net, 3)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.conv1.get_parameter("0.weight" if net.stem == "deep" else "weight").grad.abs().sum() > 0


@pytest.mark.parametrize("net", FOUR)
def test_features_only(net):
    backbone = build(net, features_only=True)
    batch = images(net)
    maps = backbone(batch)
    assert len(maps) == net.stages + 1
    assert [level.shape[1] for level in maps] == backbone.feature_info.channels()
    for level, reduction in zip(maps, backbone.feature_info.reduction(), strict=True):
        assert level.shape[-1] == -(-net.resolution // reduction)
    assert len(build(net, features_only=True, out_indices=(0, 2))(batch)) == 2


@pytest.mark.parametrize("net", FOUR)
def test_intermediates_are_the_features(net):
    model = build(net).eval()
    batch = images(net)
    with torch.no_grad():
        last, maps = model.forward_intermediates(batch)
        assert [level.shape[1] for level in maps] == [level["num_chs"] for level in model.feature_info]
        assert torch.equal(last, model.forward_features(batch))
        assert len(model.forward_intermediates(batch, indices=2, intermediates_only=True)) == 2
        assert model.prune_intermediate_layers([net.stages], prune_head=False) == [net.stages]
        assert model(batch).shape == (2, 5)
        assert model.prune_intermediate_layers([1]) == [1]
        assert torch.equal(model(batch), maps[1])


@pytest.mark.parametrize("net", FOUR)
def test_torch_export(net):
    model = build(net).eval()
    batch = images(net)
    exported = torch.export.export(model, (batch,))
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(batch), model(batch))


def test_shortcut_a_takes_every_other_pixel_and_pads_zeros():
    block = build(FOUR[0]).layer2[0]
    batch = torch.randn(1, 4, 3, 3)
    shortcut = block.downsample(batch)
    assert shortcut.shape == (1, 8, 2, 2)
    assert torch.equal(shortcut[:, :4], batch[:, :, ::2, ::2])
    assert not shortcut[:, 4:].any()
    assert torch.equal(build(FOUR[2]).layer4[0].downsample(torch.randn(1, 20, 4, 4)).isnan().any(), torch.tensor(False))


def test_a_plain_network_adds_nothing():
    model = build(ResNet(depths=(2, 1, 1), widths=(4, 4, 4, 4), resolution=8, stem="cifar", shortcut="none")).eval()
    block = model.layer1[1]
    nn.init.zeros_(block.bn2.weight)
    with torch.no_grad():
        assert not block(torch.ones(1, 4, 8, 8)).any()


def test_local_folder_loads(tmp_path):
    net = FOUR[0]
    entry, model = timm_entry(net), build(net).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architecture": entry.name,
        "num_classes": net.num_classes,
        "model_args": entry.model_args,
        "pretrained_cfg": {
            "input_size": [net.in_channels, net.resolution, net.resolution],
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


_STEP = """
import resource
import torch
from scaler.families import classic
from scaler.models import build

torch.set_num_threads(1)
model = build(classic("resnet1202"))
model.set_grad_checkpointing()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
before = [parameter.detach().clone() for parameter in model.parameters()]
loss = torch.nn.functional.cross_entropy(model(torch.randn(2, 3, 32, 32)), torch.tensor([1, 2]))
loss.backward()
optimizer.step()
assert loss.isfinite()
assert not torch.equal(before[0], next(model.parameters()))
print(sum(parameter.numel() for parameter in model.parameters()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_1202_layers_take_a_training_step_within_8_gib():
    run = subprocess.run([sys.executable, "-c", _STEP], capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    params, peak_bytes = run.stdout.splitlines()
    assert int(params) == 19_421_274
    assert int(peak_bytes) < 8 * 2**30


def test_a_second_import_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(module)
    assert timm.is_model("scaler_resnet")


def test_a_wrong_argument_is_the_users_error():
    with pytest.raises(InputError, match="shortcut: 'C'"):
        timm.create_model("scaler_resnet", depths=(1,) * 3, widths=(8,) * 4, resolution=32, stem="cifar", shortcut="C")
