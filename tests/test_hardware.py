import subprocess
import sys

import pytest
import torch

from scaler import classic, load_space
from scaler.hardware import autocast, memory_format, pick_device, pick_precision
from scaler.models import build

CPU = torch.device("cpu")
ROOT = load_space("resnet").root(resolution=32, num_classes=10, in_channels=1)


def test_the_device_is_the_accelerator_if_there_is_one() -> None:
    found = pick_device().type
    if torch.cuda.is_available():
        assert found == "cuda"
    else:
        assert found == ("mps" if torch.backends.mps.is_available() else "cpu")


def test_precision_follows_the_device_unless_the_recipe_names_it() -> None:
    assert pick_precision("auto", CPU) == torch.float32
    assert pick_precision("auto", torch.device("mps")) == torch.float32
    assert pick_precision("bfloat16", CPU) == torch.bfloat16
    if torch.cuda.is_available():
        assert pick_precision("auto", torch.device("cuda")) in (torch.bfloat16, torch.float16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_runs_convolutions_in_the_precision(dtype: torch.dtype) -> None:
    with autocast(CPU, dtype):
        assert torch.nn.Conv2d(1, 1, 1)(torch.zeros(1, 1, 2, 2)).dtype == dtype


def test_memory_in_use_grows_with_what_is_held() -> None:
    # In a process of its own: it is the most ever held, and other tests have held more.
    script = """
import torch
from scaler.hardware import memory_in_use
before = memory_in_use(torch.device("cpu"))
held = torch.ones(100_000_000)
print(memory_in_use(torch.device("cpu")) - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0.9 * 4 * 100_000_000


def test_a_network_whose_channels_last_kernels_are_broken_trains_in_the_other_layout() -> None:
    narrow = ROOT.replace(depths=(1, 1, 1, 1), widths=(4, 4, 8, 16, 36), resolution=64)
    assert memory_format(build(narrow), CPU) == torch.contiguous_format
    assert memory_format(build(narrow), torch.device("cuda")) == torch.channels_last
    assert memory_format(build(classic("resnet18").replace(num_classes=10)), CPU) == torch.channels_last
    script = """
from scaler import load_space
from scaler.data import DataConfig, load_data
from scaler.recipe import Recipe
from scaler.training import train
root = load_space("resnet").root(resolution=64, num_classes=10, in_channels=1)
narrow = root.replace(depths=(1, 1, 1, 1), widths=(4, 4, 8, 16, 36))
print(train(narrow, load_data(DataConfig(name="digits"), 64), Recipe(epochs=2, batch_size=32), 0)[1].accuracy)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) > 0.3
