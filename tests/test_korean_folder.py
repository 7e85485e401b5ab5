"""One story from pictures to answers: a folder of one's own, with classes named in Korean, through every command."""

import csv
import io
import json
from pathlib import Path

import pytest
import timm

from scaler.cli import main
from scaler.data import DataConfig, load_data

CLASSES = ("영", "하나", "둘", "셋", "넷 🍀", "다섯", "여섯", "김치찌개", "여덟, 팔", "아홉 (9)")
STUDY = """
space = "resnet"
[budget]
macs = "400K"
[data]
name = "folder:숫자 사진"
resolution = 32
[recipe]
epochs = 3
batch_size = 32
learning_rate = 5e-3
[search]
trials = 2
growth = 4
pruner = "none"
[executor]
workers = 1
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    captured = capsys.readouterr()
    assert not left.value.code, captured.err
    return captured.out


def test_korean_classes_from_pictures_to_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    digits = load_data(DataConfig(name="digits", cache="cache"), side=8)
    for part, split in (("train", digits.train), ("val", digits.validation), ("test", digits.test)):
        for number, (picture, label) in enumerate(zip(split.pictures(), split.labels.tolist(), strict=True)):
            place = Path("숫자 사진") / part / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            picture.save(place / f"그림 {number}.png")
    Path("손글씨.toml").write_text(STUDY, encoding="utf-8")

    run(capsys, "search", "손글씨.toml")
    run(capsys, "confirm", "손글씨.toml")
    rows = json.loads(run(capsys, "leaderboard", "손글씨.toml", "--format", "json"))
    assert {row["study"] for row in rows} == {"손글씨"}
    assert len(rows) == 2
    run(capsys, "export", "손글씨.toml", "--to", "내보내기")
    model = timm.create_model("local-dir:내보내기", pretrained=True)
    assert model.pretrained_cfg["label_names"] == sorted(CLASSES)

    answers = json.loads(run(capsys, "predict", "내보내기", "숫자 사진/test", "--json"))
    assert len(answers) == len(digits.test)
    right = [answer["label"] == Path(answer["file"]).parent.name for answer in answers]
    assert sum(right) / len(right) == pytest.approx(rows[0]["test_accuracy"], abs=1e-9)
    assert rows[0]["test_accuracy"] > 0.4
    printed = run(capsys, "predict", "내보내기", "숫자 사진/test/김치찌개", "--csv")
    table = list(csv.DictReader(io.StringIO(printed)))
    expected = [answer for answer in answers if "/김치찌개/" in answer["file"]]
    shown = run(capsys, "predict", "내보내기", "숫자 사진/test/김치찌개", "--top", "2").splitlines()
    lines = [line for line in shown if "/김치찌개/" in line]
    assert [line.split("  ")[0].strip() for line in lines] == [answer["file"] for answer in expected]
    assert all(answer["label"] in line for answer, line in zip(expected, lines, strict=True))
    assert [row["label"] for row in table] == [answer["label"] for answer in expected]
    assert "김치찌개" in {row["label"] for row in table}
