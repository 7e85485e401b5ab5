"""Runs in a process of its own: classifies pictures with an exported folder as its user would, with timm's own eval
transform and, for stock exports, without scaler.

    python fresh_check.py FOLDER TIER THREADS LOGITS < PICTURES

TIER plugin first imports `scaler.models`, as the user of such an export does. PICTURES is a stream of `write_picture`.
Writes the safetensors file LOGITS with `logits` (n, classes), and prints one JSON object: timm's data config, and
whether scaler was imported.
"""

import importlib
import json
import struct
import sys
from collections.abc import Iterator
from typing import IO

import timm
import torch
from PIL import Image
from safetensors.torch import save_file

BATCH_SIZE = 64
"""Images in the network at a time: equal batches give equal bits."""

_HEADER = struct.Struct("<IIII")  # mode, width, height, bytes
_MODES = ("L", "RGB")


def write_picture(stream: IO[bytes], picture: Image.Image) -> None:
    """Puts a picture of mode L or RGB on the stream, uncompressed."""
    pixels = picture.tobytes()
    stream.write(_HEADER.pack(_MODES.index(picture.mode), *picture.size, len(pixels)))
    stream.write(pixels)


def read_pictures(stream: IO[bytes]) -> Iterator[Image.Image]:
    """The pictures of a stream, to its end."""
    while header := stream.read(_HEADER.size):
        mode, width, height, count = _HEADER.unpack(header)
        yield Image.frombytes(_MODES[mode], (width, height), stream.read(count))


@torch.inference_mode()
def main(folder: str, tier: str, threads: str, output: str) -> None:
    """Classifies what comes in and prints what it found."""
    if tier == "plugin":
        importlib.import_module("scaler.models")
    torch.set_num_threads(int(threads))
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    config = timm.data.resolve_data_config({}, model=model)
    transform = timm.data.create_transform(**config)
    logits: list[torch.Tensor] = []
    batch: list[torch.Tensor] = []
    for picture in read_pictures(sys.stdin.buffer):
        batch.append(transform(picture))
        if len(batch) == BATCH_SIZE:
            logits.append(model(torch.stack(batch)))
            batch = []
    if batch:
        logits.append(model(torch.stack(batch)))
    save_file({"logits": torch.cat(logits)}, output)
    imported = any(name.partition(".")[0] == "scaler" for name in sys.modules)
    print(json.dumps({"data_config": config, "scaler_imported": imported}))


if __name__ == "__main__":
    main(*sys.argv[1:])
