"""ResNet in torch: timm's own class through its stock entry points."""

from typing import Any

from scaler.families.resnet import ResNet
from scaler.models.entry import TimmEntry

_ENTRY_POINTS = {"basic": "resnet18", "bottleneck": "resnet50"}


def timm_entry(architecture: ResNet) -> TimmEntry:
    """The stock entry point and the JSON-safe arguments that make this network."""
    extra: dict[str, Any] = {}
    if architecture.stem == "deep":
        extra |= {"stem_type": "deep", "stem_width": architecture.widths[0] // 2}
    if architecture.activation != "relu":
        extra["act_layer"] = architecture.activation
    if architecture.dropout:
        extra["drop_rate"] = architecture.dropout
    return TimmEntry(
        name=_ENTRY_POINTS[architecture.block],
        model_args={"layers": list(architecture.depths), "channels": list(architecture.widths[1:]), **extra},
        first_conv="conv1.0" if architecture.stem == "deep" else "conv1",
        classifier="fc",
        tier="stock",
    )
