"""Data sets: which images, how they are split, read and augmented."""

from scaler.data.augmentation import augment
from scaler.data.config import DataConfig
from scaler.data.dataset import INTERPOLATION, Dataset, Split, normalize
from scaler.data.loading import load_data
from scaler.data.source import Source, open_source

__all__ = [
    "INTERPOLATION",
    "DataConfig",
    "Dataset",
    "Source",
    "Split",
    "augment",
    "load_data",
    "normalize",
    "open_source",
]
