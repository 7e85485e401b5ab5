"""How much faster an exported network is on a CPU with its batch norms folded, in channels-last, and with both.

A ResNet and an EfficientNet of published shape, without training, in eager torch on one thread; all four ways take
turns, each on its own copy. What is printed is the median, over the rounds, of the seconds of the plain network (NCHW,
not folded) by those of each way in the same round; both together are to be 1.2 times as fast or more.
"""

import copy
import statistics
import time

import torch
from torch import nn

from scaler import build, classic, fuse

_NETWORKS = ("resnet18", "efficientnet_b0")
_BATCH_SIZE = 16
_SIDE = 128
_ROUNDS = 11


def seconds(model: nn.Module, images: torch.Tensor) -> float:
    """One forward pass."""
    started = time.perf_counter()
    model(images)
    return time.perf_counter() - started


@torch.inference_mode()
def compare(name: str) -> None:
    """Prints the ways of one network."""
    torch.manual_seed(0)
    model = build(classic(name).replace(resolution=_SIDE)).eval()
    images = torch.randn(_BATCH_SIZE, 3, _SIDE, _SIDE)
    last = images.to(memory_format=torch.channels_last)
    fused = fuse(model)
    ways = {
        "plain: NCHW, batch norms": (model, images),
        "folded": (fused, images),
        "channels-last": (copy.deepcopy(model).to(memory_format=torch.channels_last), last),
        "folded and channels-last": (copy.deepcopy(fused).to(memory_format=torch.channels_last), last),
    }
    for way in ways.values():
        seconds(*way)
    rounds = [[seconds(*way) for way in ways.values()] for _ in range(_ROUNDS)]
    print(f"\n{name} at {_SIDE} px, batches of {_BATCH_SIZE}, one thread")
    for column, way in enumerate(ways):
        rate = _BATCH_SIZE / statistics.median(row[column] for row in rounds)
        factor = statistics.median(row[0] / row[column] for row in rounds)
        print(f"  {way:26} {rate:7.1f} images/s   {factor:.2f} ×")


def main() -> None:
    """Compares both networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in _NETWORKS:
        compare(name)
    torch.set_num_threads(before)


if __name__ == "__main__":
    main()
