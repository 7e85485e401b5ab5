"""The export as a whole, on a trained study: what is written, and that it is whole or not there."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

import scaler
from scaler import InputError
from scaler.exporter import ExportError, exporting
from scaler.workflow import study_data
from tests.conftest import FULL
from tests.exporter.conftest import trials


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())} if folder.exists() else {}


def an_earlier_export(folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "labels.txt").write_text("what the next one does not have")
    return contents(folder)


def test_an_export_is_the_trained_network_and_says_where_it_is_from(inside: Path, tmp_path: Path) -> None:
    found = scaler.export("tiny.toml", "best", tmp_path / "out")
    assert (found.tier, found.weights, found.images, found.max_difference) == ("stock", "final", 720, 0.0)
    assert list(contents(found.folder)) == ["README.md", "config.json", "model.safetensors"]
    assert {file.stat().st_mode & 0o777 for file in found.folder.iterdir()} == {0o644}
    content = json.loads((found.folder / "config.json").read_text())
    last = trials("train")[-1]
    assert found.recorded == last.user_attrs["accuracy"]
    network = scaler.from_dict(content["scaler"]["architecture"])
    _, data = study_data(scaler.load_study("tiny.toml"))
    loaded = timm.create_model(f"local-dir:{found.folder}", pretrained=True).eval()
    store = inside / "runs" / "tiny" / "artifacts" / last.user_attrs["weights"]
    weights = load_file(store)
    assert all(torch.equal(weights[name], tensor) for name, tensor in loaded.state_dict().items())
    assert content["label_names"] == [str(digit) for digit in range(10)]
    assert content["pretrained_cfg"]["tag"] == "scaler_tiny"
    assert content["pretrained_cfg"]["mean"] == list(data.mean)
    assert "arxiv" not in json.dumps(content).lower()
    about = content["scaler"]
    assert (about["study"], about["trial"], about["digest"]) == ("tiny", last.user_attrs["repeats"], network.digest)
    assert (about["weights"], about["seed"], about["epochs"]) == ("final", 1, 3)
    assert about["command"] == f"scaler export tiny --trial {about['trial']} --weights final --to DIR"
    assert about["versions"]["timm"] == timm.__version__


def test_an_export_that_fails_its_check_leaves_no_folder(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(state: dict, file: Path, metadata: dict | None = None) -> None:
        save({key: tensor + 1 if key == "fc.bias" else tensor for key, tensor in state.items()}, file, metadata)

    save = exporting.save_tensors
    monkeypatch.setattr(exporting, "save_tensors", damaged)
    with pytest.raises(ExportError, match="logits differ by up to 1"):
        scaler.export("tiny.toml", "best", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_export_overwrites_only_an_export_and_only_when_told(inside: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    earlier = an_earlier_export(out)
    with pytest.raises(InputError, match="is not empty; choose another folder, or replace it with --force"):
        scaler.export("tiny.toml", 1, out)
    assert contents(out) == earlier
    scaler.export("tiny.toml", 1, out, force=True)
    assert list(contents(out)) == ["README.md", "config.json", "model.safetensors"]
    assert list(tmp_path.iterdir()) == [out]
    diary = tmp_path / "diary"
    diary.mkdir()
    (diary / "monday.txt").write_text("dear diary")
    with pytest.raises(InputError, match="holds something other than an export"):
        scaler.export("tiny.toml", 1, diary, force=True)
    with pytest.raises(InputError, match="is a file; name a folder"):
        scaler.export("tiny.toml", 1, diary / "monday.txt")
    with pytest.raises(InputError, match=r"trial: '99' is no completed trial of tiny; 'best' or one of \[0, 1\]"):
        scaler.export("tiny.toml", "99", tmp_path / "new")


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, there: bool) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    before = an_earlier_export(elsewhere) if there else {}
    out.symlink_to(elsewhere)
    with exporting._whole_or_not_there(out) as staged:
        (staged / "README.md").write_text("new")
    assert contents(elsewhere) == before
    assert contents(out) == {"README.md": b"new"}
    assert not out.is_symlink()
    assert {file.name for file in tmp_path.iterdir()} == ({"elsewhere", "out"} if there else {"out"})


@pytest.mark.parametrize("replacing", [False, True] if FULL else [True])
@pytest.mark.usefixtures("inside")
def test_a_killed_export_leaves_what_was_there(tmp_path: Path, replacing: bool) -> None:
    """Killed at several moments after it has begun to write."""
    target = tmp_path / "out"
    before = an_earlier_export(target) if replacing else {}
    command = [sys.executable, "-m", "scaler", "export", "tiny.toml", "--to", str(target), "--force"]
    for moment in (0, 0.3, 1, 2) if FULL else (1,):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        while not list(tmp_path.glob(".out-*/config.json")):
            assert process.poll() is None, "the export ended before it was killed"
            time.sleep(0.01)
        time.sleep(moment)
        assert process.poll() is None, "the export ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert contents(target) == before
        (left,) = set(tmp_path.iterdir()) - {target}
        assert left.name.startswith(".out-")
        assert left.name.endswith(".partial")
        assert "README.md" not in contents(left)
        shutil.rmtree(left)
