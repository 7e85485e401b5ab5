"""An export's folder, read: its config and its weights, from within the folder and without running anything."""

import hashlib
import json
from pathlib import Path
from typing import Any

from scaler.errors import InputError
from scaler.paths import inside
from scaler.weights import Tensors, read_tensors

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def read_export(folder: Path, field: str = "dir") -> tuple[dict[str, Any], Tensors]:
    """The config and the tensors of an export.

    Other files of weights, which timm would fall back on, are not looked at: they may be pickles, and a pickle runs
    code. Raises `InputError`, which names `field`, if the folder is no export, if a file is a link out of it, or if the
    weights are not whole or not those of which the config has the SHA-256.
    """
    for name in (CONFIG, WEIGHTS):
        if not inside(folder, name, field).is_file():
            raise InputError(
                f"{field}: {folder} is no export, it has no {name}; name a folder that scaler export wrote"
            )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        expected = config.get("scaler", {}).get("sha256")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{field}: {folder / CONFIG} cannot be read ({reason}); export it again") from None
    if expected is not None and expected != _sha256(folder / WEIGHTS):
        raise InputError(f"{field}: {folder / WEIGHTS} is damaged, its SHA-256 is not the config's; export it again")
    tensors, _ = read_tensors(folder / WEIGHTS, field, "export it again")
    return config, tensors


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
