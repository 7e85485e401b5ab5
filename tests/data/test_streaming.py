import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scaler.data import DataConfig, Split, load_data
from scaler.data.pixels import Mapped, Streamed
from scaler.errors import WorkError
from tests.data.conftest import write_classes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    folder = tmp_path_factory.mktemp("stream")
    write_classes(folder / "photos", {"a": 30, "b": 30})
    return DataConfig(name=f"folder:{folder / 'photos'}", cache=str(folder / "cache"), workers=2)


def batches(split: Split, order: torch.Tensor | None, side: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(split.batches(order, 7, side, CPU))


def test_past_the_limit_the_same_batches_are_decoded_as_they_are_wanted(
    config: DataConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from scaler.data import dataset

    monkeypatch.setattr(dataset, "_KEPT_ON_CPU", 0)  # nothing is kept, so that every batch is decoded
    size = 60 * 3 * 16 * 16
    mapped = load_data(replace(config, cache_limit=size / 1e9), 16)
    with caplog.at_level(logging.INFO, "scaler"):
        streamed = load_data(replace(config, cache_limit=(size - 1) / 1e9), 16)
        assert caplog.text.count("streamed") == 1
    assert isinstance(mapped.train._pixels, Mapped)
    assert isinstance(streamed.train._pixels, Streamed)
    assert (streamed.mean, streamed.std) == (mapped.mean, mapped.std)  # the sample of 2,000 is all of them
    generator = torch.Generator().manual_seed(0)
    for side in (16, 11):
        for order in (torch.randperm(36, generator=generator), torch.randperm(36, generator=generator)[:20], None):
            for (images, labels), (expected, answers) in zip(
                batches(streamed.train, order, side), batches(mapped.train, order, side), strict=True
            ):
                assert images.dtype == torch.uint8
                assert torch.equal(images, expected)
                assert torch.equal(labels, answers)
    abandoned = streamed.train.batches(None, 2, 16, CPU)
    next(abandoned)
    for (images, _), (expected, _) in zip(
        batches(streamed.train, None, 16), batches(mapped.train, None, 16), strict=True
    ):
        assert torch.equal(images, expected)


def test_a_streamed_data_set_leaves_no_pixels_on_disk(config: DataConfig, tmp_path: Path) -> None:
    data = load_data(replace(config, cache=str(tmp_path / "cache"), cache_limit=0.0), 16)
    assert not list((tmp_path / "cache").glob("*.u8"))
    assert len(batches(data.validation, None, 16)) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_picture_that_goes_away_is_named(tmp_path: Path, workers: int) -> None:
    root = write_classes(tmp_path / "photos", {"a": 10, "b": 10})
    data = load_data(
        DataConfig(name=f"folder:{root}", cache=str(tmp_path / "cache"), cache_limit=0.0, workers=workers), 12
    )
    for file in root.rglob("*.png"):
        file.unlink()
    with pytest.raises(WorkError, match=r"\.png \(no such file or directory\) can no longer be read") as raised:
        list(data.train.batches(None, 4, 12, CPU))
    assert "\n" not in str(raised.value)
    with pytest.raises(WorkError, match=r"\.png can no longer be read \(no such file or directory\)"):
        list(data.test.pictures())
