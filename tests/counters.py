"""Torch's own counts of a network, to hold scaler's arithmetic against."""

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from scaler import Architecture, Cost
from scaler.models import build


class CountActivations(TorchDispatchMode):
    """Counts the elements that convolutions, spatial pooling and linear layers put out, functional ones included.

    Global average pooling is a mean to torch, and so is not among them.
    """

    OPERATORS = frozenset(
        {"convolution", "max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "addmm", "mm"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in self.OPERATORS:
            self.elements += (output[0] if isinstance(output, tuple) else output).numel()
        return output


def meta_model(network: Architecture) -> nn.Module:
    """The network with shapes and no values, in evaluation mode."""
    with torch.device("meta"):
        return build(network).eval()


def torch_cost(network: Architecture, model: nn.Module | None = None) -> Cost:
    """MACs by `FlopCounterMode`, parameters by `numel` and activations by the operators called, on the meta device."""
    model = meta_model(network) if model is None else model
    side = network.resolution
    with FlopCounterMode(display=False) as flops, CountActivations() as activations:
        logits = model(torch.empty(1, network.in_channels, side, side, device="meta"))
    assert logits.shape == (1, network.num_classes)
    params = sum(parameter.numel() for parameter in model.parameters())
    return Cost(macs=flops.get_total_flops() // 2, params=params, activations=activations.elements)
