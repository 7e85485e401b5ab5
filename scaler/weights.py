"""Tensors in files: the one way by which scaler writes and reads weights.

They are safetensors files, which hold numbers and nothing that could run. A file that this module has written carries a
checksum of its tensors. What is no such file, is cut off, has changed or does not fit its network is refused by name.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from scaler.errors import InputError

Tensors = Mapping[str, torch.Tensor]

_CHECKSUM = "sha256"


def save_tensors(tensors: Tensors, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors, contiguous and on the CPU, and texts beside them, with a checksum of both."""
    told = {"format": "pt", **(metadata or {})}
    save_file(dict(tensors), path, metadata={**told, _CHECKSUM: checksum(tensors, told)})


def read_tensors(path: Path, field: str = "weights", remedy: str = "train it again") -> tuple[Tensors, dict[str, str]]:
    """The tensors in a file, on the CPU, and the texts beside them.

    Raises `InputError`, which names `field`, the file and the `remedy`, if there is no such file, if it is no whole
    safetensors file, or if its checksum is another's; a file without a checksum was written elsewhere, and passes.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except OSError as error:
        raise InputError(f"{field}: {path} cannot be read ({error.strerror or error}); {remedy}") from None
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{field}: {path} is no whole safetensors file ({error}); {remedy}") from None
    written = metadata.pop(_CHECKSUM, None)
    if written is not None and written != checksum(tensors, metadata):
        raise InputError(f"{field}: {path} is damaged, its checksum is another's; {remedy}")
    return tensors, metadata


def checksum(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> str:
    """SHA-256, in hexadecimal, of tensors with their names, types and shapes, and of texts."""
    digest = hashlib.sha256(json.dumps(sorted((metadata or {}).items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_weights(model: nn.Module, folder: Path | None = None) -> Path:
    """The model's state dict in a new safetensors file, in `folder` or where temporary files are."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with tempfile.NamedTemporaryFile(prefix="scaler-", suffix=".safetensors", delete=False, dir=folder) as file:
        path = Path(file.name)
    save_tensors(state, path)
    return path


def load_weights(model: nn.Module, path: Path, field: str = "weights", remedy: str = "train it again") -> None:
    """Puts the weights in a file into a model; raises `InputError` as `read_tensors` does, and if they do not fit."""
    tensors, _ = read_tensors(path, field, remedy)
    put_weights(model, tensors, path, field, remedy)


def put_weights(model: nn.Module, tensors: Tensors, path: Path, field: str, remedy: str) -> None:
    """Puts the tensors that were in a file into a model: all of its state dict and nothing else."""
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        wrong = None
        if name not in tensors:
            wrong = f"lacks {name}"
        elif name not in wanted:
            wrong = f"has {name}, which the network lacks"
        elif tensors[name].shape != wanted[name].shape:
            wrong = f"has {name} as {tuple(tensors[name].shape)}, the network as {tuple(wanted[name].shape)}"
        if wrong is not None:
            raise InputError(f"{field}: {path} does not fit the network, it {wrong}; {remedy}")
    model.load_state_dict(dict(tensors))
