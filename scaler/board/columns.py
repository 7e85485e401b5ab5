"""The leaderboard's columns, and those that a network alone fills."""

import dataclasses
from typing import Any

from scaler.architecture import Architecture
from scaler.entries import timm_entry

COLUMNS = {
    "rank": "1 is best among rows of the same data, recipe and objective: confirmed networks by mean test accuracy, "
    "others below by the objective; equals share; none for published rows",
    "model": "short name: study#trial, or what the baseline is",
    "family": "family of the architecture",
    "source": "discovered, rule, classic, or published (figures of torchvision's weights on ImageNet)",
    "rule": "shares of depth, width and resolution",
    "budget": "limits that the network was made to fit",
    "resolution": "side of the input image, pixels",
    "depths": "blocks in each stage",
    "widths": "stem and stage channels",
    "macs": "multiply-accumulates of one image",
    "params": "trainable numbers",
    "activations": "elements in the outputs of convolution, pooling and linear layers",
    "accuracy": "validation accuracy after the full recipe, from 0 to 1",
    "balanced_accuracy": "the same, mean over the classes",
    "macro_f1": "the same, mean over the classes of the F1 score",
    "n_seeds": "number of confirmed seeds, none of which the search has used",
    "confirmed_accuracy": "mean validation accuracy over those seeds; what `accuracy` has more is the winner's curse",
    "accuracy_std": "its standard deviation over those seeds, of two or more",
    "test_accuracy": "mean test accuracy over those seeds",
    "test_std": "its standard deviation over those seeds, of two or more",
    "published_top1": "accuracy on ImageNet's validation split that torchvision publishes, of published rows",
    "epochs": "epochs run",
    "train_seconds": "wall-clock time of training",
    "images_per_second": "training images over that time",
    "device": "where it was trained",
    "pareto": "whether no network of the same data, recipe and objective has a better rank with as few MACs or fewer",
    "export_tier": "stock (timm loads it alone) or plugin (after `import scaler.models`)",
    "objective": "what the search maximised",
    "recipe": "epochs, and a digest of the whole recipe: equal for equal recipes",
    "data": "name, and a digest of all that decides which images: equal for equal data",
    "study": "Optuna study that the row's trial is in: NAME, NAME.baselines or NAME.train",
    "trial": "number of the trial in that study",
    "digest": "identity of the network",
}
"""The table's columns in order, and what each holds."""


def network_columns(network: Architecture) -> dict[str, Any]:
    """The columns that say what a network is and what it costs, for one image."""
    return {
        "family": network.family,
        "resolution": network.resolution,
        "depths": "-".join(map(str, network.depths)),
        "widths": "-".join(map(str, network.widths)),
        **dataclasses.asdict(network.cost()),
        "export_tier": timm_entry(network).tier,
        "digest": network.digest,
    }
