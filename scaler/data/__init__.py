"""Data sets: which images, how they are split, read and augmented.

Torch is loaded with the first name that needs it: a study's question can be read without.
"""

import importlib
from typing import TYPE_CHECKING, Any

from scaler.data.config import DataConfig

if TYPE_CHECKING:
    from scaler.data.augmentation import Augmentation, Draws
    from scaler.data.dataset import INTERPOLATION, Dataset, Split
    from scaler.data.loading import load_data
    from scaler.data.normalization import normalize
    from scaler.data.source import Source, open_source

__all__ = [
    "INTERPOLATION",
    "Augmentation",
    "DataConfig",
    "Dataset",
    "Draws",
    "Source",
    "Split",
    "load_data",
    "normalize",
    "open_source",
]

_LAZY = {
    "INTERPOLATION": "dataset",
    "Augmentation": "augmentation",
    "Dataset": "dataset",
    "Draws": "augmentation",
    "Source": "source",
    "Split": "dataset",
    "load_data": "loading",
    "normalize": "normalization",
    "open_source": "source",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'scaler.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scaler.data.{_LAZY[name]}"), name)
