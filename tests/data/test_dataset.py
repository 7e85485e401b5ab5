import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from scaler import InputError
from scaler.data import DataConfig, Dataset, Split, dataset, load_data, normalize, open_source
from scaler.scoring import timm_batches
from tests.data.conftest import write_classes

CPU = torch.device("cpu")


def images_of(split: Split, side: int, order: torch.Tensor | None = None, batch_size: int = 100) -> torch.Tensor:
    return torch.cat([images for images, _ in split.batches(order, batch_size, side, CPU)])


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataConfig(name="digits"), 64)


@pytest.fixture
def photos(tmp_path: Path, cache: str) -> DataConfig:
    write_classes(tmp_path / "photos", {"cat": 12, "dog": 12, "김치찌개": 12})
    return DataConfig(name=f"folder:{tmp_path / 'photos'}", cache=cache)


def test_splits_are_stratified_disjoint_and_fixed_by_seed(digits: Dataset) -> None:
    again = load_data(DataConfig(name="digits"), 64)
    other = load_data(DataConfig(name="digits", seed=1), 64)
    assert torch.equal(images_of(digits.test, 8), images_of(again.test, 8))
    assert not torch.equal(images_of(digits.test, 8), images_of(other.test, 8))
    sizes = [len(split) for split in (digits.train, digits.validation, digits.test)]
    assert sum(sizes) == 1797
    assert sizes[1:] == [360, 360]
    for split in (digits.train, digits.validation, digits.test):
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert (shares - 0.1).abs().max() < 0.01


