import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from scaler import InputError
from scaler.data import DataConfig, load_data
from tests.conftest import FULL
from tests.data.conftest import write_classes

LOAD = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from scaler.data import DataConfig, load_data
print("ready", flush=True)
sys.stdin.readline()
data = load_data(DataConfig(name="folder:" + sys.argv[1], cache=sys.argv[2], workers=2), 32)
print("loaded", len(data.train), data.mean)
"""  # no `if __name__ == "__main__"`: a user's script has none


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough pictures for a pool of processes."""
    return write_classes(tmp_path_factory.mktemp("many"), {"a": 400, "b": 400}, sizes=[(90, 70), (64, 80)])


def start(script: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def images_of(config: DataConfig, side: int = 32) -> torch.Tensor:
    data = load_data(config, side)
    return torch.cat([images for images, _ in data.train.batches(None, 50, side, torch.device("cpu"))])


def test_two_writers_at_once_make_one_cache(many: Path, tmp_path: Path) -> None:
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    processes = [start(script, str(many), str(tmp_path / "cache")) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0].splitlines()[-1] == outputs[1].splitlines()[-1]
    assert outputs[0].splitlines()[-1].startswith("loaded 480 ")
    decoded = [line for output in outputs for line in output.splitlines() if "decoding" in line]
    assert len(decoded) == 3, "each split is decoded by one of the two"
    assert "waiting for it" in "".join(outputs)
    assert "train: decoded: 480 of 480 pictures" in "".join(outputs)
    assert len(list((tmp_path / "cache").glob("*.u8"))) == 3
    assert not list((tmp_path / "cache").glob("*.tmp"))
    pooled = images_of(DataConfig(name=f"folder:{many}", cache=str(tmp_path / "cache")))
    assert torch.equal(pooled, images_of(DataConfig(name=f"folder:{many}", cache=str(tmp_path / "alone"), workers=1)))


@pytest.mark.parametrize("repeat", range(8 if FULL else 2))
def test_a_killed_writer_leaves_nothing_that_looks_whole(many: Path, tmp_path: Path, repeat: int) -> None:
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    cache = tmp_path / "cache"
    process = start(script, str(many), str(cache))
    process.stdout.readline()
    process.stdin.write("go\n")
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not list(cache.glob("*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.Random(repeat).random() * (0.0 if repeat == 0 else 4.0))
    workers = _descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    for _ in range(1200):  # one that was just starting loads torch first
        if not any(_alive(worker) for worker in workers):
            break
        time.sleep(0.05)
    assert not any(_alive(worker) for worker in workers), "decoding goes on without the one that asked for it"
    config = DataConfig(name=f"folder:{many}", cache=str(cache), workers=1)
    expected = images_of(DataConfig(name=f"folder:{many}", cache=str(tmp_path / "other"), workers=1))
    assert torch.equal(images_of(config), expected)
    assert not list(cache.glob("*.tmp"))


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def few(tmp_path: Path, cache: str) -> DataConfig:
    write_classes(tmp_path / "few", {"a": 12, "b": 12})
    return DataConfig(name=f"folder:{tmp_path / 'few'}", cache=cache)


def _truncate(pixels: Path, record: Path) -> None:
    found = pixels.stat()
    os.truncate(pixels, found.st_size - 1)
    os.utime(pixels, ns=(found.st_atime_ns, found.st_mtime_ns))


def _flip(pixels: Path, record: Path) -> None:
    content = bytearray(pixels.read_bytes())
    content[len(content) // 2] ^= 255
    pixels.write_bytes(content)


def _lose(pixels: Path, record: Path) -> None:
    pixels.unlink()


def _tear_record(pixels: Path, record: Path) -> None:
    record.write_text(record.read_text()[:-20])


def _empty_record(pixels: Path, record: Path) -> None:
    record.write_text("{}")


@pytest.mark.parametrize("damage", [_truncate, _flip, _lose, _tear_record, _empty_record])
def test_a_damaged_cache_is_built_anew(few: DataConfig, caplog: pytest.LogCaptureFixture, damage) -> None:
    expected = images_of(few)
    record = next(
        file for file in Path(few.cache_folder).glob("*.json") if json.loads(file.read_text())["split"] == "train"
    )
    pixels = record.with_suffix(".u8")
    content = pixels.read_bytes()
    damage(pixels, record)
    with caplog.at_level(logging.INFO, "scaler"):
        assert torch.equal(images_of(few), expected)
    assert caplog.text.count("decoding") == 1
    assert pixels.read_bytes() == content


def test_a_whole_cache_is_used_again(few: DataConfig, caplog: pytest.LogCaptureFixture) -> None:
    images_of(few)
    for file in Path(few.cache_folder).glob("*.u8"):
        os.utime(file)  # a copied cache has new times, and the same content
    with caplog.at_level(logging.INFO, "scaler"):
        images_of(few)
    assert "decoding" not in caplog.text


@pytest.mark.parametrize("change", ["side", "channels", "seed", "touched", "renamed"])
def test_what_changes_the_pixels_changes_the_cache(
    few: DataConfig, caplog: pytest.LogCaptureFixture, change: str, tmp_path: Path
) -> None:
    from dataclasses import replace

    load_data(few, 12)
    config, side = few, 12
    file = tmp_path / "few" / "a" / "0.png"
    if change == "side":
        side = 14
    elif change == "touched":
        os.utime(file, (1, 1))
    elif change == "renamed":
        file.rename(file.with_name("zero.png"))
    else:
        config = replace(few, **{change: 1})
    with caplog.at_level(logging.INFO, "scaler"):
        load_data(config, side)
    assert "decoding" in caplog.text


def test_temporary_files_of_the_dead_are_swept_and_of_the_living_are_not(few: DataConfig) -> None:
    from filelock import FileLock

    folder = few.cache_folder
    folder.mkdir()
    (folder / "dead.123.tmp").write_bytes(b"x")
    (folder / "living.124.tmp").write_bytes(b"x")
    with FileLock(folder / "living.lock"):
        load_data(few, 12)
        assert [file.name for file in folder.glob("*.tmp")] == ["living.124.tmp"]


def test_a_cache_folder_that_cannot_be_is_named(few: DataConfig, tmp_path: Path) -> None:
    from dataclasses import replace

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"^data\.cache: .*file cannot be written \(.*\); name another folder"):
        load_data(replace(few, cache=str(tmp_path / "file")), 12)


def test_too_little_room_is_noticed_before_the_work(few: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 5))
    with pytest.raises(InputError, match=r"^data\.cache: .* GB free of .* GB needed; make room"):
        load_data(few, 12)
    assert not list(few.cache_folder.glob("*.tmp"))


def test_the_default_folder_obeys_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert DataConfig(name="digits").cache_folder == tmp_path / ".cache" / "scaler"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert DataConfig(name="digits").cache_folder == tmp_path / "xdg" / "scaler"
    assert DataConfig(name="digits", cache="~/c").cache_folder == tmp_path / "c"
