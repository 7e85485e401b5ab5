"""Commands that set networks side by side: leaderboard, compare."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scaler.cli.networks import stage_table
from scaler.cli.options import storage_option
from scaler.cli.output import print_table
from scaler.cli.tables import FORMATS, render
from scaler.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from scaler.board.parts import Parts

SOURCES = ("discovered", "rule", "classic", "published")

_SHOWN = ("rank", "model", "source", "rule", "resolution", "depths", "widths", "macs", "params", "accuracy")
_CONFIRMED = ("confirmed_accuracy", "test_accuracy", "test_std", "n_seeds")
_BIGGER_IS_BETTER = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "confirmed_accuracy",
    "test_accuracy",
    "published_top1",
    "n_seeds",
    "images_per_second",
    "pareto",
)


@click.command()
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--family", metavar="NAME", help="Rows of this family alone.")
@click.option("--source", type=click.Choice(SOURCES), help="Rows of this source alone.")
@click.option("--max-macs", metavar="N", help="Rows of at most so many MACs, e.g. 3M.")
@click.option("--pareto", is_flag=True, help="Rows that no cheaper network beats.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="The first N rows of each table.")
@click.option("--sort", metavar="COLUMN", help="Order by a column, its best value first.")
@click.option("--published", is_flag=True, help="Add what torchvision publishes on ImageNet, apart and without a rank.")
@click.option("--sql", metavar="SELECT", help="Ask in SQL: tables leaderboard, trials, epochs, studies.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print.")
@storage_option
def leaderboard(
    studies: tuple[str, ...],
    family: str | None,
    source: str | None,
    max_macs: str | None,
    pareto: bool,
    top: int | None,
    sort: str | None,
    published: bool,
    sql: str | None,
    form: str,
    storage: str | None,
) -> None:
    """One table of discovered networks and baselines; without STUDY, over all results in runs/.

    Networks of the same data, recipe and objective are ranked among each other, others by themselves. The SQL is
    DuckDB's, one SELECT of at most 30 seconds; its four tables are all that it can see.

    \b
    Examples: scaler leaderboard studies/quickstart --source discovered --top 5
              scaler leaderboard --sql "select model, macs, accuracy from leaderboard where pareto order by macs"
    """
    read = _read(studies, storage)
    if sql is not None:
        _answer(read, sql, published, form)
        return
    from scaler.board import leaderboard as make_table
    from scaler.board import unranked

    table = make_table(read, published=published)
    table = _filtered(table, family, source, max_macs, pareto)
    if sort is not None:
        if sort not in table.columns:
            raise unknown("sort", sort, table.columns)
        table = table.sort_values(sort, ascending=sort not in _BIGGER_IS_BETTER, kind="stable", ignore_index=True)
    groups = table.groupby(_groups(table), sort=False, dropna=False)
    if top is not None:
        table = groups.head(top).reset_index(drop=True)
    if form in ("csv", "json"):
        click.echo(render(table, form), nl=False)
        return
    _show(table, form)
    if form == "table":
        for line in unranked(read):
            click.echo(f"not ranked: {line}")


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--study", "studies", multiple=True, metavar="STUDY", help="Where to look for models; else all in runs/.")
@storage_option
def compare(first: str, second: str, studies: tuple[str, ...], storage: str | None) -> None:
    """Set two models side by side: cost, accuracy, and stage by stage where the MACs go.

    A and B are models or digests in the leaderboard, or classics by their names.

    \b
    Example: scaler compare "quickstart#8" resnet50
    """
    from scaler.board.compare import compare as compare_models

    has_results = bool(studies) or any(Path("runs").glob("*/study.toml"))
    found = compare_models(_read(studies, storage) if has_results else [], first, second)
    rows = [(name, *values) for name, values in found.facts.items()]
    print_table(("", *found.models, "ratio"), rows)
    for model, network in zip(found.models, found.networks, strict=True):
        click.echo(model)
        print_table(*stage_table(network))


def _read(studies: tuple[str, ...], storage: str | None) -> "list[Parts]":
    names = list(studies) or sorted(file.parent.name for file in Path("runs").glob("*/study.toml"))
    if not names:
        raise InputError("study: there are no results in runs/; run scaler search first, or name a study")
    from scaler.board.parts import parts_of
    from scaler.config import load_study

    return [parts_of(load_study(name, {"storage.url": storage})) for name in names]


def _answer(read: "list[Parts]", sql: str, published: bool, form: str) -> None:
    from scaler.board.frames import frames
    from scaler.board.sql import ROWS, query

    found = query(frames(read, published=published), sql)
    click.echo(render(found.table, form), nl=False)
    if found.cut:
        click.echo(f"the first {ROWS:,} rows; add a limit or an aggregate to the query", err=True)


def _filtered(
    table: "pd.DataFrame", family: str | None, source: str | None, max_macs: str | None, pareto: bool
) -> "pd.DataFrame":
    from scaler.budget import parse_quantity
    from scaler.families import FAMILIES

    if family is not None:
        if family not in FAMILIES:
            raise unknown("family", family, FAMILIES)
        table = table[table["family"] == family]
    if source is not None:
        table = table[table["source"] == source]
    if max_macs is not None:
        table = table[table["macs"] <= parse_quantity("max-macs", max_macs)]
    if pareto:
        table = table[table["pareto"].fillna(False)]
    return table.reset_index(drop=True)


def _groups(table: "pd.DataFrame") -> list[object]:
    """What rows must share to stand in one table; published ones stand in one, whatever their recipes."""
    from scaler.board.table import GROUP

    is_published = table["source"] == "published"
    return [table[column].mask(is_published, "") for column in GROUP]


def _show(table: "pd.DataFrame", form: str) -> None:
    """A table for each group of comparable rows, under a line that says what they share if there are several."""
    parts = [part for _, part in table.groupby(_groups(table), sort=False, dropna=False)]
    if not parts:
        click.echo("no row is left; ask for less")
    for part in parts:
        row = part.iloc[0]
        columns = [*_SHOWN, *(_CONFIRMED if part["n_seeds"].any() else ())]
        if row["source"] == "published":
            columns = ["model", "resolution", "depths", "macs", "params", "activations", "published_top1", "recipe"]
            title = f"published, {row['data']}: other data and other recipes, not ranked"
        else:
            title = f"data {row['data']}, {row['recipe']}, by {row['objective']}"
        if len(parts) > 1 or row["source"] == "published":
            click.echo(f"\n{title}\n" if form == "markdown" else title)
        click.echo(render(part[columns], form), nl=False)
