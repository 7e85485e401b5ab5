"""Arguments that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def study_argument(command: F) -> F:
    """The study: a folder, a .toml file, or a name (of results in runs/, or shipped)."""
    return click.argument("study")(command)


def storage_option(command: F) -> F:
    """Where the trials are kept."""
    return click.option(
        "--storage", metavar="URL", help="Storage of the trials, if not the file beside the results (SQLAlchemy URL)."
    )(command)


def executor_options(command: F) -> F:
    """Where networks are trained, and how many at a time: `executor`, `address`, `workers`."""
    for option in (
        click.option(
            "--workers",
            type=int,
            metavar="N",
            help="Networks trained at a time; by default as many as there is room for.",
        ),
        click.option(
            "--address",
            metavar="HOST:PORT",
            help="Ray cluster that trains the networks, or auto for the one of this machine; implies --executor ray.",
        ),
        click.option(
            "--executor",
            metavar="KIND",
            help="Where networks are trained: local, or ray (without --address a Ray of this machine's cores).",
        ),
    ):
        command = option(command)
    return command


def executor_overrides(executor: str | None, address: str | None, workers: int | None) -> dict[str, Any]:
    """What the options of `executor_options` change in a study file; each kind of executor has its own limit."""
    return {
        "executor.kind": executor or ("ray" if address else None),
        "executor.address": address,
        "executor.workers": workers,
        "executor.max_concurrent": workers,
    }
