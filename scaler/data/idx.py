"""IDX files, the format of MNIST and its kin, gzipped or not, wherever in a folder they lie."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scaler.errors import InputError

FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
"""The data sets that come as IDX files, and the sub-folder in which torchvision keeps each."""

_PARTS = {"train": "train", "test": "t10k"}


def find_idx(name: str, root: Path, split: str, kind: str) -> Path:
    """The IDX file of a split ("train" or "test") and kind ("images" or "labels").

    It may lie in `root` itself, as Debian's package dataset-fashion-mnist has it, or where torchvision keeps it. Raises
    `InputError` if it is nowhere.
    """
    rank = 3 if kind == "images" else 1
    stems = [f"{_PARTS[split]}-{kind}{mark}idx{rank}-ubyte" for mark in ("-", ".")]
    for folder in (root, root / "raw", root / FOLDERS[name] / "raw"):
        for stem in stems:
            for file in (folder / stem, folder / f"{stem}.gz"):
                if file.is_file():
                    return file
    raise InputError(
        f"data.root: {root} has no {stems[0]}, gzipped or not; give the folder that holds torch/{name}'s files"
    )


def read_idx(file: Path) -> NDArray[np.uint8]:
    """The bytes of an IDX file in their shape; raises `InputError` if it is damaged."""
    try:
        content = file.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"data.root: {file} cannot be read ({error}); get it again") from None
    rank = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * rank
    shape = [int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4)]
    body = np.frombuffer(content[start:], np.uint8)
    if not rank or len(content) < start or body.size != math.prod(shape):
        raise InputError(f"data.root: {file} is no whole IDX file; get it again")
    return body.reshape(shape)
