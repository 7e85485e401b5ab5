import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import InputError, classic, from_dict
from scaler.families.resnet import ResNet
from scaler.rounding import round_channels
from tests.families.test_resnet import resnets


@given(resnets())
def test_a_network_survives_its_plain_data(net: ResNet) -> None:
    assert from_dict(net.to_dict()) == net
    assert from_dict(net.to_dict()).digest == net.digest


@given(resnets(), resnets())
def test_digests_tell_networks_apart(one: ResNet, other: ResNet) -> None:
    assert (one.digest == other.digest) == (one == other)


@given(resnets())
def test_scaling_by_one_changes_nothing(net: ResNet) -> None:
    assert net.scaled() == net


@given(resnets(), st.lists(st.floats(0.05, 8), min_size=2, max_size=2), st.integers(0, 2))
def test_scaling_is_monotone(net: ResNet, factors: list[float], axis: int) -> None:
    name = ("depth", "width", "resolution")[axis]
    smaller, larger = (net.scaled(**{name: factor}) for factor in sorted(factors))
    for fewer, more in zip((*smaller.depths, *smaller.widths), (*larger.depths, *larger.widths), strict=True):
        assert fewer <= more
    assert smaller.resolution <= larger.resolution


def test_scaling_rounds_as_the_family_rounds() -> None:
    scaled = classic("resnet50").scaled(depth=1.2, width=1.1, resolution=1.15)
    assert scaled.depths == (4, 5, 7, 4)
    assert scaled.widths == (64, 72, 144, 280, 560)
    assert scaled.resolution == 258


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_a_factor_must_be_a_positive_number(factor: float) -> None:
    with pytest.raises(InputError, match="^width: "):
        classic("resnet18").scaled(width=factor)


@given(st.floats(1, 10_000), st.sampled_from([4, 8, 16]))
def test_rounded_channels_lose_at_most_a_tenth(channels: float, divisor: int) -> None:
    rounded = int(round_channels(np.array(channels), divisor))
    assert rounded % divisor == 0
    assert rounded >= 0.9 * channels
    assert rounded <= max(divisor, channels + divisor)


def test_plain_data_that_is_no_network_is_refused() -> None:
    record = classic("resnet18").to_dict()
    with pytest.raises(InputError, match=r"^family: 'resnot' is unknown \(did you mean 'resnet'\?\)"):
        from_dict({**record, "family": "resnot"})
    with pytest.raises(InputError, match="^resnet field: 'blok' is unknown"):
        from_dict({**record, "blok": "basic"})
    with pytest.raises(InputError, match="^depths: missing"):
        from_dict({name: value for name, value in record.items() if name != "depths"})
    with pytest.raises(InputError, match="^family: missing"):
        from_dict({})
