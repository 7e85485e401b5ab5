"""Data sets: which images, how they are split, read and augmented.

Torch is loaded with the first name that needs it: a study's question can be read without.
"""

from typing import TYPE_CHECKING

from scaler.data.config import DataConfig
from scaler.lazy import lazily

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

__getattr__ = lazily(
    "scaler.data",
    {
        "INTERPOLATION": "scaler.data.dataset",
        "Augmentation": "scaler.data.augmentation",
        "Dataset": "scaler.data.dataset",
        "Draws": "scaler.data.augmentation",
        "Source": "scaler.data.source",
        "Split": "scaler.data.dataset",
        "load_data": "scaler.data.loading",
        "normalize": "scaler.data.normalization",
        "open_source": "scaler.data.source",
    },
)
