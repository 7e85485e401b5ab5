"""Augmentation: what is drawn, and that each sample gets what torchvision's functions give it alone."""

import dataclasses

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from scaler import InputError
from scaler.data import Augmentation, Draws
from scaler.data.operations import (
    _erase_at_once,
    _erase_one_by_one,
    _resize_at_once,
    _resize_one_by_one,
    _shift_at_once,
    _shift_one_by_one,
)

ALL = Augmentation(resized_crop=0.35, shift=0.2, flip=True, color_jitter=0.4, erasing=0.5)
LAYOUTS = (torch.contiguous_format, torch.channels_last)
SHIFTS = (_shift_one_by_one, _shift_at_once)
RESIZES = (_resize_one_by_one, _resize_at_once)
ERASURES = (_erase_one_by_one, _erase_at_once)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(
    count: int, channels: int, side: int, layout: torch.memory_format = torch.contiguous_format
) -> torch.Tensor:
    images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=generator(1))
    return images.contiguous(memory_format=layout)


def rows_of(draws: Draws) -> dict[str, torch.Tensor]:
    rows = {field.name: getattr(draws, field.name) for field in dataclasses.fields(draws)}
    return {name: drawn for name, drawn in rows.items() if drawn is not None}


def test_nothing_drawn_is_the_very_input_and_leaves_the_generator_alone() -> None:
    images, source = pictures(3, 3, 8), generator()
    for nothing in (Augmentation(), Augmentation(resized_crop=1), Augmentation(shift=0.01)):
        draws = nothing.draw(3, 8, 3, source)
        assert not rows_of(draws)
        assert nothing.apply(images, draws) is images
    assert torch.equal(source.get_state(), generator().get_state())


def test_what_is_drawn_differs_within_a_batch_and_is_fixed_by_the_generator() -> None:
    draws, again, other = (rows_of(ALL.draw(60, 40, 3, generator(seed))) for seed in (3, 3, 4))
    assert set(draws) == {"crop", "shift", "mirror", "factors", "erased"}
    for name, drawn in draws.items():
        assert len(drawn) == 60
        assert len(drawn.unique(dim=0)) >= (2 if name == "mirror" else 20), name
        assert torch.equal(drawn, again[name])
        assert not torch.equal(drawn, other[name])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_batch_is_augmented_alike_however_it_is_cut(channels: int, layout: torch.memory_format) -> None:
    images = pictures(23, channels, 30, layout)
    draws = ALL.draw(23, 30, channels, generator())
    whole = ALL.apply(images, draws)
    assert whole.dtype == torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 255
    parts = [ALL.apply(images[i : i + 5], draws[i : i + 5]) for i in range(0, 23, 5)]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(images, pictures(23, channels, 30))


@pytest.mark.parametrize("setting", ["resized_crop", "shift", "flip", "erasing"])
def test_what_moves_pixels_only_stays_uint8(setting: str) -> None:
    augmentation = dataclasses.replace(Augmentation(), **{setting: getattr(ALL, setting)})
    images = pictures(20, 3, 30)
    moved = augmentation.apply(images, augmentation.draw(20, 30, 3, generator()))
    assert moved.dtype == torch.uint8
    assert moved.shape == images.shape
    assert not torch.equal(moved, images)


def test_shifts_are_uniform_up_to_the_share_and_half_is_mirrored() -> None:
    draws = rows_of(Augmentation(shift=0.1, flip=True).draw(22_000, 50, 3, generator()))
    for axis in (0, 1):
        counts = torch.bincount(draws["shift"][:, axis] + 5, minlength=11)
        assert len(counts) == 11
        assert (counts - 2000).abs().max() < 5 * 2000**0.5
    assert abs(draws["mirror"].double().mean() - 0.5) < 0.02
    assert abs(torch.corrcoef(draws["shift"].T.double())[0, 1]) < 0.04


