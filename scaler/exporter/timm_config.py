"""timm's config.json of an export, and under a root key of its own where the network comes from."""

from importlib.metadata import version
from typing import Any

from scaler.config import StudyConfig
from scaler.data import INTERPOLATION, Dataset
from scaler.entries import timm_entry
from scaler.exporter.weights import Weights


def preprocessing(weights: Weights, data: Dataset) -> dict[str, Any]:
    """How images become the network's input, in timm's words: as in the training."""
    network = weights.record.architecture
    return {
        "input_size": [network.in_channels, network.resolution, network.resolution],
        "interpolation": INTERPOLATION,
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": list(data.mean),
        "std": list(data.std),
    }


def timm_config(config: StudyConfig, weights: Weights, data: Dataset, command: str) -> dict[str, Any]:
    """What config.json holds; `command` is the command line that exports this again."""
    record = weights.record
    network, entry = record.architecture, timm_entry(record.architecture)
    in_channels = {} if network.in_channels == 3 else {"in_chans": network.in_channels}
    return {
        "architecture": entry.name,
        "num_classes": network.num_classes,
        "num_features": weights.model.num_features,
        "global_pool": "avg",
        "model_args": {**entry.model_args, **in_channels},
        "label_names": list(data.classes),
        "pretrained_cfg": {
            "tag": f"scaler_{config.name}",
            **preprocessing(weights, data),
            "fixed_input_size": False,
            "num_classes": network.num_classes,
            "pool_size": None,
            "first_conv": entry.first_conv,
            "classifier": [entry.classifier, *entry.auxiliary] if entry.auxiliary else entry.classifier,
            "license": None,
            "origin_url": None,
            "paper_ids": None,
            "paper_name": None,
        },
        "scaler": {
            "study": config.name,
            "trial": weights.trial,
            "digest": network.digest,
            "weights": weights.origin,
            "seed": record.seed,
            "epochs": record.epochs,
            "tier": entry.tier,
            "command": command,
            "versions": {name: version(name) for name in ("scaler-nas", "timm", "torch")},
            "architecture": network.to_dict(),
        },
    }
