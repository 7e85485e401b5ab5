"""How fast exact cost is, against counting on a built model, whose construction is left out of the time.

torch's `FlopCounterMode` runs on the meta device. fvcore's `FlopCountAnalysis` traces the model on the CPU, because it
cannot trace on the meta device with current torch; so its time holds one real forward pass."""

import logging
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode

from scaler import CLASSICS, Architecture
from scaler.architecture import Shapes
from scaler.models import build

_CANDIDATES = 200_000
_ARRAY_BASES = ("alexnet", "vgg16", "resnet18", "resnet50", "googlenet_bn", "efficientnet_b0")


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of `repeats` calls."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def counters(network: Architecture) -> tuple[Callable[[], int], Callable[[], int]]:
    """MACs of the built network by fvcore and by torch's counter."""
    shape = (1, network.in_channels, network.resolution, network.resolution)
    with torch.device("meta"):
        model = build(network).eval()
        image = torch.empty(shape)
    real = build(network).eval()

    def by_fvcore() -> int:
        analysis = FlopCountAnalysis(real, torch.zeros(shape))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counts = analysis.by_operator()
        return int(counts["conv"] + counts["linear"])

    def by_torch() -> int:
        with FlopCounterMode(display=False) as counter:
            model(image)
        return int(counter.get_total_flops()) // 2

    return by_fvcore, by_torch


def main() -> None:
    """Prints a line for each classic, and how many candidates an array call prices in a second."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    print("cost of one network: scaler's arithmetic, fvcore, FlopCounterMode; how many times slower the two are")
    for name, network in CLASSICS.items():
        if name == "resnet1202":  # counting takes minutes on the built network
            continue
        by_fvcore, by_torch = counters(network)
        assert by_torch() == network.cost().macs, name
        ours = seconds(network.cost, 25)
        fvcore, counter = seconds(by_fvcore, 1), seconds(by_torch, 3)
        print(
            f"  {name:<18} {ours * 1e6:7.0f} µs {fvcore * 1e3:8.1f} ms {counter * 1e3:8.1f} ms"
            f" {fvcore / ours:9,.0f} × {counter / ours:9,.0f} ×"
        )
    print("candidates priced in a second by one array call")
    rng = np.random.default_rng(0)
    for name in _ARRAY_BASES:
        network = CLASSICS[name]
        factors = [rng.uniform(0.5, 2, _CANDIDATES) for _ in range(3)]
        shapes: Shapes = network.scaled_shapes(*factors)
        print(f"  {name:<18} {_CANDIDATES / seconds(lambda n=network, s=shapes: n.costs(s), 3):12,.0f}")


if __name__ == "__main__":
    main()
