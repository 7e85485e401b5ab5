"""Classification with an export: what timm's own pipeline says, for files, folders and patterns."""

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import scaler
from scaler import InputError
from scaler.cli import main
from scaler.data import load_data
from scaler.entries import timm_entry
from scaler.hardware import memory_in_use
from scaler.prediction import Prediction, Predictor, find_images
from tests.conftest import TINY_STUDY

ANIMALS = ("고양이", "강아지", "말, 얼룩말", 'the "cat"', "[red]닭[/red]", "소", "양", "염소", "오리", "토끼")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `export`, made by a study of one trial, and `digits`, 12 images of its test split."""
    folder = tmp_path_factory.mktemp("prediction")
    with contextlib.chdir(folder):
        Path("tiny.toml").write_text(TINY_STUDY)
        study = scaler.search("tiny.toml", overrides={"search.trials": 1, "recipe.epochs": 4})
        scaler.export(study, "best", "export")
        data = load_data(scaler.load_study("tiny.toml").data, side=8)
        Path("digits").mkdir()
        for number, image in enumerate(islice(data.test.pictures(), 12), start=1):
            image.save(f"digits/{number}.png")
    return folder


@pytest.fixture
def inside(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `place` to work in, entered."""
    shutil.copytree(place / "export", tmp_path / "export")
    shutil.copytree(place / "digits", tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["predict", *arguments])
    captured = capsys.readouterr()
    return int(left.value.code or 0), captured.out, captured.err


