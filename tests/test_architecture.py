import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import InputError, classic, from_dict
from scaler.rounding import round_channels


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
    with pytest.raises(InputError, match="^family: missing"):
        from_dict({})
