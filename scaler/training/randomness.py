"""The random generators that a training draws from besides its own, as a checkpoint holds them."""

from typing import Any

import numpy as np
import torch


def seed_generators(seed: int) -> None:
    """Seeds torch's generators, of dropout and initial weights, and numpy's, which timm's Mixup draws from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)


def generator_states(device: torch.device) -> dict[str, Any]:
    """Their states, as tensors and plain values."""
    numpy_state: Any = np.random.get_state(legacy=False)
    keys = torch.from_numpy(numpy_state["state"]["key"])
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": {**numpy_state, "state": {**numpy_state["state"], "key": keys}},
    }


def restore_generators(states: dict[str, Any], device: torch.device) -> None:
    """Puts them back to what `generator_states` saw."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    numpy_state = states["numpy"]
    keys = numpy_state["state"]["key"].numpy()
    np.random.set_state({**numpy_state, "state": {**numpy_state["state"], "key": keys}})
