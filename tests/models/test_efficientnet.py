"""EfficientNet in torch: the module is what the arithmetic says, under timm's keys and timm's interface."""

import timm
import torch

from scaler.entries import timm_entry
from scaler.families import classic


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
