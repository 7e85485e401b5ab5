"""A pandas table in the formats that commands print it in."""

import html
import io
from typing import TYPE_CHECKING

from rich.console import Console

from scaler.cli.output import table_of, width

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "csv", "json", "markdown", "html")


def render(table: "pd.DataFrame", form: str) -> str:
    """The table as text that ends a line; `form` is one of `FORMATS`. CSV and JSON hold plain numbers."""
    if form == "csv":
        return table.to_csv(index=False)
    if form == "json":
        return table.to_json(orient="records", indent=2, force_ascii=False, date_format="iso") + "\n"
    from scaler.board.cells import cell

    columns = [str(column) for column in table.columns]
    rows = [
        [cell(column, value) for column, value in zip(columns, row, strict=True)]
        for row in table.itertuples(index=False, name=None)
    ]
    if form == "markdown":
        lines = [columns, ["---"] * len(columns), *([_markdown(cell) for cell in row] for row in rows)]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)
    if form == "html":
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
    text = io.StringIO()
    Console(file=text, width=width(), highlight=False).print(table_of(columns, rows))
    return text.getvalue()


def _markdown(cell: str) -> str:
    """The cell as text: no markup of its own, in one line."""
    return html.escape(cell, quote=False).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
