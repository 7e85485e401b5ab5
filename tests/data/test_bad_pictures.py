import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from scaler import InputError
from scaler.data import DataConfig, load_data
from tests.data.conftest import write_classes


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Forty pictures of which five cannot be read."""
    root = write_classes(tmp_path / "d", {"a": 20, "b": 20})
    for index in (0, 3, 7):
        file = root / "a" / f"{index}.png"
        file.write_bytes(file.read_bytes()[:-40])
    (root / "b" / "1.png").write_bytes(b"")
    (root / "b" / "2.png").write_text("this is no picture")
    return root


@pytest.mark.parametrize("limit", [32.0, 0.0])
def test_by_default_bad_pictures_are_an_error_that_names_three(broken: Path, cache: str, limit: float) -> None:
    config = DataConfig(name=f"folder:{broken}", cache=cache, cache_limit=limit)
    for _ in range(2):
        with pytest.raises(InputError, match=r"^data\.name: 5 of 40 pictures of folder:.* cannot be read: ") as raised:
            load_data(config, 16)
        message = str(raised.value)
        assert sum(f"{name}.png (" in message for name in ("a/0", "a/3", "a/7", "b/1", "b/2")) == 3
        assert message.endswith(', ...; repair or remove them, or set data.bad_images = "skip"')


@pytest.mark.parametrize("limit", [32.0, 0.0])
def test_skipped_pictures_are_in_no_split(
    broken: Path, cache: str, limit: float, caplog: pytest.LogCaptureFixture
) -> None:
    config = DataConfig(name=f"folder:{broken}", cache=cache, bad_images="skip", cache_limit=limit, workers=1)
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING, "scaler"):
            data = load_data(config, 16)
        assert "5 pictures that cannot be read are left out" in caplog.text
        assert sorted(text.split(" (")[0] for text in data.skipped) == [
            "a/0.png",
            "a/3.png",
            "a/7.png",
            "b/1.png",
            "b/2.png",
        ]
        assert any("truncated" in text for text in data.skipped)
        splits = (data.train, data.validation, data.test)
        assert sum(len(split) for split in splits) == 35
        assert sum(torch.bincount(split.labels) for split in splits).tolist() == [17, 18]
        for split in splits:
            images = torch.cat([images for images, _ in split.batches(None, 4, 16, torch.device("cpu"))])
            pictures = list(split.pictures())
            assert len(images) == len(pictures) == len(split)
            for image, picture in zip(images, pictures, strict=True):
                if picture.size == (18, 18):
                    continue
                width, height = picture.size
                center = picture.crop(((width - 16) // 2, (height - 16) // 2, (width + 16) // 2, (height + 16) // 2))
                assert torch.equal(image, torch.from_numpy(np.array(center).transpose(2, 0, 1)))
            assert all(image.any() for image in images)
    records = [json.loads(file.read_text()) for file in Path(cache).glob("*.json")]
    assert sum(len(record["skipped"]) for record in records) == 5


def test_what_was_skipped_is_an_error_again_when_asked(broken: Path, cache: str) -> None:
    load_data(DataConfig(name=f"folder:{broken}", cache=cache, bad_images="skip"), 16)
    with pytest.raises(InputError, match="5 of 40"):
        load_data(DataConfig(name=f"folder:{broken}", cache=cache), 16)


def test_repaired_pictures_are_decoded_again(broken: Path, cache: str) -> None:
    config = DataConfig(name=f"folder:{broken}", cache=cache, bad_images="skip")
    load_data(config, 16)
    good = (broken / "a" / "1.png").read_bytes()
    for name in ("a/0", "a/3", "a/7", "b/1", "b/2"):
        (broken / f"{name}.png").write_bytes(good)
    assert load_data(config, 16).skipped == ()


def test_a_class_of_which_nothing_is_left_is_refused(broken: Path, cache: str) -> None:
    for index in range(20):
        (broken / "b" / f"{index}.png").write_bytes(b"")
    with pytest.raises(InputError, match="class 'b' of .* has too few pictures"):
        load_data(DataConfig(name=f"folder:{broken}", cache=cache, bad_images="skip"), 16)
