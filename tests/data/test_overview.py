"""What a data set holds, in figures and as a contact sheet."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from scaler.data import DataConfig, load_data, open_source
from scaler.data.fonts import find_font
from scaler.data.overview import overview
from scaler.data.sheet import contact_sheet
from scaler.data.source import Source

COLORS = {"가": (200, 0, 0), "나": (0, 200, 0), "다": (0, 0, 200)}
COUNTS = {"가": 20, "나": 10, "다": 5}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Three classes of 20, 10 and 5 pictures of one colour, 40 wide and 20 high; and two files that are none."""
    for name, color in COLORS.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(COUNTS[name]):
            Image.new("RGB", (40, 20), color).save(tmp_path / "data" / name / f"{number}.png")
    for number in (98, 99):
        (tmp_path / "data" / "가" / f"{number}.png").write_text("broken")
    name = f"folder:{tmp_path / 'data'}"
    return open_source(DataConfig(name=name, bad_images="skip", cache=str(tmp_path / "cache"), workers=1))


def test_the_figures_of_a_data_set(source: Source) -> None:
    data = load_data(source, 20)
    found = overview(source, data)
    assert found.classes == ("가", "나", "다")
    assert found.totals == (20, 10, 5)
    assert list(found.counts) == ["train", "validation", "test"]
    assert [sum(counts) for counts in found.counts.values()] == [
        len(s) for s in (data.train, data.validation, data.test)
    ]
    assert found.counts["test"][2] == 1
    assert found.imbalance == 4
    assert (found.channels, found.mean, found.std) == (3, data.mean, data.std)
    assert sorted(found.skipped) == [
        "가/98.png (not an image, or of a format that cannot be read)",
        "가/99.png (not an image, or of a format that cannot be read)",
    ]
    assert (found.sizes.sampled, found.sizes.grey) == (35, 0)
    assert (found.sizes.width, found.sizes.height) == ((40, 40, 40), (20, 20, 20))
    assert found.sizes.shorter_side == ((16, 32, 35),)


def test_sizes_are_counted_by_octaves_of_the_shorter_side(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number, size in enumerate([(31, 90), (90, 32), (63, 64), (64, 64), (300, 200)]):
            Image.new("L", size).save(tmp_path / name / f"{number}.png")
    config = DataConfig(name=f"folder:{tmp_path}", cache=str(tmp_path / ".cache"), workers=1)
    found = overview(open_source(config), load_data(config, 32)).sizes
    assert found.shorter_side == ((16, 32, 2), (32, 64, 4), (64, 128, 2), (128, 256, 2))
    assert (found.sampled, found.grey) == (10, 10)
    assert (found.width, found.height) == ((31, 64, 300), (32, 64, 200))


def test_a_sheet_shows_pictures_of_every_class_that_can_be_read(source: Source) -> None:
    sheet = contact_sheet(source, [12, 6, 3])
    assert sheet.classes == 3
    pixels = np.asarray(sheet.image).reshape(-1, 3)
    cells = {name: (pixels == color).all(axis=1).sum() / (96 * 48) for name, color in COLORS.items()}
    # 가 has 8 places, of which files that are no pictures may have taken two
    assert 6 <= cells["가"] <= 8
    assert cells["나"] == min(8, (source.train.labels == 1).sum())
    assert cells["다"] == (source.train.labels == 2).sum()


def test_classes_are_numbered_where_no_font_has_their_letters(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    numbered = contact_sheet(source, [12, 6, 3])
    assert numbered.font is None
    latin = find_font("0", 18)
    assert latin is not None
    named = contact_sheet(source, [12, 6, 3], latin)  # without the letters: boxes, but other captions than numbers
    assert named.font == "Aileron Regular"
    assert numbered.image.size == named.image.size
    assert np.any(np.asarray(numbered.image) != np.asarray(named.image))


def test_sheets_of_many_classes_keep_their_shape_and_a_bound(tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / f"class {number}").mkdir()
        for picture in range(5):
            Image.new("L", (16, 16), number).save(tmp_path / f"class {number}" / f"{picture}.png")
    config = DataConfig(name=f"folder:{tmp_path}", cache=str(tmp_path / ".cache"), validation=0.2, test=0.2)
    sheet = contact_sheet(open_source(config), [3] * 120)
    assert sheet.classes == 100
    assert sheet.font == "Aileron Regular"
    assert 1 < sheet.image.width / sheet.image.height < 2.2


def test_fonts_are_judged_by_the_letters_they_have(tmp_path: Path) -> None:
    built_in = ImageFont.load_default(18)
    (tmp_path / "fonts" / "deep").mkdir(parents=True)
    (tmp_path / "fonts" / "broken.ttf").write_bytes(b"no font")
    (tmp_path / "fonts" / "deep" / "copy.TTF").write_bytes(built_in.font_bytes)
    assert find_font("abc 0", 18, []).getname() == built_in.getname()
    assert find_font("abc 한글", 18, [tmp_path / "fonts", tmp_path / "nothing"]) is None
    system = find_font("한글 abc 0", 18)
    if system is not None:  # the machine may have none
        assert bytes(system.getmask("한")) != bytes(system.getmask("글"))


def test_a_font_in_the_folders_is_taken_where_pils_own_has_not_the_letters(tmp_path: Path) -> None:
    dejavu = next(Path("/usr/share/fonts").rglob("DejaVuSans-Bold.ttf"), None)
    if dejavu is None:
        pytest.skip("no font with Greek letters here")
    (tmp_path / "deep").mkdir()
    shutil.copy(dejavu, tmp_path / "deep" / "greek.TTF")
    (tmp_path / "another.ttf").write_bytes(b"no font")
    found = find_font("ελληνικά", 18, [tmp_path])
    assert found is not None
    assert found.getname() == ("DejaVu Sans", "Bold")
    in_system = find_font("ελληνικά", 18)
    assert in_system is not None
    assert bytes(in_system.getmask("ε")) != bytes(in_system.getmask("λ"))
