"""Commands about results: leaderboard, export."""

from pathlib import Path

import click

from scaler.cli.options import storage_option, study_argument
from scaler.cli.output import print_table, quiet_optuna
from scaler.errors import InputError

_SHOWN = ("rank", "model", "source", "rule", "resolution", "depths", "widths", "macs", "params", "accuracy")
_FORMATS = ("table", "csv", "json", "markdown")


@click.command()
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--format", "form", type=click.Choice(_FORMATS), default="table", show_default=True, help="How to print.")
@storage_option
def leaderboard(studies: tuple[str, ...], form: str, storage: str | None) -> None:
    """One table of discovered networks and baselines; without STUDY, over all results in runs/.

    \b
    Example: scaler leaderboard studies/quickstart --format csv
    """
    names = list(studies) or sorted(file.parent.name for file in Path("runs").glob("*/study.toml"))
    if not names:
        raise InputError("study: there are no results in runs/; run scaler search first, or name a study")
    from scaler.board import leaderboard as make_table
    from scaler.board import unranked
    from scaler.config import load_study

    configs = [load_study(name, {"storage.url": storage}) for name in names]
    table = make_table(configs)
    if form == "csv":
        click.echo(table.to_csv(index=False), nl=False)
    elif form == "json":
        click.echo(table.to_json(orient="records", indent=2, force_ascii=False))
    else:
        confirmed = ("confirmed_accuracy", "test_accuracy", "test_std", "n_seeds") if table["n_seeds"].any() else ()
        shown = table[[*_SHOWN, *confirmed]].copy()
        for column in ("macs", "params"):
            shown[column] = [f"{value:,}" for value in shown[column]]
        for column in ("accuracy", *confirmed[:3]):
            shown[column] = [f"{value:.4f}" if value == value else "" for value in shown[column]]
        rows = [[str(value) for value in row] for row in shown.itertuples(index=False)]
        if form == "markdown":
            lines = [list(shown.columns), ["---"] * len(shown.columns), *rows]
            click.echo("\n".join("| " + " | ".join(line) + " |" for line in lines))
        else:
            print_table(list(shown.columns), rows)
            for line in unranked(configs):
                click.echo(f"not ranked: {line}")


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
