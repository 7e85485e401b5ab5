"""Runs in a process of its own: loads an exported folder as its user would, with timm and, for stock exports, without
scaler.

    python fresh_check.py FOLDER CASES TIER

TIER plugin first imports `scaler.models`, as the user of such an export does. CASES is a safetensors file with `images`
(n, channels, side, side), the trained network's `logits` (n, classes) and the number of `threads` that gave them.
Prints one JSON object: the largest difference of the logits, timm's data config, and whether scaler was imported.
"""

import importlib
import json
import sys

import timm
import torch
from safetensors.torch import load_file

_BATCH = 64


def main(folder: str, cases: str, tier: str) -> None:
    """Compares the folder's network with the recorded logits and prints what it found."""
    if tier == "plugin":
        importlib.import_module("scaler.models")
    expected = load_file(cases)
    torch.set_num_threads(int(expected["threads"]))
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.inference_mode():
        logits = torch.cat([model(part) for part in expected["images"].split(_BATCH)])
    found = {
        "max_difference": (logits - expected["logits"]).abs().max().item(),
        "data_config": timm.data.resolve_data_config({}, model=model),
        "scaler_imported": any(name.partition(".")[0] == "scaler" for name in sys.modules),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
