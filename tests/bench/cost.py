"""How fast exact cost is, against counting on a model built on the meta device with torch's `FlopCounterMode`."""

import time
from collections.abc import Callable

import numpy as np

from scaler import CLASSICS
from scaler.architecture import Shapes
from tests.counters import torch_macs_and_params


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The fastest of `repeats` calls."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    """Prints a line for each classic, and how many candidates an array call prices in a second."""
    print("cost of one network: scaler's arithmetic against counting on the meta device")
    for name, network in CLASSICS.items():
        ours = seconds(network.cost, 50)
        theirs = seconds(lambda network=network: torch_macs_and_params(network), 3)
        print(f"  {name:<16} {ours * 1e6:8.0f} µs  {theirs * 1e3:8.1f} ms  {theirs / ours:8,.0f} ×")
    print("candidates priced in a second by one array call")
    rng = np.random.default_rng(0)
    for name in ("resnet18", "resnet50"):
        network, count = CLASSICS[name], 100_000
        shapes = Shapes(
            rng.integers(1, 20, (count, len(network.depths))),
            rng.integers(1, 512, (count, len(network.widths))),
            rng.integers(network.min_resolution, 300, count),
        )
        print(f"  {name:<16} {count / seconds(lambda n=network, s=shapes: n.costs(s), 3):12,.0f}")
