"""The command that scales a network by a rule: a series of networks with exact cost."""

from typing import Any

import click

from scaler.architecture import Architecture
from scaler.budget import Budget, format_quantity
from scaler.cli.networks import record_of, with_commas
from scaler.cli.output import print_json, print_table
from scaler.errors import InputError
from scaler.families import CLASSICS, classic
from scaler.scaling import RULES, Compound, Shares, as_shares, fit_to_budget

_PUBLISHED_SERIES: dict[str, dict[float, str]] = {"efficientnet_b0": {phi: f"efficientnet_b{phi}" for phi in range(8)}}


@click.command()
@click.argument("name")
@click.option("--alpha", type=float, metavar="A", help="Depth's factor for one step φ.")
@click.option("--beta", type=float, metavar="B", help="Width's factor for one step φ.")
@click.option("--gamma", type=float, metavar="G", help="Resolution's factor for one step φ.")
@click.option("--shares", metavar="D,W,R", help="Shares of the growth for depth, width, resolution; they sum to 1.")
@click.option("--rule", metavar="RULE", help=f"A rule by name: {', '.join(RULES)}.")
@click.option("--phi", metavar="STEPS", help="Steps, e.g. 0..7, -2..2 or 1,2,4.")
@click.option("--macs", metavar="N,…", help="Budgets instead of steps, e.g. 1G or 10M,20M.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def scale(
    name: str,
    alpha: float | None,
    beta: float | None,
    gamma: float | None,
    shares: str | None,
    rule: str | None,
    phi: str | None,
    macs: str | None,
    as_json: bool,
) -> None:
    """Scale a classic by a rule, in steps φ or to budgets, and print each network with its exact cost.

    One step φ multiplies depth by alpha, width by beta, resolution by gamma; a rule given as shares or by name doubles
    the MACs with each step. Where the base has a published series, its members stand beside.

    \b
    Examples: scaler scale efficientnet_b0 --alpha 1.2 --beta 1.1 --gamma 1.15 --phi 0..7
              scaler scale vgg16 --shares 0.2,0.5,0.3 --macs 1G
    """
    base = classic(name)
    compound = _rule(alpha, beta, gamma, shares, rule)
    if (phi is None) == (macs is None):
        raise InputError("phi, macs: give one of them, e.g. --phi 0..7 or --macs 1G")
    if phi is not None:
        records = [_step(name, base, compound, step) for step in _steps(phi)]
    else:
        records = [_fitted(name, base, compound.shares(), limit) for limit in (macs or "").split(",")]
    if as_json:
        print_json(records)
    else:
        print_table(tuple(records[0]), [with_commas(record) for record in records])


def _rule(
    alpha: float | None, beta: float | None, gamma: float | None, shares: str | None, rule: str | None
) -> Compound:
    coefficients = (alpha, beta, gamma)
    given = [any(value is not None for value in coefficients), shares is not None, rule is not None]
    if sum(given) != 1:
        raise InputError("rule: give exactly one of --alpha --beta --gamma, --shares, or --rule")
    if shares is not None:
        try:
            depth, width, resolution = (float(share) for share in shares.split(","))
        except ValueError:
            raise InputError(f"shares: {shares!r} is not three numbers; write e.g. 0.2,0.5,0.3") from None
        return Shares(depth, width, resolution).compound()
    if rule is not None:
        return as_shares(rule).compound()
    if alpha is None or beta is None or gamma is None:
        raise InputError("alpha, beta, gamma: all three belong together; write 1 for an axis that does not grow")
    return Compound(alpha, beta, gamma)


def _steps(text: str) -> list[float]:
    first, dots, last = text.partition("..")
    try:
        steps = list(range(int(first), int(last) + 1)) if dots else [float(step) for step in text.split(",")]
    except ValueError:
        raise InputError(f"phi: {text!r} are no steps; write e.g. 0..7 or 1,2,4") from None
    if not steps:
        raise InputError(f"phi: {text!r} holds no step; write the smaller number first")
    return [int(step) if float(step).is_integer() else step for step in steps]


def _step(name: str, base: Architecture, rule: Compound, phi: float) -> dict[str, Any]:
    if abs(phi) > 20:
        raise InputError(f"phi: {phi:g} is out of range; give -20 to 20")
    network = base.scaled(depth=rule.alpha**phi, width=rule.beta**phi, resolution=rule.gamma**phi)
    record = {"phi": phi, **record_of(name, network), **_numbers(network)}
    if name in _PUBLISHED_SERIES:
        member = _PUBLISHED_SERIES[name].get(phi)
        published = CLASSICS[member].cost().macs if member else None
        record |= {
            "published": member,
            "published_resolution": CLASSICS[member].resolution if member else None,
            "published_macs": published,
            "difference_percent": round(100 * (network.cost().macs / published - 1), 1) if published else None,
        }
    return record


def _fitted(name: str, base: Architecture, shares: Shares, limit: str) -> dict[str, Any]:
    budget = Budget(macs=limit)
    network = fit_to_budget(base, shares, budget)
    used = round(100 * float(budget.usage(network.cost())), 2)
    return {
        "budget": format_quantity(budget.limits["macs"]),
        "used_percent": used,
        **record_of(name, network),
        **_numbers(network),
    }


def _numbers(network: Architecture) -> dict[str, str]:
    return {"depths": "-".join(map(str, network.depths)), "widths": "-".join(map(str, network.widths))}
