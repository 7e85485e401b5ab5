import numpy as np
import pytest

from scaler import Budget, Cost, InputError
from scaler.budget import format_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [("400M", 400_000_000), ("1.2G", 1_200_000_000), ("50k", 50_000), ("7", 7), (3e6, 3_000_000), (".5M", 500_000)],
)
def test_amounts_are_read_as_written(text: str | float, value: int) -> None:
    assert Budget(macs=text).macs == value


@pytest.mark.parametrize("text", ["400Q", "", "M", "-3M", "1,2G", "0", True, float("nan"), float("inf"), "1e99G"])
def test_malformed_amounts_name_the_field_and_the_remedy(text: object) -> None:
    with pytest.raises(InputError, match=r"^budget\.params: .* is no amount; write "):
        Budget(params=text)


def test_a_cost_on_the_limit_is_admitted_and_one_above_is_not() -> None:
    budget = Budget(macs=100, activations=50)
    assert budget.admits(Cost(100, 10**9, 50))
    assert not budget.admits(Cost(101, 1, 1))
    assert not budget.admits(Cost(1, 1, 51))
    assert budget.usage(Cost(50, 0, 40)) == 0.8


def test_arrays_are_judged_one_by_one() -> None:
    cost = Cost(np.array([99, 100, 101]), np.array([5, 5, 5]), np.array([1, 1, 1]))
    assert Budget(macs=100, params=5).admits(cost).tolist() == [True, True, False]


def test_no_limit_is_an_error() -> None:
    with pytest.raises(InputError, match="no limit given"):
        Budget()


def test_a_limit_that_does_not_bind_is_exact_for_counts_past_32_bits() -> None:
    assert Budget(macs=2**40).admits(Cost(2**40, 0, 0))
    assert not Budget(macs=2**40).admits(Cost(2**40 + 1, 0, 0))


def test_quantities_are_printed_with_three_digits() -> None:
    printed = [format_quantity(value) for value in (385814752, 999, 4089184256, 19.6e12, 2_500, 999_610, 9e15)]
    assert printed == ["386M", "999", "4.09G", "19.6T", "2.5K", "1M", "9000T"]
