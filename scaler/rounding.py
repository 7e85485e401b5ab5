"""Rounding of scaled channel counts, shared by the families."""

import numpy as np

from scaler.architecture import FloatArray, IntArray


def round_channels(channels: FloatArray, divisor: int) -> IntArray:
    """The nearest positive multiple of `divisor`, the next one up where that would lose more than 10 % of the channels.

    The rule of MobileNet and EfficientNet (Tan and Le, arXiv 1905.11946, reference implementation).
    """
    rounded = np.maximum(np.floor(channels / divisor + 0.5).astype(np.int64), 1) * divisor
    return np.where(rounded < 0.9 * channels, rounded + divisor, rounded)
