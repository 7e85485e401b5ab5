"""An export's folder, read: its config and its weights, from within the folder and without running anything."""

import hashlib
import json
from pathlib import Path
from typing import Any

from scaler.errors import InputError
from scaler.paths import inside
from scaler.weights import Tensors, read_tensors

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def read_config(folder: Path, field: str = "dir") -> dict[str, Any]:
    """The config of an export; its `scaler` is what only scaler asks for. Raises `InputError` as `read_export` does."""
    file = _file(folder, CONFIG, field)
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return {**config, "scaler": dict(config.get("scaler", {}))}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{field}: {file} cannot be read ({reason}); export it again") from None


def read_export(folder: Path, field: str = "dir") -> tuple[dict[str, Any], Tensors]:
    """The config and the tensors of an export.

    Other files of weights, which timm would fall back on, are not looked at: they may be pickles, and a pickle runs
    code. Raises `InputError`, which names `field`, if the folder is no export, if a file is a link out of it, or if the
    weights are not whole or not those of which the config has the SHA-256.
    """
    config, file = read_config(folder, field), _file(folder, WEIGHTS, field)
    expected = config["scaler"].get("sha256")
    if expected is not None and expected != sha256(file):
        raise InputError(f"{field}: {file} is damaged, its SHA-256 is not the config's; export it again")
    tensors, _ = read_tensors(file, field, "export it again")
    return config, tensors


def _file(folder: Path, name: str, field: str) -> Path:
    file = inside(folder, name, field)
    if not file.is_file():
        raise InputError(f"{field}: {folder} is no export, it has no {name}; name a folder that scaler export wrote")
    return file


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal, as the config has it of the weights under `scaler`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
