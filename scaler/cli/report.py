"""Commands that show pictures: report, dashboard."""

import socket
import threading
from pathlib import Path

import click

from scaler.cli.options import storage_option, study_argument
from scaler.cli.output import quiet_optuna
from scaler.errors import InputError

_HOST = "127.0.0.1"


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


@click.command()
@study_argument
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port on this machine.")
@storage_option
def dashboard(study: str, port: int, storage: str | None) -> None:
    """Show a study in optuna-dashboard, on this machine alone, until Ctrl-C.

    \b
    Example: scaler dashboard studies/quickstart --port 8081
    """
    from scaler.config import load_study
    from scaler.study import existing_study, storage_of

    quiet_optuna()
    config = load_study(study, {"storage.url": storage})
    found = existing_study(config)
    if found is None:
        raise InputError(f"study: {config.name} has no results in {config.folder}; run scaler search first")
    try:
        from optuna_dashboard import run_server
    except ImportError:
        raise InputError("dashboard: optuna-dashboard is not installed; pip install 'scaler-nas[cluster]'") from None
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_HOST, port))
        except OSError as error:
            raise InputError(f"port: {port} cannot be used ({error.strerror}); give another --port") from None
    click.echo(f"http://{_HOST}:{port}/dashboard/studies/{found._study_id} shows {config.name}; Ctrl-C ends it")
    # In a thread of its own: in the middle of an answer the server swallows a Ctrl-C that reaches it.
    server = threading.Thread(target=run_server, args=(storage_of(found),), kwargs={"host": _HOST, "port": port})
    server.daemon = True
    server.start()
    server.join()
