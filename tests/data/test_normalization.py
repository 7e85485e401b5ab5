"""Normalisation: the textbook's figures, in one layout, whatever comes in."""

import dataclasses

import pytest
import torch

from scaler.data import DataConfig, Dataset, load_data, normalize

LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataConfig(name="digits"), 8)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("wanted", LAYOUTS)
@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.3,)), ((0.1, 0.5, 0.9), (0.2, 0.3, 0.4))])
@pytest.mark.parametrize("side", [1, 20, 200])
def test_pixels_are_normalized_channel_by_channel_into_the_layout_wanted(
    digits: Dataset,
    dtype: torch.dtype,
    layout: torch.memory_format,
    wanted: torch.memory_format,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    side: int,
) -> None:
    data = dataclasses.replace(digits, mean=mean, std=std)
    images = torch.randint(0, 256, (7, len(mean), side, side), dtype=torch.uint8).contiguous(memory_format=layout)
    normalized = normalize(images.to(dtype), data, wanted)
    expected = images.double() / 255
    for channel in range(len(mean)):
        expected[:, channel] = (expected[:, channel] - mean[channel]) / std[channel]
    assert normalized.dtype == torch.float32
    assert normalized.stride() == torch.empty(images.shape, memory_format=wanted).stride()
    assert (normalized - expected).abs().max() < 1e-5
