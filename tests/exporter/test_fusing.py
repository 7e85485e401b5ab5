"""Batch norms folded into convolutions."""

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import nn

import scaler
from scaler.exporter import ExportError
from scaler.exporter.fusing import batch_norms, fused_and_checked
from tests.exporter.folders import images_for, untrained
from tests.models.examples import EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_batch_norm_is_left_and_the_logits_are_the_same(name: str) -> None:
    model, images = untrained(EXAMPLES[name]), images_for(EXAMPLES[name], 4)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    found = fused_and_checked(model, images)
    assert batch_norms(found.model) == []
    assert found.difference <= 1e-4
    assert found.speed_up > 0
    with torch.inference_mode():
        plain, folded = model(images), found.model(images)
    assert (plain - folded).abs().max() == pytest.approx(found.difference * plain.abs().max())
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


def test_timms_norms_keep_their_activation() -> None:
    model = untrained(EXAMPLES["efficientnet wide"])
    with_activation = [
        name
        for name, module in model.named_modules()
        if isinstance(module, BatchNormAct2d) and not isinstance(module.act, nn.Identity)
    ]
    assert with_activation
    fused = scaler.fuse(model)
    for name in with_activation:
        assert type(fused.get_submodule(name)) is type(model.get_submodule(name).act)


def test_a_norm_that_no_convolution_feeds_is_named() -> None:
    model = untrained(EXAMPLES["vgg three pools"])
    model.features = nn.Sequential(nn.BatchNorm2d(1), *model.features)
    with pytest.raises(
        ExportError, match=r"^1 batch norms cannot be folded, features\.0 first; export without --fuse$"
    ):
        fused_and_checked(model, images_for(EXAMPLES["vgg three pools"]))


def test_a_norm_that_changes_after_folding_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's folding by another epsilon than the norm's."""
    model = untrained(EXAMPLES["vgg three pools"])
    from scaler.exporter import fusing

    fold = fusing.fuse_conv_bn_eval

    def badly(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
        norm.eps = 0.01
        return fold(conv, norm)

    monkeypatch.setattr(fusing, "fuse_conv_bn_eval", badly)
    with pytest.raises(ExportError, match="^folded batch norms change the logits by up to .* of the largest$"):
        fused_and_checked(model, images_for(EXAMPLES["vgg three pools"]))
