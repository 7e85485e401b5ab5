"""Data sets: which images, how they are split, read and augmented."""

from scaler.data.augmentation import augment
from scaler.data.config import DataConfig
from scaler.data.dataset import INTERPOLATION, Dataset, Split, load_data, normalize

__all__ = ["INTERPOLATION", "DataConfig", "Dataset", "Split", "augment", "load_data", "normalize"]
