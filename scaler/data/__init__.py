"""Data sets: which images, how they are split, read and augmented."""

from scaler.data.augmentation import Augmentation, Draws
from scaler.data.config import DataConfig
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