def test_resized_crops_have_the_areas_aspects_and_places_of_random_resized_crop() -> None:
    side = 100
    crop = rows_of(Augmentation(resized_crop=0.35).draw(20_000, side, 3, generator()))["crop"].double()
    top, left, height, width = crop.unbind(1)
    area = height * width / side**2
    assert 0.34 < area.min() < 0.36
    assert area.max() == 1
    below_half = area[area < 0.5]  # there every aspect fits: uniform in area
    assert abs(below_half.mean() - 0.425) < 0.003
    ratio = (width / height)[area < 0.5]
    assert 0.73 < ratio.min() < 0.76
    assert 1.31 < ratio.max() < 1.37
    assert abs(ratio.log().mean()) < 0.01
    for start, length in ((top, height), (left, width)):
        assert start.min() == 0
        assert (start + length).max() == side
        room = side - length
        assert abs((start[room > 5] / room[room > 5]).mean() - 0.5) < 0.01


def test_a_crop_that_never_fits_is_the_whole_image() -> None:
    crop = rows_of(Augmentation(resized_crop=0.999999).draw(200, 100, 3, generator()))["crop"]
    assert crop.unique(dim=0).tolist() == [[0, 0, 100, 100]]


def test_erased_rectangles_have_the_probability_areas_and_aspects_of_timm() -> None:
    side = 100
    erased = rows_of(Augmentation(erasing=0.25).draw(20_000, side, 3, generator()))["erased"].double()
    chosen = erased[erased[:, 2] > 0]
    assert abs(len(chosen) / 20_000 - 0.25) < 0.015
    top, left, height, width = chosen.unbind(1)
    area = height * width / side**2
    assert 0.018 < area.min() < 0.025
    assert 0.32 < area.max() < 0.345
    assert abs(area.mean() - (0.02 + 1 / 3) / 2) < 0.01
    ratio = (height / width).log()
    assert abs(ratio.mean()) < 0.03
    assert 1.1 < ratio.abs().max() < 1.3
    assert (top + height).max() == side
    assert (left + width).max() == side
    assert torch.equal(
        rows_of(Augmentation(erasing=1).draw(500, side, 3, generator()))["erased"][:, 2] > 0, torch.ones(500) > 0
    )


def test_color_factors_are_uniform_and_grey_has_no_saturation() -> None:
    factors = rows_of(Augmentation(color_jitter=0.4).draw(5000, 8, 3, generator()))["factors"]
    assert factors.shape == (5000, 3)
    for column in factors.T:
        assert 0.6 <= column.min() < 0.61
        assert 1.39 < column.max() <= 1.4
        assert abs(column.mean() - 1) < 0.02
    assert rows_of(Augmentation(color_jitter=0.4).draw(5, 8, 1, generator()))["factors"].shape == (5, 2)


