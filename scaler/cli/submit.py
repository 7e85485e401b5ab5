"""The command that runs a search on a Ray cluster from elsewhere."""

from typing import Any

import click

from scaler.cli.options import study_argument
from scaler.cli.studies import one_or_several, search
from scaler.errors import InputError

_NOT_SENT = {"executor": "submit runs on the cluster's Ray", "storage": "set SCALER_STORAGE on the cluster's head"}
_RESOLVED = ("study", "space", "name")  # read here, where the files are


@click.command(context_settings={"ignore_unknown_options": True})
@study_argument
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="[SEARCH'S OPTIONS]...")
@click.option("--address", required=True, metavar="URL", help="The cluster's dashboard, such as http://127.0.0.1:8265.")
@click.option("--folder", default="~/scaler", show_default=True, metavar="DIR", help="Where runs/ is on the cluster.")
@click.option(
    "--follow/--no-wait", "wait", default=True, help="Show the log until the search ends, or come back at once."
)
def submit(study: str, flags: tuple[str, ...], address: str, folder: str, wait: bool) -> None:
    """Run a search on a Ray cluster, as a job. STUDY and the other options are those of scaler search.

    The study and this scaler go along; images do not, and no storage: trials go where SCALER_STORAGE points on the
    cluster's head, or beside the results. The exit code is the search's. Ctrl-C stops the following, not the job.

    \b
    Examples: scaler submit studies/quickstart --address http://127.0.0.1:8265
              scaler submit quickstart --address http://127.0.0.1:8265 --trials 100 --resume --no-wait
    """
    given = _search_options(study, flags)
    from scaler import submission
    from scaler.config import load_study

    config = load_study(study, {"space": one_or_several(given["space"]), "name": given["name"]})
    client = submission.connect(address)
    job = submission.submit(client, config, _flags(given), folder)
    click.echo(f"job {job}: {config.name} goes to {folder}/runs/{config.name} on {address}", err=True)
    images = submission.needed_on_nodes(config)
    if images is not None:
        click.echo(f"images are not sent: every node reads them from {images}", err=True)
    if not wait:
        click.echo(f"follow it with ray job logs --address {address} --follow {job}")
        return
    try:
        code = submission.follow(client, job, lambda text: click.echo(text, nl=False))
    except KeyboardInterrupt:
        click.echo(
            f"scaler: the job goes on; ray job logs --address {address} --follow {job} shows it, "
            f"ray job stop --address {address} {job} ends it",
            err=True,
        )
        code = 130
    else:
        if code:
            click.echo(f"scaler: job {job} ended with exit code {code}; its log is above", err=True)
    click.get_current_context().exit(code)


def _search_options(study: str, flags: tuple[str, ...]) -> dict[str, Any]:
    """The options as `scaler search` reads them; raises `click.UsageError` as it does."""
    given = search.make_context("search", [study, *flags]).params
    for name, remedy in _NOT_SENT.items():
        if given.get(name) is not None:
            raise InputError(f"{name}: {remedy}; leave --{name} out")
    return given


def _flags(given: dict[str, Any]) -> list[str]:
    """The options to be given to `scaler search` on the cluster."""
    flags: list[str] = []
    for option in search.params:
        value = given.get(str(option.name))
        if option.name in _RESOLVED or value in (None, False):
            continue
        flags += [option.opts[0]] if value is True else [option.opts[0], str(value)]
    return flags
