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


def workers_option(command: F) -> F:
    """How many networks are trained at a time."""
    return click.option(
        "--workers", type=int, metavar="N", help="Networks trained at a time; by default as many as suit the machine."
    )(command)
