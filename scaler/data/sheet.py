"""A contact sheet: some training pictures of every class in one picture, to see what a network is to learn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from scaler.data.fonts import Font, find_font
from scaler.data.pictures import BadPictureError
from scaler.data.source import Source

_SIDE = 96
_GAP = 6
_MARGIN = 24
_BETWEEN = 28
_LETTERS = 18
_CAPTION = 30
_CLASSES = 100
_SAMPLES = 8
_SHAPE = 1.5  # width to height that a sheet should have
_BACKGROUND, _CELL, _INK, _PALE = (255, 255, 255), (242, 242, 242), (30, 30, 30), (120, 120, 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A contact sheet.

    image    the picture, RGB
    font     the font in which the classes are named; None if no font here has their letters: then they are numbered
    classes  how many classes are shown, the first ones
    """

    image: Image.Image
    font: str | None
    classes: int


def contact_sheet(source: Source, counts: Sequence[int], font: Font | None = None) -> Sheet:
    """Draws some training pictures of the first classes, whole, each enlarged or reduced to one size.

    A class has a block with its number, name and number of training pictures, as `counts` has it. `font` is by default
    one of this machine that has the letters of the names.
    """
    shown = source.classes[:_CLASSES]
    samples = min(_SAMPLES, max(counts[: len(shown)]))
    named = font or find_font("".join(shown) + "0123456789 ,·… in train", _LETTERS)
    letters = named or find_font("0123456789, in train", _LETTERS)
    assert letters is not None
    block = samples * (_SIDE + _GAP) - _GAP, _CAPTION + _SIDE
    columns = _columns(len(shown), block)
    rows = math.ceil(len(shown) / columns)
    size = (
        2 * _MARGIN + columns * (block[0] + _BETWEEN) - _BETWEEN,
        2 * _MARGIN + rows * (block[1] + _GAP * 3) - _GAP * 3,
    )
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(shown):
        # Down the columns, as names are read in a list
        left = _MARGIN + label // rows * (block[0] + _BETWEEN)
        top = _MARGIN + label % rows * (block[1] + _GAP * 3)
        tail = f"{counts[label]:,} in train"
        middle = top + _CAPTION / 2 - 2
        draw.text((left + block[0], middle), tail, _PALE, letters, anchor="rm")
        room = block[0] - draw.textlength(tail + "  ", letters)
        caption = f"{label} · {name}" if named and name != str(label) else str(label)
        draw.text((left, middle), _fitted(draw, caption, letters, room), _INK, letters, anchor="lm")
        for place, picture in enumerate(_pictures(source, label, samples)):
            cell = (left + place * (_SIDE + _GAP), top + _CAPTION)
            draw.rectangle((*cell, cell[0] + _SIDE - 1, cell[1] + _SIDE - 1), _CELL)
            sheet.paste(picture, (cell[0] + (_SIDE - picture.width) // 2, cell[1] + (_SIDE - picture.height) // 2))
    return Sheet(image=sheet, font=" ".join(filter(None, named.getname())) if named else None, classes=len(shown))


def _columns(blocks: int, block: tuple[int, int]) -> int:
    """How many columns make the sheet's shape nearest to `_SHAPE`."""

    def off(columns: int) -> float:
        width, height = columns * (block[0] + _BETWEEN), math.ceil(blocks / columns) * (block[1] + _GAP * 3)
        return abs(math.log(width / height / _SHAPE))

    return min(range(1, blocks + 1), key=off)


def _pictures(source: Source, label: int, count: int) -> list[Image.Image]:
    """Up to `count` pictures of a class that can be read, evenly spread over its training pictures, RGB in a cell."""
    indices = np.flatnonzero(source.train.labels == label)
    spread = indices[np.linspace(0, len(indices) - 1, min(count, len(indices))).astype(int)]
    found = []
    for index in spread.tolist():
        try:
            picture = source.train.pictures.open(index, source.channels)
        except BadPictureError:
            continue
        # Enlarged pixels stay pixels: a picture of 8 × 8 is shown as what it is
        enlarged = max(picture.size) < _SIDE
        method = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        found.append(ImageOps.contain(picture.convert("RGB"), (_SIDE, _SIDE), method))
    return found


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: Font, room: float) -> str:
    """A text that fits, cut with an ellipsis if it must be."""
    if draw.textlength(text, font) <= room:
        return text
    while text and draw.textlength(f"{text}…", font) > room:
        text = text[:-1]
    return f"{text}…"
