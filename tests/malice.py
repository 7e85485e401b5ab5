"""A pickle that runs code when it is loaded, and what else a planted file can be."""

import io
import os
import pickle
from pathlib import Path

import torch


class _Marker:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def malicious_pickles(marker: Path) -> dict[str, bytes]:
    """Pickles, plain and as torch writes them, that create the folder `marker` when they are loaded."""
    written = io.BytesIO()
    torch.save({"conv1.weight": _Marker(marker)}, written)
    return {"plain": pickle.dumps(_Marker(marker)), "torch": written.getvalue()}


def flipped(content: bytes, place: int = -5) -> bytes:
    """The content with one bit the other way round."""
    changed = bytearray(content)
    changed[place] ^= 1
    return bytes(changed)
