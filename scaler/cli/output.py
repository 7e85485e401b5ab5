"""How commands print: tables and JSON."""

import json
import logging
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from scaler.config import StudyConfig


def quiet_optuna() -> None:
    """Optuna's own lines give way to what the command prints."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)


def log_to_folder(config: "StudyConfig", *, echo: bool = False) -> None:
    """scaler's log goes beside the results, and with `echo` to standard error as well, until the command ends."""
    from scaler.study import writable_folder

    file = logging.FileHandler(writable_folder(config) / "scaler.log", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handlers: list[logging.Handler] = [file, *([logging.StreamHandler()] if echo else [])]
    logger = logging.getLogger("scaler")
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)

    def close() -> None:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
        file.close()

    click.get_current_context().call_on_close(close)


def print_json(value: Any) -> None:
    """Prints a record, or a list of them, as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Prints rows under a header: numbers to the right; wide tables are not cut when the output is no terminal."""
    Console(width=width(), highlight=False).print(table_of(columns, rows, title))


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Rows under a header, as text: a name such as [b].png is no markup."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in cells if row[index])
        table.add_column(Text(column), justify="right" if numeric and cells else "left", no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def width() -> int:
    """Columns that fit: a terminal's, any number elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit()