def test_no_image_is_lost_or_in_two_splits(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    splits = (digits.train, digits.validation, digits.test)
    rows = torch.cat([torch.cat([images_of(s, 8).flatten(1).long(), s.labels[:, None]], dim=1) for s in splits])
    source = load_digits()
    expected = torch.from_numpy(source.data * (255 / 16)).round().long()
    expected = torch.cat([expected, torch.from_numpy(source.target)[:, None]], dim=1)
    assert sorted(rows.tolist()) == sorted(expected.tolist())


def test_digits_are_resized_from_their_own_eight_pixels(digits: Dataset) -> None:
    assert (digits.resolution, digits.flip, digits.channels) == (32, False, 1)
    own = images_of(digits.validation, 8)
    expected = resize(own, [32, 32], InterpolationMode.BICUBIC, antialias=True)
    assert torch.equal(images_of(digits.validation, 32), expected)


def test_digits_leave_nothing_on_disk(cache: str) -> None:
    assert len(pickle.dumps(load_data(DataConfig(name="digits", cache=cache), 64))) < 1_000_000
    assert not Path(cache).exists()


def test_normalized_training_images_have_zero_mean_and_unit_variance(digits: Dataset) -> None:
    images = normalize(images_of(digits.train, 8), digits)
    assert images.mean().abs() < 1e-4
    assert abs(images.std().item() - 1) < 1e-3


def test_mean_and_deviation_are_exact_per_channel(photos: DataConfig) -> None:
    data = load_data(photos, 12)
    pixels = images_of(data.train, 12).double() / 255
    assert data.mean == pytest.approx(pixels.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert data.std == pytest.approx(pixels.std(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert len(set(data.mean)) == 3


@pytest.mark.parametrize("side", [8, 18, 32, 50])
def test_the_fast_path_sees_what_a_timm_user_sees(digits: Dataset, side: int) -> None:
    fast = normalize(images_of(digits.validation, side), digits)
    slow = torch.cat(list(timm_batches(digits, digits.validation, side)))
    assert fast.shape == slow.shape
    grey_level = 1 / 255 / digits.std[0]
    assert (fast - slow).abs().max() <= 2.5 * grey_level
    assert (fast - slow).abs().mean() <= 0.1 * grey_level


@pytest.mark.parametrize("side", [12, 16, 31])
def test_pictures_decoded_at_a_side_are_timms_pixels_at_that_side(photos: DataConfig, side: int) -> None:
    data = load_data(photos, side)
    plain = create_transform(
        (3, side, side), interpolation="bicubic", crop_pct=1.0, crop_mode="center", normalize=False
    )
    for split in (data.train, data.validation, data.test):
        pictures = list(split.pictures())
        assert {picture.size for picture in pictures} <= {(20, 16), (16, 24), (18, 18)}
        assert torch.equal(images_of(split, side), torch.stack([plain(picture) for picture in pictures]))


def test_a_sliver_is_decoded_without_being_blown_up(tmp_path: Path, cache: str) -> None:
    write_classes(tmp_path / "slivers", {"a": 8, "b": 8}, sizes=[(1, 60_000), (60_000, 1)])
    data = load_data(DataConfig(name=f"folder:{tmp_path / 'slivers'}", resolution=64, cache=cache), 64)
    assert images_of(data.train, 64).shape == (9, 3, 64, 64)


@pytest.mark.parametrize("room", [0, 2**29])
@pytest.mark.parametrize("side", [12, 9])
def test_batches_follow_the_order(photos: DataConfig, monkeypatch: pytest.MonkeyPatch, room: int, side: int) -> None:
    data = load_data(photos, 12)
    whole = images_of(data.train, side)
    monkeypatch.setattr(dataset, "_KEPT_ON_CPU", room)
    train = load_data(photos, 12).train
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(3))[:-2]
    batches = list(train.batches(order, 4, side, CPU))
    assert [len(labels) for _, labels in batches] == [4, 4, 4, 4, 3]
    assert torch.equal(torch.cat([images for images, _ in batches]), whole[order])
    assert torch.equal(torch.cat([labels for _, labels in batches]), train.labels[order])
    assert [len(labels) for _, labels in train.batches(None, 9, side, CPU)] == [9, 9, 3]
    assert torch.equal(images_of(train, side), whole)
    assert not list(train.batches(torch.arange(0), 4, side, CPU))
    for images, _ in train.batches(None, 9, side, CPU):
        images.zero_()
    assert torch.equal(images_of(train, side), whole)


def test_squares_of_one_smaller_size_are_stored_as_they_are(tmp_path: Path, cache: str) -> None:
    root = write_classes(tmp_path / "small", {"a": 10, "b": 10}, sizes=[(12, 12)])
    data = load_data(DataConfig(name=f"folder:{root}", cache=cache), 64)
    own = torch.stack([torch.from_numpy(_array(picture)) for picture in data.train.pictures()])
    assert torch.equal(images_of(data.train, 12), own)
    assert max(file.stat().st_size for file in Path(cache).glob("*.u8")) == len(data.train) * 3 * 12 * 12
    write_classes(root, {"c": 10}, sizes=[(14, 14)])
    data = load_data(DataConfig(name=f"folder:{root}", cache=cache), 64)
    assert max(file.stat().st_size for file in Path(cache).glob("*.u8")) == len(data.train) * 3 * 64 * 64


def _array(picture: Image.Image):
    import numpy as np

    return np.array(picture).transpose(2, 0, 1)


def test_a_dataset_works_in_another_process(photos: DataConfig, tmp_path: Path) -> None:
    data = load_data(photos, 12)
    images_of(data.train, 12)
    (tmp_path / "data.pickle").write_bytes(pickle.dumps(data))
    script = f"""
import pickle, torch
data = pickle.loads(open({str(tmp_path / "data.pickle")!r}, "rb").read())
images = torch.cat([images for images, _ in data.train.batches(None, 5, 9, torch.device("cpu"))])
print(len(list(data.test.pictures())), int(images.long().sum()), data.classes[2])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(data.test)), str(int(images_of(data.train, 9).long().sum())), "김치찌개"]


def test_a_source_and_its_config_load_alike(photos: DataConfig) -> None:
    source = open_source(photos)
    one, two = load_data(source, 12), load_data(photos, 12)
    assert torch.equal(images_of(one.test, 12), images_of(two.test, 12))
    assert torch.equal(one.test.labels, torch.from_numpy(source.test.labels))
    assert (one.classes, one.mean, one.resolution, one.channels) == (source.classes, two.mean, source.resolution, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "digit"}, r"^data\.name: 'digit' is unknown \(did you mean 'digits'\?\); give digits, folder:PATH"),
        ({"name": "torch/fashion_minst"}, r"^data\.name: .* \(did you mean 'torch/fashion_mnist'\?\)"),
        ({"name": "cifar10"}, r"\(did you mean 'torch/cifar10'\?\)"),
        ({"name": "tfds/mnist"}, "front to back; use hfds/mnist"),
        ({"name": "folder:"}, "the path is empty"),
        ({"test": 0.9}, r"^data\.test: 0\.9 is no share"),
        ({"channels": 4}, r"^data\.channels: 4 is neither"),
        ({"resolution": 2}, r"^data\.resolution: 2 is no side"),
        ({"seed": -1}, r"^data\.seed: -1"),
        ({"bad_images": "ignore"}, r"^data\.bad_images: 'ignore' is unknown"),
        ({"cache_limit": -1.0}, r"^data\.cache_limit: -1\.0"),
        ({"workers": 0}, r"^data\.workers: 0"),
    ],
)
def test_wrong_data_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DataConfig(**{"name": "digits", **settings})
