"""Commands about a search that others run: status, reap."""

import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scaler.budget import format_quantity
from scaler.cli.options import storage_option, study_argument
from scaler.cli.output import print_json, quiet_optuna
from scaler.errors import InputError

if TYPE_CHECKING:
    from scaler.status import Status

_EVERY = 2.0
"""Seconds between two looks."""


@click.command()
@study_argument
@click.option("--watch", is_flag=True, help="Look again every two seconds, until the search is over.")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@storage_option
def status(study: str, watch: bool, as_json: bool, storage: str | None) -> None:
    """Show what a search is doing, from any shell that reaches its storage.

    \b
    Examples: scaler status studies/quickstart --watch
              scaler status quickstart --json --storage postgresql://scaler@db/scaler
    """
    quiet_optuna()
    from scaler.config import load_study
    from scaler.status import read_status

    config = load_study(study, {"storage.url": storage})
    found = read_status(config)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    console = Console(highlight=False, soft_wrap=True)
    if not watch:
        console.print(_view(found))
        return
    with Live(_view(found), console=console, auto_refresh=False) as live:
        while not found.is_over:
            time.sleep(_EVERY)
            found = read_status(config)
            live.update(_view(found), refresh=True)


@click.command()
@study_argument
@click.option("--force", is_flag=True, help="Free what living drivers evaluate as well; they drop what comes of it.")
@storage_option
def reap(study: str, force: bool, storage: str | None) -> None:
    """Queue again what dead drivers have left, without waiting for the next search to do it.

    \b
    Example: scaler reap studies/quickstart
    """
    quiet_optuna()
    from scaler.config import load_study
    from scaler.leases import leases
    from scaler.leases import reap as free
    from scaler.storage import redacted
    from scaler.study import claimed, existing_study

    config = load_study(study, {"storage.url": storage})
    parts = [part for part in (existing_study(config, name) for name in ("", "baselines", "confirm")) if part]
    if not parts:
        raise InputError(
            f"study: {config.name} has no trials in {redacted(config.storage_url)}; run scaler search first"
        )
    dead = [trial for part in parts for trial in claimed(part, partial(free, part, force=force))]
    freed = [trial.user_attrs.get("model", f"#{trial.number}") for trial in dead]
    alive = sum(len(leases(part)) for part in parts)
    click.echo(f"{len(freed)} networks queued again{': ' if freed else ''}{', '.join(freed)}")
    if alive:
        click.echo(f"{alive} are being evaluated by living drivers; --force queues them again as well")


def _view(found: "Status") -> Group:
    """A line for each network in training over the figures of the whole."""
    table = Table.grid(padding=(0, 2))
    for network in sorted(found.running, key=lambda network: network.number):
        spoke = "never" if network.silent is None else f"{network.silent:.0f} s ago"
        table.add_row(
            f"#{network.number}",
            f"{format_quantity(network.macs)} MACs",
            f"epoch {network.epoch}/{network.epochs}",
            f"accuracy {network.accuracy:.4f}" if network.accuracy is not None else "",
            Text(network.driver or "unknown driver"),
            f"dead, last beat {spoke}" if network.is_dead else f"last beat {spoke}",
        )
    parts = [
        f"{found.finished}/{found.trials} networks",
        f"{len(found.running)} running",
        f"{found.queued} queued",
        f"{found.completed} completed",
        f"{found.stopped} stopped early",
        f"{found.failed} failed",
    ]
    figures = []
    if found.best is not None:
        figures.append(f"best {found.best[0]:.4f} (#{found.best[1]})")
    if found.budget_use is not None:
        figures.append(f"{found.budget_use:.1%} of the budget used")
    if found.images_per_second is not None:
        figures.append(f"about {found.images_per_second:,.0f} images/s")
    if found.seconds_left:
        figures.append(f"about {_duration(found.seconds_left)} left")
    reasons = [Text(f"failed {count} ×: {reason}") for reason, count in found.failures.items()]
    lines = [Text("  ".join(line)) for line in (parts, figures) if line]
    return Group(*([table] if found.running else []), *lines, *reasons)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
