"""Real picture files for the tests of data sets."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_picture(file: Path, size: tuple[int, int] = (20, 16), mode: str = "RGB", seed: int = 0) -> None:
    """A picture of smooth random colours (width, height)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (4, 4) if mode == "L" else (4, 4, 3)
    coarse = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file)


def write_classes(
    root: Path,
    counts: Mapping[str, int],
    sizes: Iterable[tuple[int, int]] = ((20, 16), (16, 24), (18, 18)),
    mode: str = "RGB",
) -> Path:
    """A folder with a sub-folder of so many PNG files for each class, of several sizes, no two alike."""
    every = list(sizes)
    number = len(list(root.rglob("*.png"))) * 7919
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            write_picture(root / name / f"{index}.png", every[number % len(every)], mode, number)
            number += 1
    return root


@pytest.fixture
def cache(tmp_path: Path) -> str:
    """An empty cache folder."""
    return str(tmp_path / "cache")
