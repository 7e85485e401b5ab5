"""timm's interface and torch's own tools, for random networks of every family's search space."""

import numpy as np
import pytest
import timm
import torch

from scaler import Architecture, Budget, Triangle, build, load_space
from scaler.models import timm_entry
from scaler.shipped import shipped
from tests.conftest import FULL

SPACES = sorted(file.stem for file in shipped("search_spaces").glob("*.toml"))


def random_networks(space: str, count: int) -> list[Architecture]:
    root = load_space(space).root(resolution=28, num_classes=5, in_channels=1)
    found = Triangle(root, Budget(macs="6M")).enumerate(divisions=20)
    chosen = np.random.default_rng(0).choice(len(found), count, replace=False)
    return [found[index][1] for index in chosen]


CASES = [(space, index) for space in SPACES for index in range(10 if FULL else 2)]


@pytest.mark.parametrize(("space", "index"), CASES)
def test_a_network_does_all_that_timm_and_torch_ask(space: str, index: int) -> None:
    network = random_networks(space, 10)[index]
    torch.manual_seed(index)
    images = torch.randn(2, 1, network.resolution, network.resolution)

    model = build(network)
    model(images).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())

    model.eval()
    logits = model(images)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(model.forward_head(model.forward_features(images)), logits)

    exported = torch.export.export(model, (images,))
    torch.testing.assert_close(exported.module()(images), logits)

    model.reset_classifier(7)
    assert model(images).shape == (2, 7)
    model.reset_classifier(0)
    assert model(images).shape == (2, model.head_hidden_size)

    entry = timm_entry(network)
    features = timm.create_model(entry.name, **entry.model_args, in_chans=1, features_only=True).eval()
    maps = features(images)
    assert [feature.shape[1] for feature in maps] == features.feature_info.channels()
    for feature, reduction in zip(maps, features.feature_info.reduction(), strict=True):
        # An unpadded pooling drops up to a pixel, and the ones before it up to a half, a quarter, … of one.
        assert abs(feature.shape[-1] - network.resolution / reduction) < 2


@pytest.mark.parametrize("space", SPACES)
def test_the_meta_device_builds_the_same_keys(space: str) -> None:
    network = random_networks(space, 1)[0]
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in build(network).state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in build(network).state_dict().items()}
