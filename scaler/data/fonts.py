"""A font of this machine that has the letters of the class names: Hangul and others are in few fonts."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

_PREFERRED = (
    "notosanscjk-regular",
    "notosanskr-regular",
    "notosanskr",
    "nanumgothic",
    "nanumbarungothic",
    "applesdgothicneo",
    "malgun",
    "dejavusans",
    "notosans-regular",
)
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")


def find_font(text: str, size: int, folders: Sequence[Path] | None = None) -> Font | None:
    """A font of `size` pixels that has every character of `text`, or None if this machine has none.

    The font that comes with PIL is the first to be tried (it is Latin), then those in `folders`, by default where the
    system keeps its fonts: well-known ones first, upright ones of normal weight before others.
    """
    needed = sorted({character for character in text if not character.isspace()})
    built_in = ImageFont.load_default(size)
    if isinstance(built_in, ImageFont.FreeTypeFont) and _has(built_in, needed):
        return built_in
    files = [file for folder in (_system_folders() if folders is None else folders) for file in _files(folder)]
    for file in sorted(files, key=_rank):
        try:
            font = ImageFont.truetype(file, size)
            if _has(font, needed):
                return font
        except Exception:  # a damaged font, or one of a kind that PIL does not know
            continue
    return None


def _has(font: Font, characters: Sequence[str]) -> bool:
    """Whether the font draws each character as something other than what it draws for a character that nobody has."""
    missing = _drawn(font, "\U0010fffe")
    return all(_drawn(font, character) != missing for character in characters)


def _drawn(font: Font, character: str) -> tuple[tuple[int, ...], bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


def _system_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts", home / "AppData/Local/Microsoft/Windows/Fonts"]
    own = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    shared = (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    return [own / "fonts", home / ".fonts", *(Path(folder) / "fonts" for folder in shared)]


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place) / name for name in names if name.lower().endswith(_SUFFIXES))


def _rank(file: Path) -> tuple[int, bool, str]:
    name = file.stem.lower()
    known = _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED)
    unusual = any(word in name for word in ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed"))
    return known, unusual, str(file)
