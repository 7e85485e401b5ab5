"""One picture file as a person sees it, and which files of a folder are pictures.

What differs from PIL's own `Image.open(file).convert(mode)`: the picture is upright (EXIF), what is transparent lies on
white (PIL shows the colour that happens to be stored under it), 16-bit and floating-point greys are scaled to 8 bits
(PIL clips them), and a file that is no whole picture raises one exception with one reason, whatever the decoder said.
Colour profiles are not applied: pixels are taken as sRGB, as timm and torchvision take them.
"""

import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("jpg", "jpeg", "jfif", "png", "ppm", "pgm", "pbm", "bmp"),
        *("tif", "tiff", "webp", "gif", "avif", "heic", "heif"),
    )
)
"""File names that count as pictures: torchvision's list, and more. HEIC is among them so that it is refused by name and
not passed over in silence."""

MAX_PIXELS = 178_956_970
"""Largest picture that is opened (PIL's own limit): more is taken for a decompression bomb."""

# Named, so that a file can never be handed to a decoder that guesses (TGA) or runs a program (EPS).
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "ICO")

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM", b"\0\0\0\x0cjP")

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# PIL logs some damage; without any handler Python would print it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class BadPictureError(Exception):
    """A file that cannot be shown; the message is the reason in a few words, without the file's name."""


def open_picture(file: Path | BinaryIO, channels: int | None = None) -> Image.Image:
    """The picture as a person sees it, of mode "L" (`channels` 1) or "RGB" (3), with nothing but pixels in it.

    `channels` None keeps a grey picture grey: one stored as grey or with a palette of greys; an RGB file stays RGB,
    whatever its pixels. Transparent pixels lie on white. Of an animation the first frame is taken. Grey of 16 bits is
    scaled from 0..65535; of 32 bits or floating point from 0 to the first of 1 (floating point only), 255, 65535 and
    2³¹-1 that no value exceeds, negative values being black. Raises `BadPictureError`, and nothing else, for what
    cannot be shown.
    """
    with _opened(file) as image:
        picture = _resolved(image)
        mode = picture.mode if channels is None else {1: "L", 3: "RGB"}[channels]
        if picture.mode != mode:
            picture = picture.convert(mode)
        # Asked now that it is loaded: TIFF turns itself while it loads, and then no longer says that it was turned.
        method = _UPRIGHT.get(_orientation(image))
        if method is not None:
            picture = picture.transpose(method)
        picture.info = {}  # else the next reader would turn it again, or apply a profile that is no longer its own
        return picture


def read_size(file: Path | BinaryIO) -> tuple[int, int, int]:
    """Width and height of the upright picture, and channels as `open_picture` would give them, from the header alone.

    Raises `BadPictureError` if the header is bad; what follows it may still be.
    """
    with _opened(file) as image:
        width, height = image.size
        if image.format != "TIFF" and _orientation(image) in (
            5,
            6,
            7,
            8,
        ):  # a TIFF's size is that of the upright picture
            width, height = height, width
        return width, height, 1 if _is_grey(image) else 3


def is_image_name(file: Path) -> bool:
    """Whether a file is a picture by its name: a known suffix in any case, and not hidden."""
    return not file.name.startswith(".") and file.suffix.lower() in IMAGE_SUFFIXES


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """Sorts names as a person does: `2.png` before `10.png`."""
    parts = re.split(r"([0-9]+)", text)
    return tuple((int(part), part) if index % 2 else (-1, part) for index, part in enumerate(parts))


def find_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and the folders below it, by name, in natural order.

    Hidden files and folders are left out; linked folders are followed, each once.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(place) / name for name in names)
        found += [file for file in files if is_image_name(file) and file.is_file()]
    return sorted(found, key=lambda file: [natural_key(part) for part in file.parts])


@contextmanager
def _opened(file: Path | BinaryIO) -> Iterator[Image.Image]:
    """The image behind a file; whatever goes wrong in the block becomes a `BadPictureError`."""
    try:
        with _QUIET, Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise BadPictureError(f"too large: {width} × {height} pixels, more than {MAX_PIXELS:,}")
            yield image
    except BadPictureError:
        raise
    except UnidentifiedImageError:
        raise BadPictureError(_why_unknown(file)) from None
    except Image.DecompressionBombError:
        raise BadPictureError(f"too large: more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise BadPictureError("does not fit into memory") from None
    except Exception as error:
        # Decoders raise almost anything for damaged files: SyntaxError, struct.error, ValueError, ...
        if isinstance(error, OSError) and error.errno is not None:
            raise BadPictureError(os.strerror(error.errno).lower()) from None
        truncated = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason = "truncated" if truncated else f"damaged ({str(error) or type(error).__name__})"
        raise BadPictureError(" ".join(reason.split())) from None


class _Quiet:
    """Silences PIL's warnings while a thread is inside; `warnings.catch_warnings` alone mixes threads up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._catcher = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._catcher = warnings.catch_warnings()
                self._catcher.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._catcher.__exit__(None, None, None)


_QUIET = _Quiet()


def _why_unknown(file: Path | BinaryIO) -> str:
    if isinstance(file, Path):
        with file.open("rb") as stream:
            head = stream.read(16)
    else:
        file.seek(0)
        head = file.read(16)
    if not head:
        return "empty (0 bytes)"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        return "HEIC, which cannot be read; convert it to JPEG or PNG"
    if head.startswith(_SIGNATURES):
        return "truncated or damaged"
    return "not an image, or of a format that cannot be read"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # PIL's EXIF parser raises struct, value, type and index errors for broken tags
        return 1  # the pixels of such a picture are as good as any


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        colors = image.getpalette("RGB") or []
        return colors[0::3] == colors[1::3] == colors[2::3]
    return Image.getmodebase(image.mode) == "L"


def _resolved(image: Image.Image) -> Image.Image:
    """A copy of an image of any mode, as "L" if it is grey, else "RGB"."""
    mode = "L" if _is_grey(image) else "RGB"
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image)
    if image.mode == "La":  # of a TIFF: the grey is stored multiplied by its opacity
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, "white")
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    return image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 or 32 bits as "L": its true range on 0..255, rounded."""
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16") or image.format == "PPM":
        largest = 65535.0
    else:
        values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=0.0)
        peak = values.max(where=np.isfinite(values), initial=0.0)
        ranges = ((1.0,) if image.mode == "F" else ()) + (255.0, 65535.0, 2.0**31 - 1)
        fitting = [limit for limit in ranges if peak <= limit]
        if not fitting:
            raise BadPictureError(f"values up to {peak:g}: it does not say which of them is white")
        largest = fitting[0]
    grey = np.rint(values.clip(0, largest) * (255 / largest)).astype(np.uint8)
    tags = getattr(image, "tag_v2", {})
    photometric = 262  # 0: the smallest value is white; PIL heeds it for 8 bits but not for 16
    if image.mode.startswith("I;16") and tags.get(photometric) == 0:
        grey = 255 - grey
    if isinstance(transparent := image.info.get("transparency"), int):
        grey = np.where(values == transparent, np.uint8(255), grey)
    return Image.fromarray(grey)
