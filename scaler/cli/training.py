"""The command that trains one network to the end."""

import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scaler.cli.options import storage_option, study_argument
from scaler.cli.output import log_to_folder, quiet_optuna
from scaler.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from scaler.training import Epoch


@click.command()
@study_argument
@click.option("--trial", default="best", show_default=True, metavar="best|N|DIGEST", help="Network of the search.")
@click.option("--network", metavar="NAME|FILE|DIR", help="A classic, a .json of scaler scale --to, or an export.")
@click.option(
    "--baseline", metavar="NAME", help="A baseline: depth, width, resolution, uniform, compound, fast or classic."
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Epochs, if not those of the recipe.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed; by default one the search has not used.")
@click.option("--init", metavar="DIR|timm:NAME", help="Begin with the weights of an export, or timm's, that fit.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="Processes, one a device.")
@click.option("--test", is_flag=True, help="Measure the test split at the end.")
@storage_option
def train(
    study: str,
    trial: str,
    network: str | None,
    baseline: str | None,
    epochs: int | None,
    seed: int | None,
    init: str | None,
    devices: int,
    test: bool,
    storage: str | None,
) -> int:
    """Train one network of a study to the end; the same command goes on after an interruption.

    Several machines train together when torchrun starts the command on each.

    \b
    Examples: scaler train studies/quickstart --epochs 50 --test
              scaler train studies/quickstart --network resnet18 --devices 2
              scaler train studies/quickstart --network family/quickstart-6M.json
              scaler train flowers.toml --network exports/best --init exports/best
              scaler train flowers.toml --network resnet18 --init timm:resnet18.a1_in1k
              torchrun --nnodes 2 --nproc-per-node 8 -m scaler train studies/quickstart --epochs 300
    """
    from scaler.config import load_study
    from scaler.distributed import joined, launch
    from scaler.final import train_final

    quiet_optuna()
    config = load_study(study, {"storage.url": storage})
    with joined() as group:
        if devices > 1 and group.size == 1:
            options = {
                "trial": trial,
                "network": network,
                "baseline": baseline,
                "epochs": epochs,
                "seed": seed,
                "init": init,
                "storage": storage,
            }
            given = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
            return launch(
                devices, [sys.executable, "-m", "scaler", "train", study, *given, *(["--test"] if test else [])]
            )
        if devices > 1 and group.size != devices:
            raise InputError(f"devices: {devices}, but torchrun started {group.size} processes; leave it out")
        if group.leads:
            log_to_folder(config, echo=True)
        with _Progress(shown=group.leads) as progress:
            final = train_final(
                config,
                trial,
                network=network,
                baseline=baseline,
                epochs=epochs,
                seed=seed,
                test=test,
                init=init,
                group=group,
                watch=progress.note,
            )
    if group.leads:
        tested = ""
        if final.result.test_accuracy is not None:
            tested = f", test accuracy {final.result.test_accuracy:.4f} on {final.result.test_images} images"
        if final.initial is not None:
            click.echo(f"began with {final.initial}")
        click.echo(
            f"{final.result.objective} {final.result.value:.4f} after {final.result.epochs} epochs"
            f" (best {final.best_value:.4f} after {final.best_epoch}){tested}\n"
            f"weights: {final.folder / 'last.safetensors'}, {final.folder / 'best.safetensors'}\n"
            f"history: tensorboard --logdir {final.folder / 'tensorboard'}"
        )
    return 0


class _Progress:
    """A line for each epoch, and on a terminal a bar with the time left."""

    def __init__(self, *, shown: bool) -> None:
        self._console = Console(highlight=False, soft_wrap=True, quiet=not shown)
        self._bar = Progress(
            TextColumn("epoch"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, epoch: "Epoch", model: "nn.Module") -> None:
        """Shows an epoch that has ended."""
        self._bar.update(self._task, completed=epoch.epoch, total=epoch.epochs)
        self._console.print(
            f"{epoch.epoch:>4}/{epoch.epochs}  loss {epoch.loss:.4f}  accuracy {epoch.scores.accuracy:.4f}  "
            f"{epoch.images_per_second:,.0f} images/s  {epoch.memory / 1e9:.1f} GB"
        )
