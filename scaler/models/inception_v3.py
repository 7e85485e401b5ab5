"""Inception v3 in torch: timm's own class through its stock entry point."""

from typing import Any

from scaler.families.inception_v3 import InceptionV3
from scaler.models.entry import TimmEntry


def timm_entry(architecture: InceptionV3) -> TimmEntry:
    """The stock entry point and the JSON-safe arguments that make this network."""
    extra: dict[str, Any] = {}
    if architecture.activation != "relu":
        extra["act_layer"] = architecture.activation
    if architecture.dropout:
        extra["drop_rate"] = architecture.dropout
    return TimmEntry(
        name="inception_v3", model_args=extra, first_conv="Conv2d_1a_3x3.conv", classifier="fc", tier="stock"
    )
