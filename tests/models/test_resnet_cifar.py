"""ResNets that timm's stock entry points do not reach: three stages, the CIFAR stem, shortcuts A and none."""

import subprocess
import sys

import pytest
import timm
import torch
from torch import nn

from scaler.entries import timm_entry
from scaler.families import classic
from scaler.families.resnet import ResNet
from scaler.models import build
from tests.models.examples import EXAMPLES


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


@pytest.mark.parametrize("name", ["resnet cifar A", "resnet plain", "resnet A", "resnet cifar B"])
def test_levels_are_the_stages(name):
    net = EXAMPLES[name]
    model = build(net).eval()
    batch = torch.randn(2, 1, net.resolution, net.resolution)
    with torch.no_grad():
        _, maps = model.forward_intermediates(batch)
        assert len(maps) == net.stages + 1
        assert [level.shape[1] for level in maps] == [level["num_chs"] for level in model.feature_info]
        assert len(model.forward_intermediates(batch, indices=2, intermediates_only=True)) == 2
        assert model.prune_intermediate_layers([net.stages], prune_head=False) == [net.stages]
        assert model(batch).shape == (2, 5)
        assert model.prune_intermediate_layers([1]) == [1]
        assert torch.equal(model(batch), maps[1])


def test_shortcut_a_takes_every_other_pixel_and_pads_zeros():
    block = build(EXAMPLES["resnet cifar A"]).layer2[0]
    batch = torch.randn(1, 4, 3, 3)
    shortcut = block.downsample(batch)
    assert shortcut.shape == (1, 8, 2, 2)
    assert torch.equal(shortcut[:, :4], batch[:, :, ::2, ::2])
    assert not shortcut[:, 4:].any()
    fewer = build(EXAMPLES["resnet A"]).layer4[0].downsample(torch.ones(1, 20, 4, 4))
    assert torch.equal(fewer, torch.ones(1, 8, 2, 2))


def test_a_plain_network_adds_nothing():
    model = build(ResNet(depths=(2, 1, 1), widths=(4, 4, 4, 4), resolution=8, stem="cifar", shortcut="none")).eval()
    block = model.layer1[1]
    nn.init.zeros_(block.bn2.weight)
    with torch.no_grad():
        assert not block(torch.ones(1, 4, 8, 8)).any()


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
