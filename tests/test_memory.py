"""The estimate of a training's memory, against what autograd really keeps."""

import numpy as np
import pytest
import torch

import scaler
from scaler.memory import training_bytes
from tests.models.examples import EXAMPLES


def kept(network: scaler.Architecture, batch: int) -> int:
    """Bytes that a forward pass keeps for its gradients, weights aside."""
    model = scaler.build(network).train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.zeros(batch, network.in_channels, network.resolution, network.resolution))
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize("name", ["resnet18", "vgg11", "vgg11_bn", "googlenet_bn", "efficientnet_b0", "resnet20"])
def test_it_is_enough_and_not_much_too_much(name: str) -> None:
    network = scaler.classic(name)
    network = network.replace(resolution=min(64, network.resolution))
    small, large = (training_bytes(network.cost(), batch) for batch in (2, 6))
    assert 0.35 * (large - small) < kept(network, 6) - kept(network, 2) < large - small


def test_of_many_networks_it_is_that_of_the_largest() -> None:
    network = EXAMPLES["resnet plain"]
    shapes = network.scaled_shapes(*(np.array([1.0, 2.0, 1.5]) for _ in range(3)))
    costs = [network.at(shapes, index).cost() for index in range(3)]
    assert training_bytes(network.costs(shapes), 8) == max(training_bytes(cost, 8) for cost in costs)
