import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from scaler import InputError
from scaler.checkpoint import load_state, save_state


def test_nested_state_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(6.0).view(2, 3)
    state = {
        "model": {"a.weight": shared, "a.bias": shared[0], "half": torch.ones(2, dtype=torch.bfloat16)},
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "groups": [{"betas": (0.9, 0.99), "lr": 1e-3}]},
        "rng": torch.get_rng_state(),
        "ema": None,
        "flags": [True, "김치찌개", -1],
        "channels_last": torch.rand(1, 2, 3, 3).to(memory_format=torch.channels_last),
    }
    save_state(tmp_path / "state.safetensors", state)
    found = load_state(tmp_path / "state.safetensors")
    assert found is not None
    assert found["optimizer"] == state["optimizer"]
    assert (found["ema"], found["flags"]) == (None, state["flags"])
    for name, tensor in state["model"].items():
        assert torch.equal(found["model"][name], tensor)
        assert found["model"][name].dtype == tensor.dtype
    assert torch.equal(found["rng"], state["rng"])
    assert torch.equal(found["channels_last"], state["channels_last"])


def test_what_is_no_whole_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    assert load_state(path) is None
    save_state(path, {"weights": torch.rand(1000)})
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-7] ^= 1
    for part in (b"", whole[:5], whole[:100], whole[:-1], bytes(flipped)):
        path.write_bytes(part)
        with pytest.raises(InputError, match=rf"^checkpoint: {path} is .*; delete it"):
            load_state(path)
    save_file({"weights": torch.rand(3)}, path)
    with pytest.raises(InputError, match=rf"^checkpoint: {path} holds no training"):
        load_state(path)


def test_a_thing_that_json_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot hold a set"):
        save_state(tmp_path / "state.safetensors", {"what": {1, 2}})
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, torch
from pathlib import Path
from scaler.checkpoint import save_state
for number in range(1_000_000):
    save_state(Path(sys.argv[1]), {"number": number, "weights": torch.full((500_000,), float(number))})
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    while not path.exists():
        time.sleep(0.01)
    time.sleep(0.05 + int.from_bytes(os.urandom(1)) / 500)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = load_state(path)
    assert found is not None
    assert torch.equal(found["weights"], torch.full((500_000,), float(found["number"])))