def by_hand(folder: str, files: list[str], mode: str) -> torch.Tensor:
    """What a timm user gets, one picture at a time: softmax probabilities (n, classes)."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model))
    with torch.inference_mode():
        return torch.cat([model(transform(Image.open(file).convert(mode))[None]).softmax(1) for file in files])


def assert_equals(predictions: list[Prediction], expected: torch.Tensor, labels: list[str]) -> None:
    for prediction, row in zip(predictions, expected, strict=True):
        values, indices = row.topk(len(prediction.top))
        assert [label for label, _ in prediction.top] == [labels[index] for index in indices]
        assert [value for _, value in prediction.top] == pytest.approx(values.tolist(), abs=1e-5)
        assert (prediction.label, prediction.probability) == prediction.top[0]


def write_color_export(folder: Path) -> list[str]:
    """A freshly made VGG on 40 × 40 colour images, whose entry point is scaler's own; returns its labels."""
    network = scaler.classic("vgg11").replace(resolution=40, num_classes=4, widths=(8, 8, 8, 8, 8, 16))
    entry = timm_entry(network)
    assert entry.tier == "plugin"
    folder.mkdir()
    torch.manual_seed(0)
    save_file(scaler.build(network).state_dict(), folder / "model.safetensors")
    labels = ["하나", "둘", "셋", "넷"]
    pretrained = {
        "input_size": [3, 40, 40],
        "crop_pct": 1.0,
        "interpolation": "bilinear",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.1, 0.2, 0.3],
        "num_classes": 4,
        "pool_size": None,
        "first_conv": entry.first_conv,
        "classifier": entry.classifier,
    }
    config = {
        "architecture": entry.name,
        "num_classes": 4,
        "model_args": entry.model_args,
        "label_names": labels,
        "pretrained_cfg": pretrained,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return labels


def rename_labels(folder: Path, labels: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["label_names"] = labels
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_predictions_are_those_of_timms_own_pipeline(batch_size: int) -> None:
    files = [f"digits/{number}.png" for number in range(1, 13)]
    found = scaler.predict("export", "digits", top=3, batch_size=batch_size)
    assert [each.file for each in found] == files
    assert all(len(each.top) == 3 for each in found)
    assert_equals(found, by_hand("export", files, "L"), [str(digit) for digit in range(10)])
    assert len({each.label for each in found}) > 2


def test_a_plugin_export_of_a_colour_network(tmp_path: Path) -> None:
    labels = write_color_export(tmp_path / "a folder # 100%")
    generator = np.random.default_rng(0)
    files = []
    for number, shape in enumerate([(60, 90, 3), (90, 50, 3), (40, 40), (1, 1, 3), (30, 300, 3)]):
        files.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(files[-1])
    found = scaler.predict(tmp_path / "a folder # 100%", files, top=99)
    assert [len(each.top) for each in found] == [4] * 5
    assert sum(value for _, value in found[0].top) == pytest.approx(1)
    assert_equals(found, by_hand(str(tmp_path / "a folder # 100%"), files, "RGB"), labels)


def test_a_fresh_process_needs_nothing_but_the_folder(tmp_path: Path) -> None:
    labels = write_color_export(tmp_path / "export")
    Image.new("RGB", (50, 50), "red").save(tmp_path / "붉은.png")
    done = subprocess.run(
        [sys.executable, "-m", "scaler", "predict", "export", "붉은.png", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(scaler.__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    (record,) = json.loads(done.stdout.decode())
    assert record["file"] == "붉은.png"
    assert record["label"] in labels
    assert done.stderr == b""


def test_korean_labels_and_names_come_out_as_they_are(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rename_labels(inside / "export", ANIMALS)
    names = ["사진/가, 나 (1).png", "사진/[b]굵게.png", "사진/큰 [1].png"]
    Path("사진").mkdir()
    for number, name in enumerate(names, start=1):
        shutil.copy(f"digits/{number}.png", name)
    code, out, _ = run(capsys, "export", *names, "--json", "--top", "2")
    assert code == 0
    assert "\\u" not in out
    records = json.loads(out)
    assert [list(record) for record in records] == [["file", "label", "probability", "top"]] * 3
    assert [record["file"] for record in records] == names
    for record in records:
        assert len(record["top"]) == 2
        assert record["top"][0] == {"label": record["label"], "probability": record["probability"]}
        assert record["label"] in ANIMALS
    code, out, _ = run(capsys, "export", *names, "--csv")
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["file", "label", "probability"]
    assert [row[:2] for row in rows[1:]] == [[record["file"], record["label"]] for record in records]
    assert [float(row[2]) for row in rows[1:]] == [record["probability"] for record in records]
    assert out.count("\n") == 4
    assert "\r" not in out
    table = run(capsys, "export", *names)[1]
    for record in records:
        (line,) = [line for line in table.splitlines() if record["file"] in line]
        assert record["label"] in line
        assert f"{record['probability']:.4f}" in line


def test_a_name_that_is_no_unicode_is_read_and_printed(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy("digits/1.png", os.fsencode("digits/") + b"\xb0\xa1.png")
    Path("digits/깨진.png").write_text("broken")
    code, out, errors = run(capsys, "export", "digits", "--csv", "--skip-bad")
    assert code == 0
    assert out.count(".png,") == 13
    assert (
        errors
        == "left out: digits/깨진.png: not an image, or of a format that cannot be read\n1 of 14 images left out\n"
    )


@pytest.mark.usefixtures("inside")
def test_pictures_are_read_as_a_person_sees_them() -> None:
    upright = Image.open("digits/1.png")
    upright.convert("RGBA").save("rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save("turned.png", exif=exif)
    Image.fromarray(np.asarray(upright).astype(np.uint16) * 257).save("deep.tiff")
    shutil.copy("digits/1.png", "no suffix")
    first, *others = scaler.predict("export", ["digits/1.png", "rgba.png", "turned.png", "deep.tiff", "no suffix"])
    for other in others:
        assert other.label == first.label
        assert other.probability == pytest.approx(first.probability, abs=1e-6)


def test_files_folders_and_patterns_are_found_in_order(inside: Path) -> None:
    for name in ("in/10.JPG", "in/9.jpg", "in/b/1.png", "in/.hidden.png", "in/notes.txt", "a[1].png", "in/b/x.tif"):
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).touch()
    assert find_images(["in/"]) == ["in/9.jpg", "in/10.JPG", "in/b/1.png", "in/b/x.tif"]
    assert find_images(["./in"]) == ["./in/9.jpg", "./in/10.JPG", "./in/b/1.png", "./in/b/x.tif"]
    assert find_images([str(inside / "in" / "b")]) == [str(inside / "in" / "b" / "1.png"), str(inside / "in/b/x.tif")]
    assert find_images(["in/b/x.tif", "in", "./a[1].png", "in/notes.txt"]) == [
        "in/b/x.tif",
        "in/9.jpg",
        "in/10.JPG",
        "in/b/1.png",
        "./a[1].png",
        "in/notes.txt",  # named, so it is tried
    ]
    assert find_images(["in/*.jpg", "in/*"]) == ["in/9.jpg", "in/10.JPG", "in/b/1.png", "in/b/x.tif"]
    assert find_images(["in/**"]) == ["in/9.jpg", "in/10.JPG", "in/b/1.png", "in/b/x.tif"]
    assert find_images(["**/*.png"])[:2] == ["a[1].png", "digits/1.png"]


def test_bad_pictures_are_named_or_left_out(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path("digits/2.png").read_bytes()
    Path("digits/2.png").write_bytes(whole[:-30])
    Path("digits/3.png").write_bytes(b"")
    Image.new("L", (60_000, 1)).save("digits/4.png")
    code, out, errors = run(capsys, "export", "digits")
    assert (code, out) == (2, "")
    assert "'digits/2.png' cannot be read: truncated" in errors
    assert "--skip-bad" in errors
    assert len(errors.splitlines()) == 1
    code, out, errors = run(capsys, "export", "digits", "--skip-bad", "--json", "--batch-size", "2")
    assert code == 0
    kept = [f"digits/{number}.png" for number in range(1, 13) if number not in (2, 3)]
    assert [record["file"] for record in json.loads(out)] == kept
    assert errors.splitlines() == [
        "left out: digits/2.png: truncated",
        "left out: digits/3.png: empty (0 bytes)",
        "2 of 12 images left out",
    ]
    told: list[tuple[str, str]] = []
    found = scaler.predict("export", "digits/3.png", on_bad=lambda file, reason: told.append((file, reason)))
    assert (found, told) == ([], [("digits/3.png", "empty (0 bytes)")])


def test_a_sliver_is_seen_by_its_middle_without_filling_the_memory(tmp_path: Path) -> None:
    write_color_export(tmp_path / "export")
    stripes = np.random.default_rng(0).integers(0, 256, (1, 200_000, 3), dtype=np.uint8)
    Image.fromarray(stripes).save(tmp_path / "line.png")
    Image.fromarray(stripes[:, 99_984:100_016]).save(tmp_path / "middle.png")
    (middle,) = scaler.predict(tmp_path / "export", tmp_path / "middle.png")
    before = memory_in_use(torch.device("cpu"))
    (line,) = scaler.predict(tmp_path / "export", tmp_path / "line.png")
    assert memory_in_use(torch.device("cpu")) - before < 300e6  # resized as it is, it would take 1.3 GB
    assert line.top == middle.top


@pytest.mark.usefixtures("inside")
def test_no_more_than_two_batches_are_read_ahead() -> None:
    files = find_images(["digits"])
    found = Predictor("export").predict(files, batch_size=1)
    assert next(found).file == "digits/1.png"
    time.sleep(0.5)
    Path("digits/12.png").write_bytes(b"")
    with pytest.raises(InputError, match="'digits/12.png' cannot be read: empty"):
        list(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "digits"], "dir: nowhere is no export, it has no config.json; name a folder that scaler export"),
        (["digits", "digits"], "dir: digits is no export"),
        (["pickled", "digits"], "dir: pickled is no export, it has no model.safetensors"),
        (
            ["damaged", "digits"],
            "dir: damaged/model.safetensors is damaged, its SHA-256 is not the config's; export it again",
        ),
        (["text", "digits"], "dir: text/config.json cannot be read (JSONDecodeError"),
        (["list", "digits"], "dir: list/config.json cannot be read (TypeError"),
        (["foreign", "digits"], "dir: foreign cannot be loaded (RuntimeError: Unknown model (resnet_of_tomorrow))"),
        (["short", "digits"], "dir: short names 2 classes, but its network has 10"),
        (["export", "nothing.png"], "images: there is no 'nothing.png'"),
        (["export", "nothing*.png"], "images: there is no image in 'nothing*.png'"),
        (["export", "empty"], "images: there is no image in 'empty'"),
        (["export"], "Missing argument 'IMAGE...'"),
        (["export", "digits", "--top", "0"], "top: 0 is too few"),
        (["export", "digits", "--batch-size", "0"], "batch_size: 0 is too few"),
        (["export", "digits", "--json", "--csv"], "--json: --csv is given as well"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (inside / "empty").mkdir()
    for name in ("pickled", "damaged", "text", "list", "foreign", "short"):
        shutil.copytree("export", name)
    Path("pickled/model.safetensors").rename("pickled/pytorch_model.bin")
    Path("damaged/model.safetensors").write_bytes(Path("damaged/model.safetensors").read_bytes()[:1000])
    Path("text/config.json").write_text("not JSON")
    Path("list/config.json").write_text("[]")
    config = json.loads(Path("foreign/config.json").read_text())
    Path("foreign/config.json").write_text(json.dumps({**config, "architecture": "resnet_of_tomorrow"}))
    rename_labels(Path("short"), ["a", "b"])
    code, out, errors = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_classes_without_names_are_numbered(inside: Path) -> None:
    rename_labels(inside / "export", None)
    assert Predictor("export").labels == tuple(str(digit) for digit in range(10))


def test_no_images_at_all() -> None:
    with pytest.raises(InputError, match="images: none are named"):
        find_images([])
