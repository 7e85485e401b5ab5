"""The command that scales a network or a study's family by a rule: a series of networks with exact cost."""

import json
from pathlib import Path
from typing import Any

import click

from scaler.architecture import Architecture
from scaler.budget import Budget, format_quantity, parse_quantity
from scaler.cli.networks import load_named_study, record_of, with_commas
from scaler.cli.options import storage_option
from scaler.cli.output import print_json, print_table
from scaler.errors import InputError
from scaler.families import CLASSICS, classic
from scaler.scaling import AXES, RULES, Compound, Shares, as_shares, fit_to_budget

_PUBLISHED_SERIES: dict[str, dict[float, str]] = {"efficientnet_b0": {phi: f"efficientnet_b{phi}" for phi in range(8)}}


@click.command()
@click.argument("name", metavar="NAME|STUDY")
@click.option("--alpha", type=float, metavar="A", help="Depth's factor for one step φ.")
@click.option("--beta", type=float, metavar="B", help="Width's factor for one step φ.")
@click.option("--gamma", type=float, metavar="G", help="Resolution's factor for one step φ.")
@click.option("--shares", metavar="D,W,R", help="Shares of the growth for depth, width, resolution; they sum to 1.")
@click.option("--rule", metavar="RULE", help=f"A rule by name: {', '.join(RULES)}.")
@click.option("--phi", metavar="STEPS", help="Steps, e.g. 0..7, -2..2 or 1,2,4.")
@click.option("--macs", metavar="N,…", help="Budgets instead of steps, e.g. 1G or 10M,20M.")
@click.option("--to", "folder", metavar="DIR", help="Write each network to DIR, for scaler train STUDY --network FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@storage_option
def scale(
    name: str,
    alpha: float | None,
    beta: float | None,
    gamma: float | None,
    shares: str | None,
    rule: str | None,
    phi: str | None,
    macs: str | None,
    folder: str | None,
    as_json: bool,
    storage: str | None,
) -> None:
    """Scale a classic, or a study's family, by a rule, and print each network with its exact cost.

    One step φ multiplies depth by alpha, width by beta, resolution by gamma; a rule given as shares or by name doubles
    the MACs with each step. Where the base has a published series, its members stand beside.

    A study's rule, if none is given, is the one it has discovered (see scaler fit). Its networks are the largest within
    each budget; φ counts doublings of the study's own budget.

    \b
    Examples: scaler scale efficientnet_b0 --alpha 1.2 --beta 1.1 --gamma 1.15 --phi 0..7
              scaler scale vgg16 --shares 0.2,0.5,0.3 --macs 1G
              scaler scale studies/quickstart --phi 1..4 --to family
    """
    compound = _rule(alpha, beta, gamma, shares, rule)
    if name in CLASSICS:
        base = classic(name)
        if compound is None:
            raise InputError("rule: give exactly one of --alpha --beta --gamma, --shares, or --rule")
        _check_steps_or_budgets(phi, macs)
        if phi is not None:
            series = [_step(name, base, compound, step) for step in _steps(phi)]
        else:
            series = [_fitted(name, base, compound.shares(), limit) for limit in (macs or "").split(",")]
        note = ""
    else:
        series, note = _of_study(name, storage, compound, phi, macs)
    files = _write(series, folder)
    if as_json:
        print_json([{**record, "architecture": network.to_dict()} for network, record in series])
        return
    if note:
        click.echo(note)
    print_table(tuple(series[0][1]), [with_commas(record) for _, record in series])
    if files:
        study = name if note else "STUDY"
        click.echo(f"written: {', '.join(files)}; next: scaler train {study} --network {files[0]}")


def _check_steps_or_budgets(phi: str | None, macs: str | None) -> None:
    if (phi is None) == (macs is None):
        raise InputError("phi, macs: give one of them, e.g. --phi 0..7 or --macs 1G")


def _of_study(
    name: str, storage: str | None, compound: Compound | None, phi: str | None, macs: str | None
) -> tuple[list[tuple[Architecture, dict[str, Any]]], str]:
    """The series of a study by its discovered rule, or by the one given, and a line about the rule."""
    config = load_named_study(name, CLASSICS, "classic", {"storage.url": storage})
    _check_steps_or_budgets(phi, macs)
    from scaler.fitted import fit, scaled_series

    steps = _steps(phi) if phi is not None else []
    for step in steps:
        _check_step(step)
    if compound is None:
        optimum = fit(config).optimum
        rule = optimum.shares
        sure = f"discovered; the 95 % region of the best rule is {optimum.area:.0%} of all"
    else:
        rule, sure = compound.shares(), "as given"
    limits = None if macs is None else [parse_quantity("macs", limit) for limit in macs.split(",")]
    labels: list[dict[str, Any]] = [{"phi": step} for step in steps]
    if limits is not None:
        labels = [{"budget": format_quantity(limit)} for limit in limits]
    series = []
    for label, member in zip(labels, scaled_series(config, rule, limits=limits, phi=steps), strict=True):
        network = member.architecture
        series.append(
            (network, {**label, **record_of(member.model, network), **_numbers(network), "rule": member.rule})
        )
    shares = ", ".join(f"{axis} {share:.2f}" for axis, share in zip(AXES, rule.to_list(), strict=True))
    return series, f"rule: {shares} ({sure})"


def _write(series: list[tuple[Architecture, dict[str, Any]]], folder: str | None) -> list[str]:
    """Writes each network to a file of its name in the folder; returns the files, none without a folder."""
    if folder is None:
        return []
    files = []
    for network, record in series:
        label = record.get("phi", record.get("budget"))
        name = record["name"] if "rule" in record else f"{record['name']}-{label}"
        content = {"name": name, "rule": record.get("rule"), "architecture": network.to_dict()}
        file = Path(folder) / f"{name}.json"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--to: {file} cannot be written ({error.strerror}); name another folder") from None
        files.append(str(file))
    return files


def _rule(
    alpha: float | None, beta: float | None, gamma: float | None, shares: str | None, rule: str | None
) -> Compound | None:
    """The rule given, None without one."""
    coefficients = (alpha, beta, gamma)
    given = [any(value is not None for value in coefficients), shares is not None, rule is not None]
    if not any(given):
        return None
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


def _check_step(phi: float) -> None:
    if not abs(phi) <= 20:
        raise InputError(f"phi: {phi:g} is out of range; give -20 to 20")


def _step(name: str, base: Architecture, rule: Compound, phi: float) -> tuple[Architecture, dict[str, Any]]:
    _check_step(phi)
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
    return network, record


def _fitted(name: str, base: Architecture, shares: Shares, limit: str) -> tuple[Architecture, dict[str, Any]]:
    budget = Budget(macs=limit)
    network = fit_to_budget(base, shares, budget)
    used = round(100 * float(budget.usage(network.cost())), 2)
    return network, {
        "budget": format_quantity(budget.limits["macs"]),
        "used_percent": used,
        **record_of(name, network),
        **_numbers(network),
    }


def _numbers(network: Architecture) -> dict[str, str]:
    return {"depths": "-".join(map(str, network.depths)), "widths": "-".join(map(str, network.widths))}
