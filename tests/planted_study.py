"""Studies whose trials were never trained: their values are planted, so that what is fitted to them is known."""

from pathlib import Path

import numpy as np
import optuna
from optuna.trial import create_trial

from scaler.config import StudyConfig, load_study
from scaler.record import Record
from scaler.scaling import RULES, Shares
from scaler.study import open_study
from scaler.workflow import domain_of
from tests.laws.planted import PLACES, TOP, observed, quadratic


def planted_study(
    folder: Path, macs: str, count: int = 16, *, best: float = TOP, place: str = "inside", noise: float = 0.002
) -> StudyConfig:
    """A searched study with baselines within `macs`, whose best rule is at `place` and comes to an accuracy of `best`.

    Each network's first epoch is its value with noise, its second is the value.
    """
    config = load_study(folder / "tiny", {"budget.macs": macs, "name": f"tiny{macs}"})
    triangle = domain_of(config).region()
    rng = np.random.default_rng(0)
    truth = quadratic(PLACES[place])
    shares, values = observed(truth, 4 * count, noise, rng)
    networks = [
        triangle.base.at(shapes, index)
        for shapes in [triangle.fit(np.array([triangle.point(Shares(*rule)) for rule in shares.tolist()]))]
        for index in range(len(shares))
    ]
    study = open_study(config)
    taken = {triangle.at(rule).digest for rule in RULES.values()}
    number = 0
    for network, rule, value in zip(networks, shares.tolist(), (values + best - TOP).tolist(), strict=True):
        if number == count or network.digest in taken:
            continue
        taken.add(network.digest)
        model = f"{config.name}#{number}"
        record = Record(architecture=network, source="discovered", model=model, seed=0, rule=rule, epochs=2)
        add(study, record, value, {1: value + rng.normal(0, 0.003), 2: value})
        number += 1
    baselines = open_study(config, "baselines")
    for name in ("depth", "width", "resolution"):
        record = Record(
            architecture=triangle.at(RULES[name]), source="rule", model=name, seed=0, rule=RULES[name].to_list()
        )
        add(baselines, record, float(truth(np.array([record.rule]))[0]) + best - TOP)
    add(
        baselines, Record(architecture=triangle.classic_shape(), source="classic", model="classic", seed=0), best - 0.03
    )
    return config


def add(study: optuna.Study, record: Record, value: float, curve: dict[int, float] | None = None) -> None:
    """Adds a completed trial."""
    study.add_trial(create_trial(value=value, user_attrs=record.to_attributes(), intermediate_values=curve))
