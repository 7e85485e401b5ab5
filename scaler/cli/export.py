"""The command that hands a network over."""

import click

from scaler.cli.options import storage_option, study_argument
from scaler.cli.output import quiet_optuna


@click.command()
@study_argument
@click.option("--trial", default="best", show_default=True, metavar="best|N|DIGEST", help="Which network.")
@click.option("--to", "folder", required=True, metavar="DIR", help="Folder to write.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@storage_option
def export(study: str, trial: str, folder: str, force: bool, storage: str | None) -> None:
    """Write a network's weights as a folder that timm loads, and prove it in a fresh process.

    \b
    Example: scaler export studies/quickstart --trial best --to exports/quickstart
    """
    from scaler.config import load_study
    from scaler.exporter import export as write

    quiet_optuna()
    found = write(load_study(study, {"storage.url": storage}), trial, folder, force=force)
    click.echo(
        f"{found.folder}: tier {found.tier}, weights from {found.weights}; loaded by timm in a fresh process: "
        f"largest difference of logits {found.max_difference} on {found.images} validation images"
    )
    click.echo(f'load it with timm.create_model("local-dir:{found.folder}", pretrained=True)')
