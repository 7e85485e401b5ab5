"""The command that classifies pictures with an export."""

import csv
import io

import click
from rich.console import Console
from rich.progress import track

from scaler.cli.output import print_json, print_table
from scaler.errors import InputError


@click.command()
@click.argument("folder", metavar="DIR")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--top", type=int, default=5, show_default=True, help="How many of the most probable classes to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: file, label, probability.")
@click.option("--batch-size", type=int, default=64, show_default=True, help="Images in the network at a time.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read.")
def predict(
    folder: str, images: tuple[str, ...], top: int, as_json: bool, as_csv: bool, batch_size: int, skip_bad: bool
) -> None:
    """Classify images with the network that `scaler export` wrote to DIR.

    IMAGE is a file, a folder (searched to the bottom) or a quoted pattern. Images are prepared by timm's eval
    transform, as the network's test accuracy was measured.

    \b
    Examples: scaler predict exports/quickstart photos/ 'more/*.jpg'
              scaler predict exports/quickstart test/ --csv > submission.csv
    """
    if as_json and as_csv:
        raise InputError("--json: --csv is given as well; choose one of them")
    from scaler.prediction import Predictor, find_images

    files = find_images(images)
    bad: list[str] = []
    on_bad = (lambda file, reason: bad.append(f"{_printable(file)}: {reason}")) if skip_bad else None
    predictor = Predictor(folder)
    console = Console(stderr=True)
    found = list(
        track(
            predictor.predict(files, top=top, batch_size=batch_size, on_bad=on_bad),
            description="images",
            total=len(files),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
    )
    for line in bad:
        click.echo(f"left out: {line}", err=True)
    if bad:
        click.echo(f"{len(bad)} of {len(files)} images left out", err=True)
    if as_json:
        print_json(
            [
                {
                    "file": _printable(each.file),
                    "label": each.label,
                    "probability": each.probability,
                    "top": [{"label": label, "probability": probability} for label, probability in each.top],
                }
                for each in found
            ]
        )
    elif as_csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("file", "label", "probability"))
        writer.writerows((_printable(each.file), each.label, each.probability) for each in found)
        click.echo(text.getvalue(), nl=False)
    else:
        rows = [
            (
                _printable(each.file),
                each.label,
                f"{each.probability:.4f}",
                ", ".join(f"{label} {probability:.4f}" for label, probability in each.top[1:]),
            )
            for each in found
        ]
        print_table(("file", "label", "probability", "then"), rows)


def _printable(file: str) -> str:
    """A file's name with what is no UTF-8 in it replaced: such a name can be opened, but not printed."""
    return file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
