"""AlexNet in torch: what its arithmetic says is what is built, and timm can do with it what it does with its own."""

import math

import pytest
import torch
import torchvision
from torch import nn

from scaler.errors import InputError
from scaler.families import classic
from scaler.models import build
from tests.models.examples import EXAMPLES


def test_one_tower_is_torchvisions() -> None:
    reference = torchvision.models.alexnet().eval()
    with torch.device("meta"):
        model = build(classic("alexnet_one_tower")).eval()
    model.load_state_dict(reference.state_dict(), strict=True, assign=True)
    for side in (224, 192):
        x = torch.randn(1, 3, side, side)
        assert torch.equal(model(x), reference(x))
    reference.load_state_dict(model.state_dict(), strict=True)


def test_the_2012_network_has_the_papers_layers() -> None:
    with torch.device("meta"):
        model = build(classic("alexnet"))
    assert [layer.groups for layer in model.features if isinstance(layer, nn.Conv2d)] == [1, 2, 1, 2, 2]
    kinds = [type(layer).__name__ for layer in model.features]
    block = ["Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"]
    assert kinds == [*block, *block, *["Conv2d", "ReLU"] * 3, "MaxPool2d"]
    assert all(layer.kernel_size == 3 and layer.stride == 2 for layer in model.features if type(layer) is nn.MaxPool2d)
    assert [layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_local_response_normalisation_is_the_papers() -> None:
    model = build(EXAMPLES["alexnet halves"])
    layer = next(layer for layer in model.features if isinstance(layer, nn.LocalResponseNorm))
    x = torch.randn(1, 9, 1, 1, dtype=torch.float64) * 100
    a = x.flatten().tolist()
    # Section 3.3: k = 2, n = 5, α = 1e-4, β = 0.75.
    expected = [
        value / (2 + 1e-4 * math.fsum(b * b for b in a[max(0, i - 2) : min(8, i + 2) + 1])) ** 0.75
        for i, value in enumerate(a)
    ]
    assert torch.allclose(layer(x).flatten(), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "reductions"),
    [
        ("alexnet halves", [1, 2, 4, 4, 8]),
        ("alexnet normalised", [1, 2, 4, 4, 8]),
        ("alexnet plain", [4, 8, 16, 16, 32]),
    ],
)
def test_feature_maps_end_the_stages(name: str, reductions: list[int]) -> None:
    network = EXAMPLES[name]
    info = build(network, features_only=True).feature_info
    assert info.channels() == [*network.widths[:4], network.widths[3]]
    assert info.reduction() == reductions


def test_the_head_takes_no_other_pooling() -> None:
    with pytest.raises(InputError, match="global_pool: 'max' is unknown"):
        build(EXAMPLES["alexnet halves"]).reset_classifier(3, "max")
