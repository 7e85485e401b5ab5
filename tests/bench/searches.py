"""The searches that are compared, each a function from a case to the networks it evaluated, in order, none twice.

All but Optuna's own samplers draw from the networks within the cap alone. For Optuna's the cap is a constraint; what
they draw over it, and what they draw again, costs them nothing, up to a limit of draws."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import optuna

from scaler.samplers import BudgetSampler
from tests.bench.tables import Case, TableSpace


@dataclass
class Run:
    """What a search did.

    rows         the networks, in the order of their evaluation
    recommended  the network that the search itself would recommend after so many evaluations
    draws        proposals it took
    """

    rows: list[int] = field(default_factory=list)
    recommended: dict[int, int] = field(default_factory=dict)
    draws: int = 0


def budget(case: Case, seed: int) -> Run:
    """`BudgetSampler` as it comes."""
    space = TableSpace(case.table, case.rows)
    sampler = BudgetSampler(space, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    run = Run()
    while len(run.rows) < case.checkpoints[-1]:
        trial = study.ask(space.distributions)
        run.rows.append(case.table.row(trial.params))
        study.tell(trial, case.measured[run.rows[-1]])
        if len(run.rows) in case.checkpoints:
            run.recommended[len(run.rows)] = case.table.row(sampler.recommend(study).params)
    run.draws = len(run.rows)
    return run


def random(case: Case, seed: int) -> Run:
    """Networks within the cap at random."""
    return Run(np.random.default_rng(seed).permutation(case.rows)[: case.checkpoints[-1]].tolist())


def most_macs(case: Case, seed: int) -> Run:
    """Networks within the cap in the order of their cost, the most costly first."""
    return Run(case.rows[np.argsort(-case.table.macs[case.rows], kind="stable")][: case.checkpoints[-1]].tolist())


def evolution(case: Case, seed: int, population: int = 10, sample: int = 10) -> Run:
    """Regularised evolution (Real et al., AAAI 2019, arXiv 1802.01548) that never leaves the cap or repeats a network.

    The child is a near neighbour, within the cap and new, of the best of `sample` among the youngest `population`.
    """
    rng = np.random.default_rng(seed)
    run = Run(rng.choice(case.rows, min(population, len(case.rows)), replace=False).tolist())
    free = np.setdiff1d(case.rows, run.rows)
    while len(run.rows) < case.checkpoints[-1]:
        alive = run.rows[-population:]
        rivals = rng.choice(alive, min(sample, len(alive)), replace=False)
        parent = int(rivals[case.measured[rivals].argmax()])
        run.rows.append(case.table.near(parent, free, rng))
        free = free[free != run.rows[-1]]
    return run


def tpe(case: Case, seed: int) -> Run:
    """Optuna's TPE as it comes, multivariate."""
    return _optuna(case, optuna.samplers.TPESampler(seed=seed), draws=3000)


def gp(case: Case, seed: int) -> Run:
    """Optuna's GPSampler as it comes. It takes seconds a draw once it has hundreds, so its draws are fewer."""
    return _optuna(case, optuna.samplers.GPSampler(seed=seed), draws=300)


def _optuna(case: Case, sampler: optuna.samplers.BaseSampler, draws: int) -> Run:
    table, allowed = case.table, set(case.rows.tolist())
    low, high = table.macs[case.rows].min(), table.macs[case.rows].max()
    study = optuna.create_study(direction="maximize", sampler=sampler)
    run = Run()
    evaluated: set[int] = set()
    while len(evaluated) < case.checkpoints[-1] and run.draws < draws:
        run.draws += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = study.ask(table.distributions)
        row = table.row(trial.params)
        trial.set_constraint("over", (table.macs[row] - high) / high)
        trial.set_constraint("under", (low - table.macs[row]) / high)
        study.tell(trial, case.measured[row])
        if row in allowed and row not in evaluated:
            evaluated.add(row)
            run.rows.append(row)
    return run


SEARCHES: dict[str, Callable[[Case, int], Run]] = {
    "budget": budget,
    "random": random,
    "evolution": evolution,
    "most macs": most_macs,
    "tpe": tpe,
    "gp": gp,
}
