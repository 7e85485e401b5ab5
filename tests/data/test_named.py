import gzip
import io
import json
import struct
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from scaler import InputError
from scaler.data import DataConfig, load_data, open_source
from tests.data.conftest import write_classes

SPLITS = {"train": 200, "t10k": 50}


def write_idx(folder: Path, *, zipped: bool) -> None:
    """Random images in MNIST's four files."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for name, count in SPLITS.items():
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
            file = folder / f"{name}-{kind}-ubyte"
            if zipped:
                file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(content))
            else:
                file.write_bytes(content)


@pytest.mark.parametrize(("below", "zipped"), [("", True), ("", False), ("FashionMNIST/raw", False), ("raw", True)])
def test_fashion_mnist_is_found_wherever_its_files_lie(tmp_path: Path, cache: str, below: str, zipped: bool) -> None:
    root = tmp_path / "files"
    write_idx(root / below, zipped=zipped)
    before = sorted(root.rglob("*"))
    data = load_data(DataConfig(name="torch/fashion_mnist", root=str(root), cache=cache), 64)
    assert sorted(root.rglob("*")) == before
    assert data.classes == tuple(torchvision.datasets.FashionMNIST.classes)
    assert (data.channels, data.resolution, data.flip) == (1, 28, True)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [160, 40, 50]
    if not zipped:
        raw = tmp_path / "torch" / "FashionMNIST"
        raw.mkdir(parents=True)
        (raw / "raw").symlink_to(root / below)
        theirs = torchvision.datasets.FashionMNIST(str(tmp_path / "torch"), train=False)
        images, labels = next(data.test.batches(None, 50, 28, torch.device("cpu")))
        assert torch.equal(images[:, 0], theirs.data)
        assert torch.equal(labels, theirs.targets)
        assert np.array_equal([np.array(picture) for picture in data.test.pictures()], theirs.data.numpy())


def test_digits_of_mnist_are_not_mirrored(tmp_path: Path) -> None:
    write_idx(tmp_path, zipped=True)
    assert not open_source(DataConfig(name="torch/mnist", root=str(tmp_path))).flip


def test_damaged_and_missing_idx_files_are_named(tmp_path: Path) -> None:
    config = DataConfig(name="torch/mnist", root=str(tmp_path))
    with pytest.raises(
        InputError, match=r"^data\.root: .* has no train-images-idx3-ubyte, gzipped or not; give the folder"
    ):
        open_source(config)
    write_idx(tmp_path, zipped=True)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    for content, message in (
        (whole[:-1000], "cannot be read"),
        (gzip.compress(b"\0\0\x08\x03abc"), "is no whole IDX file"),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^data\.root: .*{message}"):
            open_source(config)
    file.write_bytes(whole)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes((tmp_path / "t10k-labels-idx1-ubyte.gz").read_bytes())
    with pytest.raises(InputError, match="has 200 pictures for 50 labels"):
        open_source(config)


def test_a_root_is_asked_for_and_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data\.root: missing; give the folder in which torch/cifar10 lies"):
        open_source(DataConfig(name="torch/cifar10"))
    with pytest.raises(InputError, match=r"^data\.root: there is no folder .*nowhere"):
        open_source(DataConfig(name="torch/cifar10", root=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match=r"^data\.root: torch/cifar10 cannot be opened in .*; check name and root"):
        open_source(DataConfig(name="torch/cifar10", root=str(tmp_path)))


def test_a_data_set_of_torchvisions_is_opened_by_timm(tmp_path: Path, cache: str) -> None:
    for split, count in (("train", 10), ("validation", 4)):
        write_classes(tmp_path / "d" / split, {"a": count, "b": count}, sizes=[(20, 16)])
    data = load_data(DataConfig(name="torch/image_folder", root=str(tmp_path / "d"), cache=cache), 16)
    assert data.classes == ("a", "b")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [16, 4, 8]
    images, labels = next(data.test.batches(None, 8, 16, torch.device("cpu")))
    assert labels.tolist() == [0] * 4 + [1] * 4
    expected = Image.open(tmp_path / "d" / "validation" / "a" / "0.png").crop((2, 0, 18, 16))
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), np.array(expected))


def write_shard(file: Path, labels: list[int]) -> None:
    with tarfile.open(file, "w") as tar:
        for index, label in enumerate(labels):
            stream = io.BytesIO()
            Image.new("RGB", (24, 20), (label * 40, index, 7)).save(stream, "PNG")
            for suffix, content in (("png", stream.getvalue()), ("cls", str(label).encode())):
                member = tarfile.TarInfo(f"{file.stem}-{index:04}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("told", [True, False])
def test_shards_are_read_where_they_lie(tmp_path: Path, cache: str, told: bool) -> None:
    names = {"train": ["train-0.tar", "train-1.tar"], "validation": ["validation-0.tar"], "test": ["test-0.tar"]}
    for files in names.values():
        for file in files:
            write_shard(tmp_path / file, [0, 1, 2] * 4)
    if told:
        told_splits = {split: {"filenames": files, "num_samples": 12} for split, files in names.items()}
        (tmp_path / "info.json").write_text(json.dumps({"splits": told_splits}))
    data = load_data(DataConfig(name="wds/things", root=str(tmp_path), cache=cache), 16)
    assert data.classes == ("0", "1", "2")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [24, 12, 12]
    images, labels = next(data.train.batches(None, 24, 16, torch.device("cpu")))
    assert images[:, 0, 8, 8].tolist() == (labels * 40).tolist()
    assert [picture.getpixel((0, 0)) for picture in data.test.pictures()][4] == (40, 4, 7)


def test_a_folder_without_train_shards_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "other.tar", [0, 1])
    with pytest.raises(InputError, match=r"^data\.root: .* has no train shards"):
        open_source(DataConfig(name="wds/things", root=str(tmp_path)))
    (tmp_path / "train.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(InputError, match=r"^data\.root: shard .*train\.tar cannot be read"):
        open_source(DataConfig(name="wds/things", root=str(tmp_path)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # so that importing it fails, installed or not
    with pytest.raises(InputError, match="hfds/beans needs the package datasets; install it with pip install datasets"):
        open_source(DataConfig(name="hfds/beans"))
