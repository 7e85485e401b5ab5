"""The `scaler` command: its subcommands, and how their ends become exit codes."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from scaler import __version__
from scaler.cli.data import data
from scaler.cli.export import export
from scaler.cli.fit import fit
from scaler.cli.leaderboard import compare, leaderboard
from scaler.cli.networks import classics, describe, families
from scaler.cli.predict import predict
from scaler.cli.report import dashboard, report
from scaler.cli.scale import scale
from scaler.cli.status import reap, status
from scaler.cli.studies import baselines, confirm, search
from scaler.cli.submit import submit
from scaler.cli.training import train
from scaler.errors import InputError, WorkError, nearest


class _Group(click.Group):
    """Commands in the order of use; an unknown one is answered with the nearest name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(f"command: {args[0]!r} is unknown{nearest(args[0], self.commands)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="scaler")
def cli() -> None:
    """Finds how to split a compute budget over the depth, width and resolution of a convolutional network.

    \b
    scaler search quickstart        search the split for a budget
    scaler baselines quickstart     train what it is measured against
    scaler confirm quickstart       retrain the winner and measure its test accuracy
    scaler leaderboard quickstart   see them side by side
    scaler fit quickstart           see which split is best, and how sure that is
    scaler report quickstart        see it all on one page
    scaler train quickstart         train the winner to the end
    scaler export quickstart        hand the winner over to timm
    scaler predict DIR IMAGE...     classify images with it
    """


_COMMANDS = (
    families,
    classics,
    describe,
    scale,
    data,
    search,
    submit,
    status,
    reap,
    baselines,
    confirm,
    leaderboard,
    compare,
    fit,
    report,
    dashboard,
    train,
    export,
    predict,
)
for command in _COMMANDS:
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 1 the work failed, 2 wrong input, 130 interrupted."""
    try:
        code = cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except InputError as error:
        _leave(str(error), 2)
    except click.ClickException as error:
        help_of = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "scaler"
        _leave(f"{' '.join(error.format_message().split()).rstrip('.')}; see {help_of} --help", 2)
    except WorkError as error:
        _leave(str(error), 1)
    except (click.Abort, KeyboardInterrupt):
        _leave("interrupted; what had finished is kept, and the same command with --resume goes on", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _leave(message: str, code: int) -> NoReturn:
    click.echo(f"scaler: {message}", err=True)
    sys.exit(code)
