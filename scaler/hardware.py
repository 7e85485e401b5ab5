"""What the machine offers a training: device, number format, memory layout."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn


def pick_device(index: int = 0) -> torch.device:
    """The accelerator found on this machine, the one numbered `index` where there are several, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", index % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What the record of a trial says: the GPU's model, or the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def pick_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The number format of the forward pass: `wanted`, as a recipe has it, or for "auto" what the device is fast in.

    On the CPU that is float32: bfloat16 under autocast is many times slower where the processor has no instructions
    for it.
    """
    if wanted != "auto":
        dtype: torch.dtype = getattr(torch, wanted)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    """The context in which the forward pass runs in `dtype`."""
    return contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def prepare(device: torch.device) -> None:
    """Sets torch's switches for fast and repeatable training on the device: TF32, deterministic convolutions."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False


def memory_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels-last, which is the faster layout everywhere, unless the CPU's kernels are wrong for this network in it.

    oneDNN's backward pass of a strided 1×1 convolution in channels-last writes past its workspace when there are fewer
    input channels than its block of 8 (AVX2) or 16 (AVX-512): wrong gradients or an endless loop
    (github.com/uxlfoundation/oneDNN, issue 6035).
    """
    broken = any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels // module.groups < 16
        for module in model.modules()
    )
    return torch.contiguous_format if broken and device.type == "cpu" else torch.channels_last


def memory_in_use(device: torch.device) -> int:
    """The most memory that this process has held so far, bytes: the device's, or the machine's for the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")  # of Linux, whose getrusage counts what the process that started this one held
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
