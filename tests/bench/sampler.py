"""How long a sampler takes for a proposal when a study has 950 to 1,000 trials: `BudgetSampler` against GPSampler.

The space is one of free stages: four depths, five widths and a resolution of a ResNet within 30 to 100 % of ResNet-18's
MACs at 32 pixels, with exact cost; every proposal draws its candidates anew. GPSampler gets the same parameters and no
limit; since one of its proposals takes seconds, it makes the first ten alone. Both get the same 950 completed trials,
in memory, and time includes fitting the surrogate."""

import time
import warnings
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution

from scaler import classic
from scaler.architecture import Shapes
from scaler.rounding import FloatArray
from scaler.samplers import BudgetSampler

_TRIALS = 950
_ASKS = 50
_PEER_ASKS = 10
_DRAWS_PER_CANDIDATE = 5


class Stages:
    """The space of free stages."""

    def __init__(self) -> None:
        self._base = classic("resnet18").replace(resolution=32)
        self._most = self._base.cost().macs
        self.distributions: dict[str, BaseDistribution] = {
            **{f"depth{index}": IntDistribution(1, 6) for index in range(len(self._base.depths))},
            **{f"width{index}": IntDistribution(1, 64) for index in range(len(self._base.widths))},
            "resolution": IntDistribution(8, 32),
        }

    def candidates(self, rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
        columns = [
            np.exp(rng.uniform(np.log(kind.low), np.log(kind.high + 1), _DRAWS_PER_CANDIDATE * n)).astype(np.int64)
            for kind in self.distributions.values()
            if isinstance(kind, IntDistribution)
        ]
        numbers = np.column_stack(columns)
        macs = self._base.costs(self._shapes(numbers)).macs
        fits = numbers[(macs <= self._most) & (macs >= 0.3 * self._most)].tolist()
        distinct = list(dict.fromkeys(tuple(row) for row in fits))[:n]
        return [dict(zip(self.distributions, row, strict=True)) for row in distinct]

    def features(self, candidates: list[dict[str, Any]]) -> FloatArray:
        numbers = np.array([list(params.values()) for params in candidates])
        cost = self._base.costs(self._shapes(numbers))
        return np.log(np.column_stack([numbers, cost.macs, cost.params, cost.activations]))

    def _shapes(self, numbers: Any) -> Shapes:
        stages = len(self._base.depths)
        return Shapes(numbers[:, :stages], 8 * numbers[:, stages:-1], 2 * numbers[:, -1])


def value(params: dict[str, Any]) -> float:
    """Something smooth with an optimum inside."""
    return -sum((np.log(number) - 2) ** 2 for number in params.values())


def latencies(sampler: optuna.samplers.BaseSampler, space: Stages, asks: int) -> FloatArray:
    """Seconds of each proposal."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rng = np.random.default_rng(0)
    study.add_trials(
        [
            optuna.create_trial(params=params, distributions=space.distributions, value=value(params) + rng.normal())
            for params in space.candidates(rng, _TRIALS)
        ]
    )
    seconds = []
    for _ in range(asks):
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask(space.distributions)
        seconds.append(time.perf_counter() - started)
        study.tell(trial, value(trial.params) + rng.normal())
    return np.array(seconds)


def main() -> None:
    """Prints a line for each sampler."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = Stages()
    print(f"one proposal at {_TRIALS} to {_TRIALS + _ASKS} trials, refits included")
    for sampler, asks in ((BudgetSampler(space), _ASKS), (optuna.samplers.GPSampler(seed=0), _PEER_ASKS)):
        seconds = latencies(sampler, space, asks)
        print(
            f"  {sampler!s:<14} median {1e3 * np.median(seconds):9,.1f} ms"
            f"   95th percentile {1e3 * np.quantile(seconds, 0.95):9,.1f} ms   slowest {1e3 * seconds.max():9,.1f} ms"
        )


if __name__ == "__main__":
    main()
