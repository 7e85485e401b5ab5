"""Torch's own counts of a network, to hold scaler's arithmetic against."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaler.architecture import Architecture
from scaler.models import build


def torch_macs_and_params(architecture: Architecture) -> tuple[int, int]:
    """MACs by `FlopCounterMode` and parameters by `numel`, on the meta device."""
    with torch.device("meta"):
        model = build(architecture).eval()
        image = torch.empty(1, architecture.in_channels, architecture.resolution, architecture.resolution)
    with FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops() // 2, sum(parameter.numel() for parameter in model.parameters())


def hooked_activations(architecture: Architecture) -> int:
    """Elements in the outputs of convolution, spatial pooling and linear layers, seen by forward hooks."""
    with torch.device("meta"):
        model = build(architecture).eval()
        image = torch.empty(1, architecture.in_channels, architecture.resolution, architecture.resolution)
    counted: list[int] = []

    def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        counted.append(output.numel())

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d)):
            module.register_forward_hook(hook)
    model(image)
    return sum(counted)
