"""The command that says what a study has learned: the best split, the scaling law, a forecast."""

from typing import TYPE_CHECKING, Any

import click

from scaler.budget import format_quantity, parse_quantity
from scaler.cli.options import storage_option
from scaler.cli.output import print_json, print_table
from scaler.scaling import AXES

if TYPE_CHECKING:
    from scaler.fitted import BudgetFit, Fit
    from scaler.laws import Common, Forecast, Optimum, PowerLaw

_SURE = 0.05
"""The p value below which a difference is called one."""


@click.command()
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option("--at", metavar="MACS", help="Forecast the error of every rule at this budget, e.g. 100M.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@storage_option
def fit(studies: tuple[str, ...], at: str | None, as_json: bool, storage: str | None) -> None:
    """Fit the best split of the budget, and the scaling law where there are several budgets.

    The best split comes with the region that holds it with 95 % confidence, for each budget and for all together, and
    as α, β, γ with α·β²·γ² = 2. Studies that differ in their budget alone are fitted together. With three budgets or
    more every rule gets its law error(MACs) and, with --at, a forecast. The last table says how well each epoch
    foretells the end, which is what stopping early relies on.

    \b
    Examples: scaler fit studies/quickstart
              scaler fit small medium large --at 100M
    """
    from scaler.config import load_study
    from scaler.fitted import fit as fit_studies

    macs = None if at is None else parse_quantity("at", at)
    found = fit_studies([load_study(study, {"storage.url": storage}) for study in studies])
    if macs is not None:
        found.check_law()
    forecasts = {} if macs is None else {rule: law.forecast(macs) for rule, law in found.laws.items()}
    if as_json:
        print_json(_record(found, forecasts))
    else:
        _print(found, forecasts)


def _print(found: "Fit", forecasts: dict[str, "Forecast"]) -> None:
    networks = sum(part.surface.observations for part in found.budgets)
    click.echo(f"{', '.join(found.studies)}: the best split of the budget by {networks} networks, {found.objective}")
    rows = [(format_quantity(part.macs), part.surface.observations, *_cells(part.optimum)) for part in found.budgets]
    if found.common:
        rows.append(("all", networks, *_cells(found.common.optimum)))
    print_table(("budget", "networks", *AXES, "alpha", "beta", "gamma", "region"), rows)
    click.echo("shares with the range of their 95 % region; region: the part of all splits that may be the best")
    for part in found.budgets:
        click.echo(_noise(found, part))
    for macs, networks in found.left_out.items():
        click.echo(f"{format_quantity(macs)}: left out, {networks} networks are too few for a fit")
    if found.common:
        click.echo(_moves(found.common))
    if found.laws:
        _print_laws(found.laws, forecasts)
    else:
        count = len(found.budgets)
        click.echo(f"scaling law: not from {count} budget{'s' if count > 1 else ''}; it takes 3 (name several studies)")
    _print_rungs(found)


def _cells(optimum: "Optimum") -> list[str]:
    rule = optimum.shares.compound()
    shares = [
        f"{share:.2f} ({low:.2f}–{high:.2f})"
        for share, (low, high) in zip(optimum.shares.to_list(), optimum.ranges, strict=True)
    ]
    return [*shares, *(f"{step:.3f}" for step in (rule.alpha, rule.beta, rule.gamma)), f"{optimum.area:.0%}"]


def _noise(found: "Fit", part: "BudgetFit") -> str:
    best, _ = _best(part)
    text = (
        f"{format_quantity(part.macs)}: {found.objective} {best:.4f} at the best split, "
        f"{part.surface.noise_at(1 - best):.4f} noise of one training"
    )
    if part.surface.flat >= _SURE:
        return f"{text}; these networks do not tell the splits apart (p = {part.surface.flat:.2f}), any may be best"
    return f"{text}; splits differ (p = {part.surface.flat:.1g})"


def _best(part: "BudgetFit") -> tuple[float, float]:
    import numpy as np

    error, deviation = part.surface.error(np.array([part.optimum.shares.to_list()]))
    return 1 - float(error[0]), float(deviation[0])


def _moves(common: "Common") -> str:
    verdict = "moves with the budget" if common.p_value < _SURE else "gives no sign of moving with the budget"
    return (
        f"the best split {verdict} (χ² = {common.statistic:.2f} with {common.degrees_of_freedom} degrees of freedom, "
        f"p = {common.p_value:.2g})"
    )


def _print_laws(laws: dict[str, "PowerLaw"], forecasts: dict[str, "Forecast"]) -> None:
    reference = next(iter(laws.values())).reference
    click.echo(f"scaling law: error = a · (MACs / {format_quantity(reference)})^(−b) + c, with intervals of 95 %")
    macs = next(iter(laws.values())).macs
    print_table(
        ("rule", "a", "b", "c", *(f"error at {format_quantity(value)}" for value in macs), "misfit p"),
        [
            (
                rule,
                *(
                    f"{value:.3f} ({low:.3f}–{high:.3f})"
                    for value, (low, high) in (
                        (law.a, law.a_interval),
                        (law.b, law.b_interval),
                        (law.c, law.c_interval),
                    )
                ),
                *(
                    f"{error:.4f} ± {deviation:.4f}"
                    for error, deviation in zip(law.errors, law.deviations, strict=True)
                ),
                None if law.misfit is None else f"{law.misfit:.2f}",
            )
            for rule, law in laws.items()
        ],
    )
    if not forecasts:
        return
    first = next(iter(forecasts.values()))
    how = (
        f"{first.extrapolation:.3g} times the largest budget with data"
        if first.extrapolation > 1
        else "within the data"
    )
    click.echo(f"forecast at {format_quantity(first.macs)}, {how}; it holds if the law goes on to hold")
    print_table(
        ("rule", "error", "95 % interval"),
        [(rule, f"{cast.error:.4f}", f"{cast.low:.4f}–{cast.high:.4f}") for rule, cast in forecasts.items()],
    )


def _print_rungs(found: "Fit") -> None:
    rows = [
        (
            format_quantity(macs),
            rung.epoch,
            rung.n,
            None if rung.spearman is None else f"{rung.spearman:.2f} ({rung.low:.2f}–{rung.high:.2f})",
            None if rung.kendall is None else f"{rung.kendall:.2f}",
            rung.best_rank,
        )
        for macs, rungs in found.rungs.items()
        for rung in rungs
    ]
    if rows:
        click.echo("rank correlation between an epoch and the end, over the networks that ran to the end")
        print_table(("budget", "epoch", "networks", "Spearman", "Kendall", "place of the best"), rows)


def _record(found: "Fit", forecasts: dict[str, "Forecast"]) -> dict[str, Any]:
    import dataclasses

    common = found.common
    return {
        "studies": found.studies,
        "objective": found.objective,
        "budgets": [_budget_record(part) for part in found.budgets],
        "left_out": [{"macs": macs, "networks": networks} for macs, networks in found.left_out.items()],
        "common": common
        and {
            **_optimum_record(common.optimum),
            "moves": {
                "statistic": round(common.statistic, 4),
                "degrees_of_freedom": common.degrees_of_freedom,
                "p_value": common.p_value,
            },
        },
        "laws": [_law_record(rule, law) for rule, law in found.laws.items()],
        "forecasts": [{"rule": rule, **dataclasses.asdict(forecast)} for rule, forecast in forecasts.items()],
        "rungs": [{"macs": macs, **dataclasses.asdict(rung)} for macs, rungs in found.rungs.items() for rung in rungs],
    }


def _budget_record(part: "BudgetFit") -> dict[str, Any]:
    best, deviation = _best(part)
    return {
        "macs": part.macs,
        "networks": part.surface.observations,
        **_optimum_record(part.optimum),
        "value": best,
        "value_deviation": deviation,
        "noise": part.surface.noise_at(1 - best),
        "flat_p_value": part.surface.flat,
    }


def _optimum_record(optimum: "Optimum") -> dict[str, Any]:
    rule = optimum.shares.compound()
    exponents = (1, 2, 2)
    return {
        "shares": dict(zip(AXES, optimum.shares.to_list(), strict=True)),
        "ranges": dict(zip(AXES, optimum.ranges, strict=True)),
        "coefficients": {"alpha": rule.alpha, "beta": rule.beta, "gamma": rule.gamma},
        "coefficient_ranges": {
            name: [2 ** (end / exponent) for end in ends]
            for name, exponent, ends in zip(("alpha", "beta", "gamma"), exponents, optimum.ranges, strict=True)
        },
        "area": optimum.area,
        "region": optimum.region.round(4).tolist(),
    }


def _law_record(rule: str, law: "PowerLaw") -> dict[str, Any]:
    return {
        "rule": rule,
        "reference": law.reference,
        **{name: getattr(law, name) for name in ("a", "b", "c", "a_interval", "b_interval", "c_interval", "misfit")},
        "points": [
            {"macs": round(macs), "error": error, "deviation": deviation}
            for macs, error, deviation in zip(
                law.macs.tolist(), law.errors.tolist(), law.deviations.tolist(), strict=True
            )
        ],
    }
