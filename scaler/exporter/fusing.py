"""Batch norms folded into the convolutions before them: the same network in evaluation, with fewer passes over memory.

In evaluation a batch norm multiplies and shifts each channel by constants, which the convolution's weights and bias can
do as well. timm's `BatchNormAct2d` is one with an activation, which stays.
"""

import copy
import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from scaler.exporter.verification import ExportError

_LARGEST_DIFFERENCE = 1e-4
_ROUNDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """A network without batch norms.

    model       the network, in evaluation mode
    difference  largest difference of the logits from the original's, relative to the largest logit
    speed_up    how many times as fast it is, both in torch's default layout
    """

    model: nn.Module
    difference: float
    speed_up: float


def fuse(model: nn.Module) -> nn.Module:
    """A copy of a timm model in evaluation mode with every batch norm folded that a convolution feeds.

    The copy is for evaluation only: its state dict is not the model's, so timm cannot load it.
    """
    fused = copy.deepcopy(model).eval()
    for conv_name, norm_name in _pairs(fused):
        conv, norm = fused.get_submodule(conv_name), fused.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        fused.set_submodule(conv_name, fuse_conv_bn_eval(conv, norm))
        fused.set_submodule(norm_name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
    return fused


def batch_norms(model: nn.Module) -> list[str]:
    """Names of the batch norms in a model."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def fused_and_checked(model: nn.Module, images: torch.Tensor) -> Fused:
    """The network folded; raises `ExportError` if a batch norm is left or logits of the images differ by over 1e-4 of
    the largest."""
    fused = fuse(model)
    left = batch_norms(fused)
    if left:
        raise ExportError(f"{len(left)} batch norms cannot be folded, {left[0]} first; export without --fuse")
    with torch.inference_mode():
        plain, folded = model(images), fused(images)
    difference = float((plain - folded).abs().max() / plain.abs().max())
    if not difference <= _LARGEST_DIFFERENCE:
        raise ExportError(f"folded batch norms change the logits by up to {difference:g} of the largest")
    return Fused(model=fused, difference=difference, speed_up=_speed_up(model, fused, images))


@torch.inference_mode()
def _pairs(model: nn.Module) -> list[tuple[str, str]]:
    """Names of the convolutions and of the batch norms that read just what they put out, found by a forward pass."""
    outputs: list[tuple[str, torch.Tensor]] = []
    found: list[tuple[str, str]] = []

    def note(name: str) -> Any:
        return lambda module, inputs, output: outputs.append((name, output))

    def look(name: str) -> Any:
        return lambda module, inputs: found.extend((conv, name) for conv, output in outputs if output is inputs[0])

    hooks = [
        module.register_forward_hook(note(name))
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(look(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    cfg: Any = model.pretrained_cfg
    side = cfg["input_size"][-1]
    model(first.weight.new_zeros(1, first.in_channels, side, side))
    for hook in hooks:
        hook.remove()
    return found


@torch.inference_mode()
def _speed_up(plain: nn.Module, fused: nn.Module, images: torch.Tensor) -> float:
    """How many times as fast the second network is: the median over rounds in which both take turns."""
    ratios = []
    for _ in range(_ROUNDS):
        seconds = []
        for model in (plain, fused):
            started = time.perf_counter()
            model(images)
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios)