@pytest.mark.parametrize("operation", SHIFTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shift_and_mirror_are_torchvisions_pad_crop_and_flip(operation, layout, channels: int) -> None:
    images = pictures(40, channels, 10, layout)
    draws = Augmentation(shift=0.5, flip=True).draw(40, 10, channels, generator())
    assert draws.shift is not None
    assert draws.mirror is not None
    moved = operation(images, draws.shift, draws.mirror)
    for image, result, (down, right), mirrored in zip(
        images, moved, draws.shift.tolist(), draws.mirror.tolist(), strict=True
    ):
        expected = reference.crop(reference.pad(image, [5, 5, 5, 5], fill=0), 5 + down, 5 + right, 10, 10)
        assert torch.equal(result, reference.horizontal_flip(expected) if mirrored else expected)


def test_flip_alone_and_shift_alone_leave_the_other_out() -> None:
    images = pictures(50, 3, 6)
    draws = Augmentation(flip=True).draw(50, 6, 3, generator())
    assert draws.mirror is not None
    flipped = Augmentation.apply(images, draws)
    assert torch.equal(flipped[draws.mirror], images[draws.mirror].flip(-1))
    assert torch.equal(flipped[~draws.mirror], images[~draws.mirror])
    one = torch.tensor([[1, 0]]).expand(50, 2)
    assert torch.equal(Augmentation.apply(images, Draws(shift=one))[:, :, :-1], images[:, :, 1:])


@pytest.mark.parametrize("operation", RESIZES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_resized_crops_are_torchvisions(operation, layout, channels: int) -> None:
    images = pictures(30, channels, 24, layout)
    crop = Augmentation(resized_crop=0.1).draw(30, 24, channels, generator()).crop
    assert crop is not None
    for image, result, box in zip(images, operation(images, crop), crop.tolist(), strict=True):
        expected = reference.resized_crop(image.float(), *box, [24, 24], InterpolationMode.BILINEAR, antialias=False)
        assert (result - expected).abs().max() < 1.01  # rows and columns are rounded one after the other


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("changed", [0, 1, 2, None])
def test_color_jitter_is_torchvisions_in_fixed_order(
    layout: torch.memory_format, channels: int, changed: int | None
) -> None:
    images = pictures(30, channels, 20, layout)
    factors = rows_of(Augmentation(color_jitter=1).draw(30, 20, 3, generator()))["factors"]
    if changed is not None:
        factors = torch.where(torch.arange(3) == changed, factors, torch.ones(3))
    jittered = Augmentation.apply(images, Draws(factors=factors[:, : 3 if channels == 3 else 2]))
    for image, result, (brightness, contrast, saturation) in zip(images, jittered, factors.tolist(), strict=True):
        expected = reference.adjust_brightness(image.float() / 255, brightness)
        expected = reference.adjust_contrast(expected, contrast)
        expected = reference.adjust_saturation(expected, saturation)
        assert (result / 255 - expected).abs().max() < 1e-5


@pytest.mark.parametrize("operation", ERASURES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_erasing_fills_the_rectangle_with_the_mean_color(operation, dtype: torch.dtype, channels: int) -> None:
    images = pictures(20, channels, 15).to(dtype)
    erased = Augmentation(erasing=0.5).draw(20, 15, channels, generator()).erased
    assert erased is not None
    results = operation(images, erased)
    assert results.dtype == dtype
    for image, result, (top, left, height, width) in zip(images, results, erased.tolist(), strict=True):
        mean = image.double().mean(dim=(1, 2), keepdim=True)
        mean = mean.round() if dtype == torch.uint8 else mean
        expected = reference.erase(image.double(), top, left, height, width, mean)
        assert (result - expected).abs().max() < 1e-3
    assert torch.equal(images, pictures(20, channels, 15).to(dtype))


def test_at_once_and_one_by_one_agree() -> None:
    images = pictures(30, 3, 24)
    draws = rows_of(dataclasses.replace(ALL, shift=0.5, resized_crop=0.1).draw(30, 24, 3, generator()))
    one, all_at_once = (operation(images, draws["shift"], draws["mirror"]) for operation in SHIFTS)
    assert torch.equal(one, all_at_once)
    one, all_at_once = (operation(images, draws["crop"]) for operation in RESIZES)
    assert (one.int() - all_at_once.int()).abs().max() <= 1
    one, all_at_once = (operation(images, draws["erased"]) for operation in ERASURES)
    assert torch.equal(one, all_at_once)


def test_an_empty_batch_is_augmented_to_an_empty_batch() -> None:
    assert ALL.apply(pictures(0, 3, 8), ALL.draw(0, 8, 3, generator())).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("shift", 0.6, "0.5"),
        ("shift", -0.1, "0.5"),
        ("resized_crop", 1.2, "1"),
        ("color_jitter", float("nan"), "1"),
        ("color_jitter", 3, "1"),
        ("erasing", -1, "1"),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: float, remedy: str) -> None:
    with pytest.raises(InputError) as error:
        Augmentation(**{field: value})
    assert str(error.value) == f"recipe.{field}: {value} is out of range; give 0 (off) to {remedy}"
