"""Loads exports as their user does, in a process that has nothing but timm, for plugin exports scaler as well.

python as_user.py TIER FOLDER...
"""

import importlib
import importlib.util
import json
import sys

import timm
import torch
from safetensors.torch import load_file


@torch.inference_mode()
def look_at(folder: str) -> dict[str, object]:
    """What differs from what is expected of the folder."""
    expected = load_file(f"{folder}.expected")
    with open(f"{folder}/config.json") as file:
        cfg = json.load(file)["pretrained_cfg"]
    name, images = f"local-dir:{folder}", expected["images"]
    model = timm.create_model(name, pretrained=True).eval()

    backbone = timm.create_model(name, pretrained=True, features_only=True).eval()
    maps = backbone(images)
    wanted = [expected[f"map {index}"] for index in range(len(maps))]

    tuned = timm.create_model(name, pretrained=True, num_classes=5, in_chans=1).eval()
    replaced = {cfg["first_conv"], *([cfg["classifier"]] if isinstance(cfg["classifier"], str) else cfg["classifier"])}
    before, after = model.state_dict(), tuned.state_dict()
    first = f"{cfg['first_conv']}.weight"
    return {
        "difference": (model(images) - expected["logits"]).abs().max().item(),
        "channels": backbone.feature_info.channels() == [features.shape[1] for features in wanted],
        "reductions": backbone.feature_info.reduction() == expected["reductions"].tolist(),
        "maps": all(torch.allclose(*pair, atol=1e-5) for pair in zip(maps, wanted, strict=True)),
        "tuned": list(tuned(images[:, :1]).shape),
        "kept": all(torch.equal(before[key], after[key]) for key in before if key.rpartition(".")[0] not in replaced),
        "first": torch.allclose(after[first], before[first].sum(1, keepdim=True)),
    }


if __name__ == "__main__":
    _, tier, *folders = sys.argv
    spec = importlib.util.find_spec("scaler")
    findable = spec is not None and spec.origin is not None  # a folder of data files is no package
    if tier == "plugin":
        importlib.import_module("scaler.models")
    found = {folder: look_at(folder) for folder in folders}
    imported = any(name.partition(".")[0] == "scaler" for name in sys.modules)
    print(json.dumps({"timm": timm.__version__, "scaler": findable or imported, "folders": found}))
