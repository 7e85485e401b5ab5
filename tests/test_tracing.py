"""Recorded arithmetic: what it computes is what the walk computes, in fewer operations."""

import inspect
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import tracing
from scaler.tracing import Symbol, apply, compiled

numbers = st.integers(1, 2**20)


def walk(a: Any, b: Any, c: Any) -> tuple[Any, ...]:
    """Every operator a walk may use, on both sides, with shared factors, constants and truth values."""
    area = (a + 2 - 3 + b) * c
    kept = (a > b) * 1
    products = a * area + b * area + 7 * area + c * (a * b) + c * (a * c)
    truths = (a < b) * c + (a >= b) * c + (a <= c) * 3 + (b == c) * a + (b != c) * 5
    divided = (3 * a + b) // 4 + a // a + (a * b) // b + b // 1
    return products + truths, divided + kept * b + (1 - kept) * c - a, a * 0 + 12, a + a + 0, (a != a) + (a == a) * c


@given(numbers, numbers, numbers)
def test_a_recorded_walk_computes_what_the_walk_computes(a: int, b: int, c: int) -> None:
    program = compiled(walk, 3)
    expected = tuple(int(value) for value in walk(a, b, c))
    assert program(a, b, c) == expected
    arrays = program(*(np.array([value, 5], np.int64) for value in (a, b, c)))
    assert tuple(int(np.broadcast_to(value, 2)[0]) for value in arrays) == expected
    assert all(isinstance(value, int) or value.dtype == np.int64 for value in arrays)


def test_what_depends_on_no_input_is_a_plain_int() -> None:
    assert compiled(walk, 3)(1, 2, 3)[2] == 12


def operations(function: Any, inputs: int) -> list[Any]:
    """The operators of the operations that the recorded function performs."""
    trace = tracing._Trace(inputs)
    uses = tracing._uses(trace, function(*trace.inputs))
    return [name for (name, _), count in zip(trace.operations, uses, strict=True) if count and name != "input"]


def test_repeated_and_unused_operations_are_dropped_and_common_factors_taken_out() -> None:
    def sum_of_layers(a: Any, b: Any, c: Any) -> tuple[Any]:
        _ = a * 17
        return (a * (b * b) + c * (b * b),)

    assert sorted(operations(sum_of_layers, 3)) == ["*", "*", "+"]


def test_constants_are_folded() -> None:
    assert operations(lambda a: (3 * (a * 5) * 1 + 4 - 1,), 1) == ["*", "+"]


def test_a_function_is_recorded_only_for_symbols() -> None:
    program = compiled(lambda a: (apply(divmod, a, 7)[0] if not isinstance(a, Symbol) else apply(max, a, 7),), 1)
    assert program(3) == (7,)
    assert apply(max, 3, 7) == 7
    assert inspect.isfunction(program)


def test_a_walk_that_branches_on_its_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match="must not branch"):
        compiled(lambda a: (1 if a > 3 else 2,), 1)


def test_deeply_nested_arithmetic_is_written_in_parts() -> None:
    def chain(a: Any) -> tuple[Any]:
        value = a
        for _ in range(1000):
            value = (value + 1) // 1 * 3 // 2
        return (value,)

    assert compiled(chain, 1)(9) == chain(9)
