"""Pictures as a person sees them: every kind of file becomes the expected pixels, or one reason why not."""

import contextlib
import io
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, ImageCms

from scaler.data.pictures import (
    IMAGE_SUFFIXES,
    BadPictureError,
    find_pictures,
    is_image_name,
    natural_key,
    open_picture,
    read_size,
)
from tests.conftest import FULL

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
GREY = np.array([[0, 50, 100], [150, 200, 250]], dtype=np.uint8)
"""What the grey files below show: 3 wide, 2 high."""
COLOR = np.array([[RED, GREEN, BLUE], [WHITE, (0, 0, 0), (10, 20, 30)]], dtype=np.uint8)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def grey(form: str = "PNG") -> bytes:
    return encoded(Image.fromarray(GREY), form)


def color(form: str = "PNG", **options: object) -> bytes:
    return encoded(Image.fromarray(COLOR), form, **options)


def with_alpha(values: np.ndarray, alpha: list[list[int]], form: str = "PNG") -> bytes:
    return encoded(Image.fromarray(np.dstack([values, np.array(alpha, np.uint8)])), form)


def palette(transparency: object = None, colors: tuple = (RED, GREEN, BLUE), form: str = "PNG") -> bytes:
    image = Image.new("P", (3, 2))
    image.putpalette([value for entry in colors for value in entry])
    image.putdata([0, 1, 2, 2, 1, 0])
    return encoded(image, form, **({} if transparency is None else {"transparency": transparency}))


def bilevel(form: str = "PNG") -> bytes:
    return encoded(Image.fromarray(GREY > 120), form)


def array(values: np.ndarray, form: str = "TIFF", **options: object) -> bytes:
    return encoded(Image.fromarray(values), form, **options)


def pgm16() -> bytes:
    return b"P5 3 2 65535\n" + (GREY.astype(">u2") * 257).tobytes()


def pgm12() -> bytes:
    return b"P5 3 2 4095\n" + np.rint(GREY * (4095 / 255)).astype(">u2").tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, depth: int, kind: int, rows: bytes, *extra: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png16_with_transparency() -> bytes:
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in GREY)
    return png(3, 2, 16, 0, rows, chunk(b"tRNS", struct.pack(">H", 50 * 257)))


def white_is_zero() -> bytes:
    """A 16-bit TIFF of which 0 is white."""
    return array(((255 - GREY).astype(np.uint16)) * 257, tiffinfo={262: 0})


def flat(mode: str, value: object, form: str, size: tuple[int, int] = (16, 16), **options: object) -> bytes:
    return encoded(Image.new(mode, size, value), form, **options)


def adobe_cmyk(transform: int) -> bytes:
    """A CMYK JPEG (`transform` 0), or one stored as YCCK (2), with values inverted as Adobe does it."""
    data = flat("CMYK", (0, 255, 255, 0), "JPEG", quality=100, subsampling=0)
    at = data.index(b"Adobe")
    assert data[at + 11] == 0  # PIL writes CMYK; the same bytes read as YCCK are another colour
    return data[: at + 11] + bytes([transform]) + data[at + 12 :]


def frames(form: str) -> bytes:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    options = {"lossless": True} if form == "WEBP" else {}
    return encoded(first, form, save_all=True, append_images=[second], duration=100, loop=0, **options)


