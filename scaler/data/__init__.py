"""Data sets: which images, how they are split, read and augmented."""

from scaler.data.augmentation import Augmentation, Draws
from scaler.data.config import DataConfig
from scaler.data.dataset import INTERPOLATION, Dataset, Split, load_data
from scaler.data.normalization import normalize

__all__ = ["INTERPOLATION", "Augmentation", "DataConfig", "Dataset", "Draws", "Split", "load_data", "normalize"]
