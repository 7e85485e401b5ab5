"""The state of a training in one safetensors file: written whole or not at all, read without executing anything."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from scaler.errors import InputError
from scaler.weights import Tensors, read_tensors, save_tensors

_KEY = "scaler"
_PLAIN = (bool, int, float, str, type(None))


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes nested dicts, lists and tuples of tensors and plain values; an earlier file is replaced in one step.

    Raises TypeError for anything else.
    """
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_encode(state, tensors))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    try:
        save_tensors(tensors, Path(name), {_KEY: text})
        with open(name, "rb") as file:
            os.fsync(file.fileno())
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def load_state(path: Path) -> dict[str, Any] | None:
    """What `save_state` wrote, tensors on the CPU; None if there is no such file.

    Raises `InputError`, which names the file, if it is no whole checkpoint.
    """
    if not path.exists():
        return None
    remedy = "delete it, and the training starts anew"
    tensors, metadata = read_tensors(path, "checkpoint", remedy)
    try:
        state: dict[str, Any] = _decode(json.loads(metadata[_KEY]), tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"checkpoint: {path} holds no training ({error!r}); {remedy}") from None
    return state


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # A copy, since safetensors refuses tensors that share memory.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_encode(item, tensors) for item in value]}
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _decode(value: Any, tensors: Tensors) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "dict":
            return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
    items = [_decode(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
