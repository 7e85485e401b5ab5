import pytest
import torch

from scaler import InputError
from scaler.data import DataConfig, Dataset, load_data, normalize
from scaler.training import timm_batch


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataConfig(name="digits"))


def test_splits_are_stratified_disjoint_and_fixed_by_seed(digits: Dataset) -> None:
    again = load_data(DataConfig(name="digits"))
    other = load_data(DataConfig(name="digits", seed=1))
    assert torch.equal(digits.test.images, again.test.images)
    assert not torch.equal(digits.test.images, other.test.images)
    sizes = [len(split) for split in (digits.train, digits.validation, digits.test)]
    assert sum(sizes) == 1797
    assert sizes[1:] == [360, 360]
    for split in (digits.train, digits.validation, digits.test):
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert (shares - 0.1).abs().max() < 0.01


def test_no_image_is_lost_or_in_two_splits(digits: Dataset) -> None:
    from sklearn.datasets import load_digits

    splits = (digits.train, digits.validation, digits.test)
    rows = torch.cat([torch.cat([s.images.flatten(1).long(), s.labels[:, None]], dim=1) for s in splits])
    source = load_digits()
    expected = torch.from_numpy(source.data * (255 / 16)).round().long()
    expected = torch.cat([expected, torch.from_numpy(source.target)[:, None]], dim=1)
    assert sorted(rows.tolist()) == sorted(expected.tolist())


def test_normalized_training_images_have_zero_mean_and_unit_variance(digits: Dataset) -> None:
    images = normalize(digits.train.images, digits)
    assert images.mean().abs() < 1e-4
    assert abs(images.std().item() - 1) < 1e-3


@pytest.mark.parametrize("side", [8, 18, 32, 50])
def test_the_fast_path_sees_what_a_timm_user_sees(digits: Dataset, side: int) -> None:
    fast = normalize(digits.validation.resized(side), digits)
    slow = timm_batch(digits, digits.validation, side)
    assert fast.shape == slow.shape
    grey_level = 1 / 255 / digits.std[0]
    assert (fast - slow).abs().max() <= 2.5 * grey_level
    assert (fast - slow).abs().mean() <= 0.1 * grey_level


def test_wrong_data_settings_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.name: 'digit' is unknown \(did you mean 'digits'\?\)"):
        DataConfig(name="digit")
    with pytest.raises(InputError, match=r"data\.test: 0\.9 is no share"):
        DataConfig(name="digits", test=0.9)
