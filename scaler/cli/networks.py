"""Commands about networks as data: families, classics, describe."""

import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from scaler.architecture import Architecture
from scaler.budget import Budget
from scaler.cli.output import print_json, print_table
from scaler.errors import InputError, unknown
from scaler.families import CLASSICS, FAMILIES
from scaler.memory import training_bytes
from scaler.region import Triangle

if TYPE_CHECKING:
    from scaler.config import StudyConfig

_DRAWN = 500
"""Networks of a space among which the one that takes most memory is looked for."""
_GPU, _CUDA = 16e9, 0.6e9
"""Bytes of a usual GPU, and what CUDA takes of them for each process."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def families(as_json: bool) -> None:
    """List the families of networks that scaler scales.

    \b
    Example: scaler families
    """
    rows = [
        (name, [classic for classic, network in CLASSICS.items() if network.family == name], _knobs(cls))
        for name, cls in FAMILIES.items()
    ]
    if as_json:
        print_json([{"family": name, "classics": members, "knobs": knobs} for name, members, knobs in rows])
    else:
        print_table(
            ("family", "knobs", "classics"),
            [(name, ", ".join(knobs), ", ".join(members)) for name, members, knobs in rows],
        )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def classics(as_json: bool) -> None:
    """List the classic networks with their exact cost.

    \b
    Example: scaler classics --json
    """
    records = [record_of(name, network) for name, network in CLASSICS.items()]
    if as_json:
        print_json(records)
    else:
        print_table(tuple(records[0]), [with_commas(record) for record in records])


@click.command()
@click.argument("name", metavar="NAME|STUDY")
@click.option("--depth", type=float, default=1.0, help="Factor on the number of blocks.")
@click.option("--width", type=float, default=1.0, help="Factor on the channels.")
@click.option("--resolution", type=int, metavar="PIXELS", help="Side of the input image.")
@click.option("--layers", is_flag=True, help="Print every layer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def describe(name: str, depth: float, width: float, resolution: int | None, layers: bool, as_json: bool) -> None:
    """Show a network's exact cost and stages, or a study's question.

    \b
    Examples: scaler describe resnet50 --width 0.5 --resolution 160
              scaler describe studies/quickstart
    """
    if name not in CLASSICS:
        _describe_study(name, as_json)
        return
    network = CLASSICS[name].scaled(depth=depth, width=width)
    if resolution is not None:
        network = network.replace(resolution=resolution)
    if as_json:
        print_json(record_of(name, network))
        return
    print_table(tuple(record_of(name, network)), [with_commas(record_of(name, network))])
    if layers:
        rows = [(la.name, la.kind, f"{la.channels}×{la.side}×{la.side}", *_costs(la.cost)) for la in network.layers()]
        rows.append(("total", "", "", *_costs(network.cost())))
        print_table(("layer", "kind", "output", "macs", "params", "activations"), rows)
    else:
        print_table(("width", "channels"), zip(network.width_names, network.widths, strict=True))
        print_table(("stage", "blocks"), enumerate(network.depths, start=1))


def stage_table(network: Architecture) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Columns and rows of where a network's cost goes, a row for each size of its maps."""
    total = network.cost()
    rows = []
    for side, group in itertools.groupby(network.layers(), key=lambda layer: layer.side):
        layers = list(group)
        macs, params = (sum(getattr(layer.cost, name) for layer in layers) for name in ("macs", "params"))
        rows.append(
            (
                f"{side}×{side}",
                sum(layer.kind != "pool" for layer in layers),
                max(layer.channels for layer in layers),
                f"{macs:,}",
                f"{macs / total.macs:.1%}",
                f"{params:,}",
                f"{params / total.params:.1%}",
            )
        )
    return ("output", "layers", "channels", "macs", "of macs", "params", "of params"), rows


def _describe_study(name: str, as_json: bool) -> None:
    config = load_named_study(name, CLASSICS, "network or study")
    from scaler.workflow import domain_of

    domain = domain_of(config)
    regions: list[dict[str, Any]] = []
    most = 0
    for (_, space, setting), region in domain.regions():
        chosen = config.spaces[space].settings()[setting]
        _, drawn = region.draw(np.random.default_rng(0), _DRAWN)
        most = max(most, training_bytes(region.base.costs(drawn), config.recipe.batch_size))
        regions.append(
            {
                **record_of(f"{domain.label(space)} base", region.base),
                "depths": region.base.depths,
                "widths": region.base.widths,
                "budget": region.budget.limits,
                "choices": chosen,
                "factor": round(1 / float(region.budget.usage(region.base.cost())), 4),
                "networks": len(region.every()[0]) if isinstance(region, Triangle) else None,
            }
        )
    if as_json:
        print_json({"name": config.name, "budget": config.budgets.to_table(), "bases": regions, "training_bytes": most})
        return
    families = ", ".join(dict.fromkeys(space.family for space in config.spaces))
    click.echo(f"Study {config.name}: how to split {config.budgets} over depth, width and resolution of {families}.")
    click.echo(f"Data {config.data.name}, {config.recipe.epochs} epochs, {config.search.trials} trials.")
    click.echo("Every network grows one of these bases by its factor, to the budget:")
    with_choices = any(row["choices"] for row in regions)
    rows: list[dict[str, Any]] = []
    for row in regions:
        choices = ", ".join(f"{key}={value}" for key, value in row.pop("choices").items())
        shown: dict[str, Any] = {
            **row,
            "budget": str(Budget(**row["budget"])),
            "depths": "-".join(map(str, row["depths"])),
            "widths": "-".join(map(str, row["widths"])),
            "networks": "many" if row["networks"] is None else row["networks"],
        }
        rows.append(shown | ({"choices": choices} if with_choices else {}))
    print_table(tuple(rows[0]), [with_commas(row) for row in rows])
    part = math.ceil(100 * (most + _CUDA) / _GPU) / 100
    click.echo(
        f"Training the largest takes at most about {most / 1e9:.2g} GB with a batch of {config.recipe.batch_size}: "
        f"of a GPU of {_GPU / 1e9:g} GB, executor.gpus_per_trial = {part:g} is enough."
    )


def load_named_study(
    name: str, networks: Iterable[str], kind: str, overrides: Mapping[str, Any] | None = None
) -> "StudyConfig":
    """The study of a name that is none of `networks`; raises `InputError`, naming both if it is no study either."""
    try:
        from scaler.config import load_study

        return load_study(name, overrides)
    except InputError as error:
        looks_like_study = Path(name).exists() or "/" in name or name.endswith(".toml")
        raise error if looks_like_study else unknown(kind, name, networks) from None


def _knobs(cls: type[Architecture]) -> list[str]:
    shared = {"depths", "widths", "resolution", "num_classes", "in_channels"}
    return [name for name in cls.__dataclass_fields__ if name not in shared]


def record_of(name: str, network: Architecture) -> dict[str, Any]:
    """A network's name, family, resolution and exact cost."""
    cost = network.cost()
    return {
        "name": name,
        "family": network.family,
        "resolution": network.resolution,
        "macs": cost.macs,
        "params": cost.params,
        "activations": cost.activations,
    }


def with_commas(record: dict[str, Any]) -> list[Any]:
    """A record's values for a table, whole numbers with thousands separators."""
    return [f"{value:,}" if isinstance(value, int) else value for value in record.values()]


def _costs(cost: Any) -> tuple[str, str, str]:
    return f"{cost.macs:,}", f"{cost.params:,}", f"{cost.activations:,}"
