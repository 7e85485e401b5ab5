"""What a study has learned: its records as arrays, and the fit of the best split, the scaling law and the rungs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import TrialState

from scaler.board.parts import Parts, StudyLike, parts_of
from scaler.budget import Budget, format_quantity
from scaler.config import StudyConfig, load_study
from scaler.errors import InputError
from scaler.laws import (
    NEEDED_BUDGETS,
    NEEDED_RULES,
    Common,
    Optimum,
    PowerLaw,
    Rung,
    Surface,
    common_optimum,
    fit_power_law,
    fit_surface,
    optimum,
    rank_correlations,
)
from scaler.record import Record, has_record
from scaler.rounding import FloatArray
from scaler.scaling import RULES, Shares, fit_to_budget
from scaler.study import stored_config
from scaler.trials import read_curves
from scaler.workflow import domain_of

DISCOVERED = "discovered"
"""The name, among rules, of the fitted one."""

CLASSIC = "classic"
"""The name, among rules, of the classic shape, which follows none."""

_SAME = {"space": "spaces", "objective": "objective", "recipe": "recipe", "search.growth": "search.growth"}
_SAME_DATA = ("name", "resolution", "channels", "validation", "test", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """The networks of one budget that ran to the end, each once, however many seeds it had.

    macs       the budget
    models     what the networks that follow a rule are called, (n,)
    shares     their rules, (n, 3)
    values     the objective, (n,): the mean over the confirmed seeds where there are any, else over the others
    seeds      how many seeds each value is the mean of, (n,)
    classics   (value, seeds) of the networks that follow no rule
    curves     of the searched networks, the objective by epoch, and what each came to
    """

    macs: int
    models: tuple[str, ...]
    shares: FloatArray
    values: FloatArray
    seeds: FloatArray
    classics: tuple[tuple[float, int], ...]
    curves: tuple[tuple[dict[int, float], float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetFit:
    """One budget's surface over the triangle and its best rule."""

    macs: int
    surface: Surface
    optimum: Optimum


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What studies of one question say, over all their budgets.

    budgets   each budget's fit, smallest first
    left_out  budgets (MACs) with too few networks for a fit, and how many they have
    common    the best rule taken to be the same for every budget; None for a single one
    laws      the scaling law of each rule; empty where budgets are too few
    rungs     for each budget (MACs), how each epoch foretells the end
    """

    studies: tuple[str, ...]
    objective: str
    budgets: tuple[BudgetFit, ...]
    left_out: dict[int, int]
    common: Common | None
    laws: dict[str, PowerLaw]
    rungs: dict[int, list[Rung]]

    @property
    def optimum(self) -> Optimum:
        """The discovered rule: the common one, or that of the only budget."""
        return self.common.optimum if self.common else self.budgets[0].optimum

    def check_law(self) -> None:
        """Raises `InputError`, naming what is missing, if there is no scaling law to forecast with."""
        if not self.laws:
            raise InputError(
                f"at: no forecast from {len(self.budgets)} budget{'s' if len(self.budgets) > 1 else ''}; a scaling law "
                f"needs {NEEDED_BUDGETS}, so search at others too and name those studies as well"
            )


def fit(studies: StudyLike | Sequence[StudyLike]) -> Fit:
    """Fits the best split, and with three budgets or more the scaling law, to one study or to several that differ in
    their budget alone.

    Raises `InputError` if studies differ in more, have no results, or too few networks for a fit.
    """
    named = [studies] if isinstance(studies, (str, Path, StudyConfig, optuna.Study, Parts)) else studies
    configs = [_config(study) for study in named]
    _check_one_question(configs)
    found = observations(named)
    enough = [part for part in found if len(part.values) >= NEEDED_RULES]
    if not enough:
        most = max((len(part.values) for part in found), default=0)
        raise InputError(
            f"study: {', '.join(config.name for config in configs)} has {most} completed networks with a rule at a "
            f"budget; a fit needs {NEEDED_RULES}, so search further"
        )
    surfaces = [fit_surface(part.shares, part.values, part.seeds) for part in enough]
    budgets = tuple(
        BudgetFit(macs=part.macs, surface=surface, optimum=optimum(surface))
        for part, surface in zip(enough, surfaces, strict=True)
    )
    common = common_optimum(surfaces) if len(surfaces) > 1 else None
    best = common.optimum.shares if common else budgets[0].optimum.shares
    return Fit(
        studies=tuple(config.name for config in configs),
        objective=configs[0].objective,
        budgets=budgets,
        left_out={part.macs: len(part.values) for part in found if len(part.values) < NEEDED_RULES},
        common=common,
        laws=_laws(enough, surfaces, best) if len(surfaces) >= NEEDED_BUDGETS else {},
        rungs={
            part.macs: rank_correlations([curve for curve, _ in part.curves], [value for _, value in part.curves])
            for part in found
        },
    )


def observations(studies: Sequence[StudyLike]) -> list[Observations]:
    """The completed trials of studies as arrays, one entry a budget, smallest first.

    Stopped and failed trials are left out: they have no final value. Raises `InputError` for a study without results
    and for networks of more than one family.
    """
    budgets: dict[int, list[_Network]] = {}
    families: set[str] = set()
    for study in studies:
        for macs, networks in _networks(parts_of(study)).items():
            budgets.setdefault(macs, []).extend(networks)
            families |= {network.record.architecture.family for network in networks}
    if len(families) > 1:
        raise InputError(f"study: a fit is about one family; the networks are of {', '.join(sorted(families))}")
    return [_arrays(macs, networks) for macs, networks in sorted(budgets.items())]


def scaled_series(
    study: str | Path | StudyConfig, rule: Shares, *, limits: Sequence[int] | None = None, phi: Sequence[float] = ()
) -> list[Record]:
    """A study's family scaled by a rule: one network, not trained yet, for each budget in MACs.

    Every network grows the base of the study's first space, at its largest budget, on the rule's ray to the largest
    within the budget. The budgets are `limits`, or, for steps φ, the study's own times 2^φ, so that 0 is what the rule
    makes within the study. Raises `InputError` for a budget that no network of the rule fits.
    """
    config = study if isinstance(study, StudyConfig) else load_study(study)
    region = domain_of(config).region(len(config.budgets.levels) - 1)
    if limits is None:
        own = region.budget.limits.get("macs") or region.at(rule).cost().macs
        limits = [round(own * 2**step) for step in phi]
    return [
        Record(
            architecture=fit_to_budget(region.base, rule, Budget(macs=limit)),
            source="rule",
            model=f"{config.name}-{format_quantity(limit)}",
            seed=config.search.seed,
            rule=[round(share, 4) for share in rule.to_list()],
        )
        for limit in limits
    ]


@dataclass(frozen=True, slots=True)
class _Network:
    """One network of one study: its record, the value of each seed, and its curves in the search."""

    record: Record
    curves: list[tuple[dict[int, float], float]]
    by_seed: dict[int, float]
    confirmed: dict[int, float]

    @property
    def value(self) -> float:
        return float(np.mean(list((self.confirmed or self.by_seed).values())))

    @property
    def seeds(self) -> int:
        return len(self.confirmed or self.by_seed)


def _networks(parts: Parts) -> dict[int, list[_Network]]:
    """A study's networks by their budget. The same network under several names is one."""
    config = stored_config(parts.studies[""])
    curves = read_curves(parts.studies[""])
    networks: dict[str, _Network] = {}
    for part in ("", "baselines", "confirm"):
        for trial in parts.trials.get(part, []):
            if trial.state != TrialState.COMPLETE or not has_record(trial) or trial.value is None:
                continue
            record = Record.from_trial(trial)
            network = networks.setdefault(record.architecture.digest, _Network(record, [], {}, {}))
            if not part:
                network.curves.append((curves.get(trial.number, {}), trial.value))
            (network.confirmed if part == "confirm" else network.by_seed)[record.seed] = trial.value
    by_budget: dict[int, list[_Network]] = {}
    for network in networks.values():
        by_budget.setdefault(_budget_of(config, network.record), []).append(network)
    return by_budget


