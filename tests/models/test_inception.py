"""GoogLeNet in torch: torchvision's weights, every side, the auxiliary heads."""

import warnings

import pytest
import torch
import torchvision
from torch import nn

from scaler.architecture import Architecture
from scaler.families import CLASSICS
from scaler.families.inception import Inception
from scaler.models import build
from tests.counters import meta_model, torch_cost
from tests.models.examples import EXAMPLES

SMALL = ["inception small", "inception normalised", "inception heads"]


def images(net: Architecture, count: int = 2) -> torch.Tensor:
    return torch.randn(count, net.in_channels, net.resolution, net.resolution)


def module_names(model: nn.Module) -> set[str]:
    return {name.rpartition(".")[0] for name in model.state_dict()}


def test_smallest_and_odd_sides_run() -> None:
    for stem, smallest in (("imagenet", 31), ("small", 8)):
        base = Inception(depths=(1, 1, 1), widths=(4, 4, 4, 4), resolution=smallest, num_classes=2, stem=stem)
        for side in range(smallest, smallest + 34):
            net = base.replace(resolution=side)
            assert torch_cost(net) == net.cost()


@pytest.mark.parametrize("aux_heads", [False, True])
def test_torchvision_weights_load(aux_heads: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torchvision.models.googlenet(weights=None, aux_logits=aux_heads, init_weights=False)
    net = CLASSICS["googlenet_bn"].replace(aux_heads=aux_heads)
    ours = build(net)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    batch = images(net)
    with torch.inference_mode():
        assert torch.equal(ours.eval()(batch), theirs.eval()(batch))
    if aux_heads:
        # The heads' dropout differs from pass to pass unless it is off.
        theirs.train()
        for model in (ours.train(), theirs):
            for module in model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
        expected = theirs(batch)
        logits, (first, second) = ours.forward_with_aux(batch)
        assert torch.equal(logits, expected.logits)
        assert torch.equal(first, expected.aux_logits1)
        assert torch.equal(second, expected.aux_logits2)


def test_googlenet_has_torchvisions_keys() -> None:
    plain, normed = (module_names(meta_model(CLASSICS[name])) for name in ("googlenet", "googlenet_bn"))
    assert plain == {name for name in normed if not name.endswith(".bn")}


@pytest.mark.parametrize("name", SMALL)
def test_auxiliary_heads_train(name: str) -> None:
    net = EXAMPLES[name]
    model = build(net)
    logits, aux = model.forward_with_aux(images(net))
    assert [head.shape for head in aux] == [(2, 5)] * (2 * net.aux_heads)
    sum(aux, logits).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.reset_classifier(3)
    assert all(head.shape == (2, 3) for head in model.forward_with_aux(images(net))[1])


@pytest.mark.parametrize("name", SMALL)
def test_feature_maps_end_the_stages(name: str) -> None:
    net = EXAMPLES[name]
    info = build(net, features_only=True).feature_info
    assert info.reduction() == ([1, 2, 4, 8] if net.stem == "small" else [2, 4, 8, 16, 32])
    assert info.channels()[-1] == build(net).num_features