def turned(orientation: int, form: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return color(form, exif=exif)


def with_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return color(icc_profile=profile)


def broken_exif(content: bytes = b"II*\0\x08\0\0\0\xff\xff" + b"\xee" * 40) -> bytes:
    return color(exif=b"Exif\0\0" + content)


def premultiplied() -> bytes:
    """A grey TIFF with opacity whose grey is stored multiplied by it."""
    stored = np.dstack([GREY // 2, np.full_like(GREY, 128)])
    data, other = encoded(Image.fromarray(stored), "TIFF"), struct.pack("<HHI", 338, 3, 1)
    assert data.count(other + b"\2") == 1
    return data.replace(other + b"\2", other + b"\1")


def uniform(value: object, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    return np.asarray(Image.new("L" if isinstance(value, int) else "RGB", size, value))


def without(values: np.ndarray, transparent: object) -> np.ndarray:
    """The picture with white where it had the transparent colour."""
    same = values == transparent
    return np.where(same.all(axis=-1, keepdims=True) if values.ndim == 3 else same, 255, values)


PALETTE = np.array([[RED, GREEN, BLUE], [BLUE, GREEN, RED]], dtype=np.uint8)
HALF = np.array([[RED, WHITE, (128, 128, 255)], [(128, 128, 255), WHITE, RED]], dtype=np.uint8)

SHOWN: dict[str, tuple[Callable[[], bytes], np.ndarray]] = {
    "grey png": (grey, GREY),
    "color png": (color, COLOR),
    "color bmp": (lambda: color("BMP"), COLOR),
    "color ppm": (lambda: color("PPM"), COLOR),
    "color tiff": (lambda: color("TIFF"), COLOR),
    "color webp": (lambda: color("WEBP", lossless=True), COLOR),
    "color jpeg 2000": (lambda: color("JPEG2000"), COLOR),
    "icon": (lambda: flat("RGB", RED, "ICO"), uniform(RED)),
    "rgba, over white": (
        lambda: with_alpha(PALETTE, [[255, 0, 127], [127, 0, 255]]),
        HALF,
    ),
    "la, over white": (
        lambda: with_alpha(GREY, [[255, 0, 255], [255, 255, 0]]),
        np.array([[0, 255, 100], [150, 200, 255]]),
    ),
    "la, stored multiplied": (premultiplied, np.rint(GREY // 2 * (255 / 128)) * 128 / 255 + 127),
    "rgb with a transparent colour": (
        lambda: color("PNG", transparency=(10, 20, 30)),
        without(COLOR, (10, 20, 30)),
    ),
    "grey with a transparent value": (
        lambda: encoded(Image.fromarray(GREY), "PNG", transparency=50),
        without(GREY, 50),
    ),
    "palette": (palette, PALETTE),
    "palette gif": (lambda: palette(form="GIF"), PALETTE),
    "palette with a transparent entry": (lambda: palette(1), without(PALETTE, GREEN)),
    "palette with opacities": (lambda: palette(bytes([255, 0, 127])), HALF),
    "palette of greys": (
        lambda: palette(colors=((9, 9, 9), (80, 80, 80), (200, 200, 200))),
        np.array([[9, 80, 200], [200, 80, 9]]),
    ),
    "palette of greys with a transparent entry": (
        lambda: palette(0, colors=((9, 9, 9), (80, 80, 80), (200, 200, 200))),
        np.array([[255, 80, 200], [200, 80, 255]]),
    ),
    "1 bit": (bilevel, (GREY > 120) * 255),
    "1 bit tiff": (lambda: bilevel("TIFF"), (GREY > 120) * 255),
    "16-bit png": (lambda: array(GREY.astype(np.uint16) * 257, "PNG"), GREY),
    "16-bit png, dark": (lambda: array(GREY.astype(np.uint16), "PNG"), np.rint(GREY / 257)),
    "16-bit png with a transparent value": (png16_with_transparency, without(GREY, 50)),
    "16-bit tiff": (lambda: array(GREY.astype(np.uint16) * 257), GREY),
    "16-bit tiff, 0 is white": (white_is_zero, GREY),
    "16-bit pgm": (pgm16, GREY),
    "16-bit pgm, dark": (lambda: b"P5 3 2 65535\n" + GREY.astype(">u2").tobytes(), np.rint(GREY / 257)),
    "12-bit pgm": (pgm12, GREY),
    "32-bit tiff of 8-bit values": (lambda: array(GREY.astype(np.int32)), GREY),
    "32-bit tiff of 16-bit values": (lambda: array(GREY.astype(np.int32) * 257), GREY),
    "32-bit tiff": (lambda: array(GREY.astype(np.int32) * (2**31 // 255)), GREY),
    "float tiff from 0 to 1": (lambda: array((GREY / 255).astype(np.float32)), GREY),
    "float tiff from 0 to 255": (lambda: array(GREY.astype(np.float32)), GREY),
    "float tiff below 0 and not finite": (
        lambda: array(np.array([[-5, np.nan, 0.4], [1, np.inf, -np.inf]], np.float32)),
        np.array([[0, 0, 102], [255, 255, 0]]),
    ),
    "cmyk jpeg": (lambda: adobe_cmyk(0), uniform((254, 0, 0))),
    "cmyk tiff": (lambda: flat("CMYK", (0, 255, 255, 0), "TIFF"), uniform(RED)),
    "lab tiff": (lambda: flat("LAB", (255, 128, 128), "TIFF"), uniform(WHITE)),
    "animated gif": (lambda: frames("GIF"), uniform(RED)),
    "animated webp": (lambda: frames("WEBP"), uniform(RED)),
    "animated png": (lambda: frames("PNG"), uniform(RED)),
    "tiff of two pages": (lambda: frames("TIFF"), uniform(RED)),
    "one pixel": (lambda: flat("RGB", GREEN, "PNG", (1, 1)), uniform(GREEN, (1, 1))),
    "30,000 × 1": (lambda: flat("L", 7, "PNG", (30_000, 1)), uniform(7, (30_000, 1))),
    "1 × 30,000": (lambda: flat("L", 7, "PNG", (1, 30_000)), uniform(7, (1, 30_000))),
    "a colour profile, left alone": (with_profile, COLOR),
    "broken exif": (broken_exif, COLOR),
    "exif that is none": (lambda: broken_exif(b"garbage!"), COLOR),
    "an orientation in words": (
        lambda: broken_exif(b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0" + b"\0" * 4),
        COLOR,
    ),
    "an orientation that does not exist": (lambda: turned(99), COLOR),
    "orientation 1": (lambda: turned(1), COLOR),
    "orientation 2": (lambda: turned(2), COLOR[:, ::-1]),
    "orientation 3": (lambda: turned(3), COLOR[::-1, ::-1]),
    "orientation 4": (lambda: turned(4), COLOR[::-1]),
    "orientation 5": (lambda: turned(5), COLOR.transpose(1, 0, 2)),
    "orientation 6": (lambda: turned(6), np.rot90(COLOR, -1)),
    "orientation 7": (lambda: turned(7), COLOR[::-1, ::-1].transpose(1, 0, 2)),
    "orientation 8": (lambda: turned(8), np.rot90(COLOR)),
    "orientation 6 in a tiff": (lambda: turned(6, "TIFF"), np.rot90(COLOR, -1)),
}


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has width × height pixels."""
    return png(width, height, 8, 0, b"\0" * 100)


def heic() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + b"\0" * 100


def long_text() -> bytes:
    """A PNG whose comment would take 100 MB."""
    return png(3, 2, 8, 0, b"\0" * 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 10**8)))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no bytes": (bytes, "empty (0 bytes)"),
    "text": (lambda: b"this is no picture", "not an image, or of a format that cannot be read"),
    "one byte": (lambda: b"\xff", "not an image, or of a format that cannot be read"),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image, or of a format that cannot be read"),
    "postscript": (
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "not an image, or of a format that cannot be read",
    ),
    "heic": (heic, "HEIC, which cannot be read; convert it to JPEG or PNG"),
    "truncated jpeg": (lambda: flat("RGB", RED, "JPEG", (200, 200))[:-400], "truncated"),
    "truncated png": (lambda: array(np.arange(40_000, dtype=np.uint16).reshape(200, 200), "PNG")[:-300], "truncated"),
    "truncated tiff": (lambda: color("TIFF")[:-8], "truncated"),
    "truncated gif": (lambda: frames("GIF")[:-70], "truncated"),
    "truncated bmp": (lambda: color("BMP")[:-8], "truncated"),
    "truncated webp": (lambda: frames("WEBP")[:-30], "damaged (could not create decoder object)"),
    "start of a jpeg": (lambda: flat("RGB", RED, "JPEG")[:10], "truncated"),
    "start of a png": (lambda: color()[:12], "truncated or damaged"),
    "damaged png": (lambda: color().replace(b"IDAT", b"IDAX"), "truncated or damaged"),
    "a bomb": (lambda: bomb(100_000, 100_000), "too large: more than 178,956,970 pixels"),
    "a small bomb": (lambda: bomb(13_000, 13_000), "truncated"),
    "a picture without width": (lambda: bomb(0, 5), "truncated or damaged"),
    "a bomb of text": (long_text, "damaged (Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK)"),
    "float tiff without a range": (
        lambda: array(np.full((2, 2), 1e20, np.float32)),
        "values up to 1e+20: it does not say which of them is white",
    ),
}


def seen(data: bytes, channels: int | None = None) -> np.ndarray:
    picture = open_picture(io.BytesIO(data), channels)
    assert picture.mode in ("L", "RGB")
    assert picture.info == {}
    return np.asarray(picture)


@pytest.fixture
def _silent(capfd: pytest.CaptureFixture[str]) -> object:
    """Nothing is warned of, and neither PIL nor the libraries below it print anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("_silent")
@pytest.mark.parametrize("kind", SHOWN)
def test_what_is_shown(kind: str, tmp_path: Path) -> None:
    if kind == "la, stored multiplied" and PIL.__version__ < "13":
        pytest.skip("Pillow reads this kind from version 13 on; 12 is supported as well")
    make, expected = SHOWN[kind]
    data = make()
    file = tmp_path / "wrong extension.txt"
    file.write_bytes(data)
    # Lossy files and colour spaces that need floating point may be off by one
    tolerance = 1 if kind in ("cmyk jpeg", "lab tiff", "la, stored multiplied") else 0
    for found in (seen(data), np.asarray(open_picture(file))):
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= tolerance
    height, width = expected.shape[:2]
    assert read_size(file) == (width, height, 1 if expected.ndim == 2 else 3)


@pytest.mark.usefixtures("_silent")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind: str, tmp_path: Path) -> None:
    make, reason = REFUSED[kind]
    data = make()
    file = tmp_path / "picture.jpg"
    file.write_bytes(data)
    for source in (file, io.BytesIO(data)):
        with pytest.raises(BadPictureError) as caught:
            open_picture(source)
        assert str(caught.value) == reason


def test_what_pil_logs_is_not_printed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    data, count = color("TIFF"), struct.pack("<HHI", 277, 3, 1)
    assert data.count(count + b"\3") == 1
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a program that has not set up any logging
    with pytest.raises(BadPictureError):
        open_picture(io.BytesIO(data.replace(count + b"\3\0", count + b"\xff\xff")))
    assert capfd.readouterr() == ("", "")


def test_a_cut_anywhere_is_a_picture_or_a_reason() -> None:
    for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF"):
        data = flat("RGB", RED, form, (40, 40))
        for length in range(0, len(data), max(1, len(data) // (200 if FULL else 40))):
            try:
                picture = open_picture(io.BytesIO(data[:length]))
            except BadPictureError:
                continue
            assert picture.size == (40, 40)


def test_damage_anywhere_is_a_picture_or_a_reason() -> None:
    random = np.random.default_rng(0)
    for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF", "ICO", "PPM"):
        whole = np.frombuffer(flat("RGB", RED, form, (40, 40)), np.uint8)
        for _ in range(200 if FULL else 40):
            data = whole.copy()
            data[random.integers(0, min(len(data), 400), 3)] = random.integers(0, 256, 3)
            with contextlib.suppress(BadPictureError):
                assert open_picture(io.BytesIO(data.tobytes())).mode in ("L", "RGB")


@pytest.mark.parametrize("kind", ["color png", "grey png", "rgba, over white", "16-bit png", "palette", "1 bit"])
def test_channels_are_what_is_asked_for(kind: str) -> None:
    make, expected = SHOWN[kind]
    as_color = np.broadcast_to(expected.astype(np.uint8)[..., None], (2, 3, 3)) if expected.ndim == 2 else expected
    assert np.array_equal(seen(make(), 3), as_color)
    assert np.array_equal(seen(make(), 1), np.asarray(Image.fromarray(as_color.astype(np.uint8)).convert("L")))


def test_files_that_cannot_be_opened_say_why(tmp_path: Path) -> None:
    for file, reason in ((tmp_path / "nothing.png", "no such file or directory"), (tmp_path, "is a directory")):
        with pytest.raises(BadPictureError) as caught:
            open_picture(file)
        assert str(caught.value) == reason


def test_a_picture_of_cmyk_as_ycck_is_what_pil_makes_of_it() -> None:
    data = adobe_cmyk(2)
    assert np.array_equal(seen(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert not np.array_equal(seen(data), seen(adobe_cmyk(0)))


@pytest.mark.usefixtures("_silent")
def test_threads_do_not_mix_up_the_warnings_of_the_program() -> None:
    before = list(warnings.filters)
    data = broken_exif()

    def work() -> None:
        for _ in range(50):
            open_picture(io.BytesIO(data))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_which_files_are_pictures_by_name() -> None:
    for name in ("a.jpg", "a.JPEG", "b.Png", "한글.webp", "a.b.tiff", "photo.HEIC"):
        assert is_image_name(Path("folder") / name)
    for name in (".a.jpg", "._a.jpg", "a.txt", "jpg", ".jpg", "a.jpg.txt", "Thumbs.db", "a.npy"):
        assert not is_image_name(Path("folder") / name)
    assert {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"} < IMAGE_SUFFIXES


def test_pictures_of_a_folder_are_found_in_natural_order(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "b/2.JPG", "b/1.jpg", ".hidden/1.png", "b/.1.png", "b/notes.txt", "고양이/1.png"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
    (tmp_path / "b" / "folder.png").mkdir()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "b" / "broken.png").symlink_to(tmp_path / "nothing")
    names = [str(file.relative_to(tmp_path)) for file in find_pictures(tmp_path)]
    assert names == ["9.png", "10.png", "b/1.jpg", "b/2.JPG", "고양이/1.png"]
    assert sorted(["x10", "x9", "x09", "x", "10", "9b"], key=natural_key) == ["9b", "10", "x", "x09", "x9", "x10"]
