"""The page: everything inlined, so that it opens anywhere and asks nobody for anything."""

import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import itables
import pandas as pd
from itables.javascript import generate_init_offline_itables_html
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from scaler.board import COLUMNS
from scaler.board.cells import cell
from scaler.board.table import GROUP
from scaler.budget import format_quantity
from scaler.report.findings import Findings
from scaler.report.plots import PLOTS, Plot

_HERE = Path(__file__).parent
_COLUMNS = (
    *("rank", "model", "family", "source", "rule", "resolution", "depths", "widths", "macs", "params", "activations"),
    *("accuracy", "confirmed_accuracy", "test_accuracy", "test_std", "n_seeds", "published_top1", "pareto"),
    *("export_tier", "recipe", "data", "study"),
)
_PACKAGES = ("scaler-nas", "torch", "timm", "optuna", "ray", "pandas", "plotly")
_PLOTLY = {"responsive": True, "displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
_ROWS = 50
"""Rows of the table on one page of it."""
_MOST_ROWS = 2000
"""Discovered networks in the table: of more, those of the best ranks."""


def write_page(findings: Findings, to: Path, command: Sequence[str] = ()) -> None:
    """Writes the report; `command` is what it says it was made with. All names in it are escaped by the template."""
    templates = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    table = findings.table
    shown = table[(table["source"] != "discovered") | (table["rank"] <= _MOST_ROWS)]
    page = templates.get_template("page.html").render(
        title=f"scaler: {', '.join(parts.name for parts in findings.studies)}",
        question=_question(findings),
        answer=_answer(findings),
        plots=[plot for make in PLOTS.values() for plot in make(findings)],
        drawn=_drawn,
        board=_board(shown),
        cut=len(table) - len(shown),
        groups=len(findings.ranked[GROUP].drop_duplicates()),
        filters={name: list(dict.fromkeys(table[name].astype(str))) for name in ("family", "source")},
        unranked=findings.unranked,
        meanings={name: meaning for name, meaning in COLUMNS.items() if name in _COLUMNS},
        origin=_origin(findings, command),
        style=_own("page.css"),
        script=_own("page.js"),
        plotly=Markup(get_plotlyjs()),
        itables=Markup(generate_init_offline_itables_html(itables.options.dt_bundle)),
    )
    to.write_text(page, encoding="utf-8")


def command_line() -> list[str]:
    """The command that this process was started with, as one would type it."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def _own(name: str) -> Markup:
    """A file of ours as it is."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))


def _question(findings: Findings) -> str:
    config = findings.configs[0]
    families = ", ".join(dict.fromkeys(space.family for space in config.spaces))
    budgets = ", ".join(dict.fromkeys(str(config.budgets).replace(" | ", ", ") for config in findings.configs))
    return f"How should {budgets} of {families} be split over depth, width and resolution for {config.data.name}?"


def _answer(findings: Findings) -> str:
    best = findings.best
    if best is None:
        return "No network has run its full recipe yet."
    if best["n_seeds"]:
        measured = f"{best['test_accuracy']:.4f} test accuracy over {best['n_seeds']} seeds"
    else:
        measured = f"{best['accuracy']:.4f} validation accuracy, not confirmed yet"
    network = f"{best['model']} ({best['source']}, {best['resolution']} px, {format_quantity(best['macs'])} MACs)"
    return f"{network} comes first with {measured}{_split(findings)}."


def _split(findings: Findings) -> str:
    if findings.fit is None:
        return f"; no split could be fitted ({findings.no_fit})"
    found = findings.fit.optimum
    shares = ", ".join(
        f"{share:.0%} {axis}"
        for axis, share in zip(("depth", "width", "resolution"), found.shares.to_list(), strict=True)
    )
    return f"; the fitted best split is {shares}, and with 95 % confidence it lies in {found.area:.0%} of all splits"


def _drawn(plot: Plot) -> Markup:
    return Markup(plot.figure.to_html(full_html=False, include_plotlyjs=False, config=_PLOTLY, default_width="100%"))


def _board(rows: pd.DataFrame) -> Markup:
    """The table, as text, which DataTables sorts as the numbers that it spells; itables escapes what is in it."""
    table = rows[[*_COLUMNS]].dropna(axis="columns", how="all")
    drawn = itables.to_html_datatable(
        pd.DataFrame({name: [cell(name, value) for value in table[name]] for name in _COLUMNS if name in table}),
        connected=False,
        display_logo_when_loading=False,
        table_id="board",
        classes="display compact nowrap",
        paging=len(table) > _ROWS,
        pageLength=_ROWS,
        maxBytes=0,
        allow_html=False,
        text_in_header_can_be_selected=False,
        layout={"topStart": "search", "topEnd": None, "bottomStart": "info", "bottomEnd": "paging"},
        showIndex=False,
        order=[],
    )
    return Markup(drawn)


def _origin(findings: Findings, command: Sequence[str]) -> dict[str, str]:
    facts: dict[str, Any] = {
        "command": shlex.join(command),
        "trained on": ", ".join(sorted({str(device) for device in findings.ranked["device"].dropna()})),
        "page made on": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }
    for parts, config in zip(findings.studies, findings.configs, strict=True):
        facts[parts.name] = (
            f"data {parts.data}, {parts.recipe(config.recipe.epochs)}, sampler {config.search.sampler}, pruner "
            f"{config.search.pruner}, seed {config.search.seed}, {len(parts.trials[''])} trials"
        )
    return {name: value for name, value in facts.items() if value}