def _budget_of(config: StudyConfig, record: Record) -> int:
    """The budget, in MACs, that a trial's network was made for, or, where that limits other costs alone, what the base
    grows to in MACs by the uniform rule."""
    limits = record.budget or config.budgets.levels[-1].limits
    if "macs" in limits:
        return limits["macs"]
    levels = [level.limits for level in config.budgets.levels]
    region = domain_of(config).region(levels.index(limits) if limits in levels else len(levels) - 1)
    macs: int = region.at(RULES["uniform"]).cost().macs
    return macs


def _arrays(macs: int, networks: Sequence[_Network]) -> Observations:
    ruled = [network for network in networks if network.record.rule is not None]
    return Observations(
        macs=macs,
        models=tuple(network.record.model for network in ruled),
        shares=np.array([network.record.rule for network in ruled], np.float64).reshape(-1, 3),
        values=np.array([network.value for network in ruled]),
        seeds=np.array([network.seeds for network in ruled], np.float64),
        classics=tuple((network.value, network.seeds) for network in networks if network.record.source == "classic"),
        curves=tuple(curve for network in networks for curve in network.curves),
    )


def _laws(parts: Sequence[Observations], surfaces: Sequence[Surface], best: Shares) -> dict[str, PowerLaw]:
    """The law of every rule from the surfaces, and of the classic shape from its own trainings."""
    macs = np.array([part.macs for part in parts], np.float64)
    laws = {}
    for name, rule in {DISCOVERED: best, **RULES}.items():
        points = [surface.error(np.array([rule.to_list()])) for surface in surfaces]
        errors, deviations = (np.array([point[index][0] for point in points]) for index in (0, 1))
        laws[name] = fit_power_law(macs, errors, deviations)
    if all(part.classics for part in parts):
        errors = np.array([1 - max(part.classics)[0] for part in parts])
        deviations = np.array(
            [
                surface.noise_at(error) / np.sqrt(max(part.classics)[1])
                for part, surface, error in zip(parts, surfaces, errors, strict=True)
            ]
        )
        laws[CLASSIC] = fit_power_law(macs, errors, deviations)
    return laws


def _config(study: StudyLike) -> StudyConfig:
    match study:
        case StudyConfig():
            return study
        case Parts():
            return stored_config(study.studies[""])
        case optuna.Study():
            return stored_config(study)
    return load_study(study)


def _check_one_question(configs: Sequence[StudyConfig]) -> None:
    first = configs[0]
    for other in configs[1:]:
        differing = [
            name for name, setting in _SAME.items() if _setting(first, setting) != _setting(other, setting)
        ] + [f"data.{name}" for name in _SAME_DATA if getattr(first.data, name) != getattr(other.data, name)]
        if differing:
            raise InputError(
                f"{differing[0]}: {first.name} and {other.name} differ in it; "
                "fit studies that differ in the budget alone"
            )


def _setting(config: StudyConfig, name: str) -> object:
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    return value
