import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.test_cli import run


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of two classes of pictures, entered; one file is broken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number, (name, count) in enumerate({"고양이": 12, "[b]개": 6}.items()):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for picture in range(count):
            Image.new("RGB", (50, 40), (200, 100 * number, 0)).save(tmp_path / "pictures" / name / f"{picture}.png")
    (tmp_path / "pictures" / "고양이" / "깨진.png").write_text("broken")
    study = 'space = "resnet"\n[budget]\nmacs = "2M"\n[data]\nname = "folder:pictures"\nworkers = 1\n'
    (tmp_path / "animals.toml").write_text(study)
    return tmp_path


@pytest.mark.usefixtures("animals")
def test_data_shows_what_a_study_learns_from(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "data", "animals.toml")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.split()[1:2] == ["고양이"]]
    assert line.split()[-1] == "12"
    assert "[b]개" in out
    assert "2.00 times the images of the smallest (고양이: 12; [b]개: 6)" in out
    assert "32 to 63 px" in out
    assert "left out: 고양이/깨진.png (not an image" in out
    record = json.loads(run(capsys, "data", "animals.toml", "--json")[1])
    assert record["images"]["all"] == 18
    assert {each["class"] for each in record["classes"]} == {"고양이", "[b]개"}
    assert sum(each[split] for each in record["classes"] for split in ("train", "validation", "test")) == 18
    assert record["imbalance"] == 2
    assert record["sizes"]["width"] == {"min": 50, "median": 50, "max": 50}
    assert len(record["skipped"]) == 1


def test_data_draws_a_sheet_and_says_how_its_classes_are_named(
    animals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "data", "animals.toml", "--to", "sheet.png")
    assert code == 0
    assert "sheet.png: 2 of 2 classes, n" in out  # named in a font, or numbered where none has Hangul
    with Image.open(animals / "sheet.png") as sheet:
        colors = {color for _, color in sheet.getcolors(2**24)}
    assert {(200, 0, 0), (200, 100, 0)} < colors
    _, out, errors = run(capsys, "data", "quickstart", "--to", "digits.jpg", "--json")
    assert len(json.loads(out)["classes"]) == 10
    assert "digits.jpg: 10 of 10 classes, named in Aileron Regular" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tny"], "study: 'tny' is no folder"),
        (["animals.toml", "--to", "sheet.txt"], "--to: sheet.txt is no name of a picture; end it in .png or .jpg"),
        (["animals.toml", "--to", "nowhere/sheet.png"], "--to: there is no folder nowhere"),
        (["animals.toml", "--to", "folder.png"], "--to: folder.png is no name of a picture"),
    ],
)
def test_wrong_input_is_one_line(
    animals: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (animals / "folder.png").mkdir()
    code, out, errors = run(capsys, "data", *arguments)
    assert (code, out) == (2, "")
    assert message in errors
    assert len(errors.splitlines()) == 1
