"""Inception v3 in torch: timm's own class through its stock entry point."""

from scaler.families.inception_v3 import InceptionV3
from scaler.models.entry import TimmEntry, stock_args


def timm_entry(architecture: InceptionV3) -> TimmEntry:
    """The stock entry point and the JSON-safe arguments that make this network."""
    return TimmEntry(
        name="inception_v3",
        model_args=stock_args(architecture),
        first_conv="Conv2d_1a_3x3.conv",
        classifier="fc",
        tier="stock",
    )
