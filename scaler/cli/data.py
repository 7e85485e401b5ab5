"""The command that shows what a study learns from."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scaler.cli.options import study_argument
from scaler.cli.output import print_json, print_table
from scaler.errors import InputError

if TYPE_CHECKING:
    from scaler.data.overview import Overview
    from scaler.data.source import Source

_LISTED = 20


@click.command()
@study_argument
@click.option("--to", "picture", metavar="PICTURE", help="Write a contact sheet: training images of every class.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data(study: str, picture: str | None, as_json: bool) -> None:
    """Show what a study learns from: classes, splits, balance, image sizes, files that cannot be read.

    \b
    Examples: scaler data studies/quickstart
              scaler data studies/quickstart --to digits.png
    """
    if picture is not None:
        _check_picture(picture)
    from scaler.config import load_study
    from scaler.data import load_data, open_source
    from scaler.data.overview import overview
    from scaler.workflow import domain_of

    config = load_study(study)
    # Whatever the study says about bad files: here they are to be listed, not to end the command at the first ones
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, bad_images="skip"))
    source = open_source(config.data)
    # At the size at which a search wants the images, so that they are decoded once for both
    found = overview(source, load_data(source, domain_of(config, source).largest_resolution))
    if as_json:
        print_json(_record(found))
    else:
        _print(found)
    if picture is not None:
        _write_sheet(source, found, picture, quiet=as_json)


def _check_picture(picture: str) -> None:
    """Raises `InputError` before the work if the sheet could not be written after it."""
    from PIL import Image

    Image.init()
    if Path(picture).suffix.lower() not in Image.EXTENSION or Path(picture).is_dir():
        raise InputError(f"--to: {picture} is no name of a picture; end it in .png or .jpg")
    if not Path(picture).absolute().parent.is_dir():
        raise InputError(f"--to: there is no folder {Path(picture).parent}; make it or name another")


def _write_sheet(source: "Source", found: "Overview", picture: str, quiet: bool) -> None:
    from scaler.data.sheet import contact_sheet

    sheet = contact_sheet(source, found.counts["train"])
    try:
        sheet.image.save(picture)
    except OSError as error:
        raise InputError(f"--to: {picture} cannot be written ({error.strerror or error}); name another") from None
    shown = f"{sheet.classes} of {len(source.classes)} classes"
    how = (
        f"named in {sheet.font}"
        if sheet.font
        else "numbered as in the table: no font here has the letters of their names (Noto Sans CJK has many)"
    )
    click.echo(f"{picture}: {shown}, {how}", err=quiet)


def _print(found: "Overview") -> None:
    sizes = found.sizes
    kind = "grey" if found.channels == 1 else "colour"
    click.echo(f"{found.name}: {sum(found.totals):,} {kind} images of {len(found.classes)} classes")
    rows = [
        (index, name, *(f"{count:,}" for count in counts))
        for index, (name, *counts) in enumerate(zip(found.classes, *found.counts.values(), found.totals, strict=True))
    ]
    sums = (f"{sum(counts):,}" for counts in (*found.counts.values(), found.totals))
    print_table(("#", "class", *found.counts, "all"), [*rows, ("", "all", *sums)])
    largest, smallest = max(found.totals), min(found.totals)
    click.echo(
        f"balance: the largest class has {found.imbalance:.2f} times the images of the smallest "
        f"({found.classes[found.totals.index(largest)]}: {largest:,}; "
        f"{found.classes[found.totals.index(smallest)]}: {smallest:,})"
    )
    click.echo(f"training pixels, from 0 to 1: mean {_joined(found.mean)}, standard deviation {_joined(found.std)}")
    click.echo(
        f"root network: {found.resolution} px, {found.channels} channel{'s' if found.channels > 1 else ''}; "
        f"a mirrored image is {'' if found.flip else 'not '}taken to be of its class"
    )
    click.echo(
        f"sizes of {sizes.sampled:,} images: width {_range(sizes.width)}, height {_range(sizes.height)}; "
        f"{sizes.grey:,} grey, {sizes.sampled - sizes.grey:,} colour"
    )
    print_table(
        ("shorter side", "images", "share"),
        [
            (
                f"{low:,} to {high - 1:,} px",
                f"{count:,}",
                f"{count / sizes.sampled:4.0%} " + "█" * round(30 * count / sizes.sampled),
            )
            for low, high, count in sizes.shorter_side
        ],
    )
    for line in found.skipped[:_LISTED]:
        click.echo(f"left out: {line}")
    if len(found.skipped) > _LISTED:
        click.echo(f"left out: {len(found.skipped) - _LISTED:,} more; --json names them all")


def _joined(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _range(values: tuple[int, float, int]) -> str:
    smallest, median, largest = values
    return f"{smallest:,} px" if smallest == largest else f"{smallest:,} to {largest:,} px (median {median:,.0f})"


def _record(found: "Overview") -> dict[str, object]:
    def extent(values: tuple[int, float, int]) -> dict[str, float]:
        return dict(zip(("min", "median", "max"), values, strict=True))

    return {
        "name": found.name,
        "channels": found.channels,
        "resolution": found.resolution,
        "flip": found.flip,
        "mean": found.mean,
        "std": found.std,
        "images": {**{name: sum(counts) for name, counts in found.counts.items()}, "all": sum(found.totals)},
        "classes": [
            {"class": name, **{split: counts[index] for split, counts in found.counts.items()}}
            for index, name in enumerate(found.classes)
        ],
        "imbalance": found.imbalance,
        "sizes": {
            "sampled": found.sizes.sampled,
            "grey": found.sizes.grey,
            "width": extent(found.sizes.width),
            "height": extent(found.sizes.height),
            "shorter_side": [
                {"from": low, "to": high - 1, "images": count} for low, high, count in found.sizes.shorter_side
            ],
        },
        "skipped": found.skipped,
    }
