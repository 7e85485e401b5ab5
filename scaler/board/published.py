"""What torchvision publishes of its networks on ImageNet, as rows of the leaderboard.

Accuracies are those in torchvision's weight metadata, which is part of the installed package: nothing is downloaded.
Costs are our own exact ones of the network as it was evaluated, at the resolution of the weights' transform: with
EfficientNet-B2 that is 288 pixels where the paper has 260, and Inception v3 is counted without its auxiliary
classifier, which torchvision counts among its parameters and nobody deploys.
"""

import math
from typing import Any

from torchvision.models import get_model_weights

from scaler.board.columns import network_columns
from scaler.families import CLASSICS

DATA = "ImageNet-1K"
"""The data of published rows."""

NAMES = {"alexnet_one_tower": "alexnet", "googlenet_bn": "googlenet"}
"""torchvision's names of classics that it has under another."""

_OTHERS = ("alexnet", "googlenet")  # torchvision's networks of these names are the ones above, not the papers'
_IMAGENET_SIDE = 64  # pixels, below which a classic is none of ImageNet's


def published_rows() -> list[dict[str, Any]]:
    """One row for every set of weights that torchvision publishes of a classic, with `published_top1` from 0 to 1.

    They have no rank and no `accuracy`: another data set, and other recipes, which `recipe` names as torchvision does.
    """
    rows = []
    for name, classic in CLASSICS.items():
        if name in _OTHERS or classic.resolution < _IMAGENET_SIDE:
            continue
        for weights in get_model_weights(NAMES.get(name, name)):
            top1 = weights.meta["_metrics"][DATA]["acc@1"]
            if math.isnan(top1):
                continue
            network = classic.replace(resolution=weights.transforms().crop_size[0])
            rows.append(
                {
                    **network_columns(network),
                    "model": name,
                    "source": "published",
                    "rule": "",
                    "budget": "",
                    "n_seeds": 0,
                    "published_top1": round(top1 / 100, 5),
                    "objective": "accuracy",
                    "recipe": f"torchvision {weights.name}",
                    "data": DATA,
                    "study": "",
                }
            )
    return sorted(rows, key=lambda row: -row["published_top1"])
