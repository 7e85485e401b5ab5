import json

import pytest
import timm
import torch
from hypothesis import given, settings

from scaler import build, classic
from scaler.families.resnet import ResNet
from scaler.models import timm_entry
from tests.families.test_resnet import resnets


@given(resnets())
@settings(max_examples=20)
def test_timm_makes_the_same_network_from_json_safe_arguments(net: ResNet) -> None:
    entry = timm_entry(net)
    arguments = json.loads(json.dumps(entry.model_args))
    with torch.device("meta"):
        ours = build(net)
        theirs = timm.create_model(entry.name, **arguments, num_classes=net.num_classes, in_chans=net.in_channels)
    shapes = [{key: tensor.shape for key, tensor in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    modules = dict(ours.named_modules())
    assert isinstance(modules[entry.first_conv], torch.nn.Conv2d)
    assert isinstance(modules[entry.classifier], torch.nn.Linear)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_classics_take_timms_own_weights(name: str) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False).eval()
    ours = build(classic(name)).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(ours(image), theirs(image))


def test_activation_and_dropout_reach_the_module() -> None:
    with torch.device("meta"):
        model = build(classic("resnet18").replace(activation="silu", dropout=0.25))
    assert model.drop_rate == 0.25
    assert any(isinstance(module, torch.nn.SiLU) for module in model.modules())
