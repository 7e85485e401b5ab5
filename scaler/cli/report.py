"""Commands that show pictures: report, dashboard."""

from pathlib import Path

import click

from scaler.cli.options import storage_option
from scaler.errors import InputError


@click.command()
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option("--to", "file", metavar="FILE", default="report.html", show_default=True, help="File to write.")
@click.option("--plot", metavar="NAME", help="Write one picture instead: front, triangle, curves, law or shapes.")
@storage_option
def report(studies: tuple[str, ...], file: str, plot: str | None, storage: str | None) -> None:
    """Write one offline HTML page: the answer, the triangle, accuracy against compute, and the whole table.

    \b
    Examples: scaler report studies/quickstart --to report.html
              scaler report studies/quickstart --plot triangle --to triangle.png
    """
    from scaler.config import load_study
    from scaler.report import gather, write_page, write_picture
    from scaler.report.page import command_line

    to = Path(file)
    if not to.parent.is_dir():
        raise InputError(f"to: there is no folder {to.parent} to write {to.name} in; make it, or name another")
    findings = gather(load_study(study, {"storage.url": storage}) for study in studies)
    if plot is not None:
        write_picture(findings, plot, to)
    else:
        write_page(findings, to, command_line())
    click.echo(f"{to}: {to.stat().st_size / 1e6:.1f} MB")
