"""ResNets of four stages, which timm's stock entry points make."""

import pytest
import timm
import torch

from scaler import build, classic


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
