"""How scaled numbers of blocks and channels are rounded, unless a family's paper says otherwise."""

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def round_channels(channels: FloatArray, divisor: int) -> IntArray:
    """The nearest positive multiple of `divisor`, the next one up where that would lose more than 10 % of the channels.

    The rule of MobileNet and EfficientNet (Tan and Le, arXiv 1905.11946, reference implementation).
    """
    rounded = np.maximum(np.floor(channels / divisor + 0.5).astype(np.int64), 1) * divisor
    return np.where(rounded < 0.9 * channels, rounded + divisor, rounded)


def round_blocks(depths: FloatArray) -> IntArray:
    """The nearest number of blocks, halves up, at least 1."""
    return np.maximum(np.floor(depths + 0.5).astype(np.int64), 1)


def round_widths(widths: FloatArray) -> IntArray:
    """Multiples of 8; below 64 multiples of 4, since 8 is no small step there."""
    return np.where(widths < 64, round_channels(widths, 4), round_channels(widths, 8))


def width_step(widths: IntArray) -> IntArray:
    """The distance from each width of `round_widths` to the next larger one."""
    return np.where(widths < 64, 4, 8)
