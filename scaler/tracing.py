"""A walk over symbols, recorded once as straight-line arithmetic that prices ints and int64 arrays without the walk.

A family's walk builds layer after layer, with names and shapes, out of a few hundred additions and multiplications.
What it computes depends on its numbers; which operations it takes never does. So one walk over `Symbol`s in place of
numbers yields the list of operations; `compiled` drops the repeated and unused ones and writes the rest as one Python
function.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from scaler.cost import Int

_Operand: TypeAlias = "int | float | Symbol"

_MAX_NESTING = 20
"""Of parentheses in one written expression; Python's parser takes some 200."""


class _Trace:
    """The operations so far, each the operator or function and its operands; equal ones are recorded once."""

    def __init__(self, inputs: int) -> None:
        self.operations: list[tuple[Any, tuple[_Operand, ...]]] = []
        self._known: dict[tuple[Any, ...], Symbol] = {}
        self.inputs = [self.record("input", index) for index in range(inputs)]

    def record(self, operator: Any, *operands: _Operand) -> "Symbol":
        key = (operator, *(("symbol", o.index) if isinstance(o, Symbol) else o for o in operands))
        if key not in self._known:
            self._known[key] = Symbol(self, len(self.operations))
            self.operations.append((operator, operands))
        return self._known[key]


class Symbol:
    """A number of a walk that is not known yet."""

    __slots__ = ("_trace", "index")

    def __init__(self, trace: _Trace, index: int) -> None:
        self._trace = trace
        self.index = index

    def __add__(self, other: Int) -> Int:
        operator, operands = self._operation
        if not isinstance(other, Symbol):
            if operator == "+" and not isinstance(operands[1], Symbol):
                return operands[0] + (operands[1] + other)
            return self._trace.record("+", self, other) if other else self
        if other is self:
            return self * 2
        # a·x + b·x = (a + b)·x, one multiplication less; so the layers of one map multiply by its area once.
        merged = _factored(self, other)
        if merged is None and operator == "+" and isinstance(operands[1], Symbol):
            last = _factored(operands[1], other)
            merged = None if last is None else operands[0] + last
        return self._trace.record("+", self, other) if merged is None else merged

    def __radd__(self, other: Int) -> Int:
        return self + other

    def __sub__(self, other: Int) -> Int:
        return self._trace.record("-", self, other) if isinstance(other, Symbol) else self + -other

    def __rsub__(self, other: Int) -> Int:
        return self._trace.record("-", other, self)

    def __mul__(self, other: Int) -> Int:
        if isinstance(other, Symbol):
            return self._trace.record("*", self, other)
        if not other:
            return 0
        operator, operands = self._operation
        if operator == "*" and not isinstance(operands[1], Symbol):
            return operands[0] * (operands[1] * other)
        return self if other == 1 else self._trace.record("*", self, int(other))

    def __rmul__(self, other: Int) -> Int:
        return self * other

    def __floordiv__(self, other: Int) -> Int:
        if other is self:
            return 1
        return self if not isinstance(other, Symbol) and other == 1 else self._trace.record("//", self, other)

    def __lt__(self, other: Int) -> Int:
        return self._compare("<", other)

    def __gt__(self, other: Int) -> Int:
        return self._compare(">", other)

    def __le__(self, other: Int) -> Int:
        return self._compare("<=", other)

    def __ge__(self, other: Int) -> Int:
        return self._compare(">=", other)

    def __eq__(self, other: Any) -> Any:
        return 1 if other is self else self._compare("==", other)

    def __ne__(self, other: Any) -> Any:
        return 0 if other is self else self._compare("!=", other)

    def _compare(self, operator: str, other: Int) -> Int:
        # As a number, since numpy adds up truth values as if with `or`.
        return self._trace.record("*", self._trace.record(operator, self, other), 1)

    def __bool__(self) -> bool:
        raise TypeError("a walk over layers must not branch on its depths, widths or resolution")

    @property
    def _operation(self) -> tuple[Any, tuple[_Operand, ...]]:
        return self._trace.operations[self.index]


def _factored(left: Symbol, right: Symbol) -> "Symbol | None":
    """The sum of two products that have a factor in common; None if they have none."""
    (left_operator, (*left_operands,)), (right_operator, (*right_operands,)) = left._operation, right._operation
    if left_operator == right_operator == "*":
        for side in (1, 0):
            common = left_operands[side]
            if isinstance(common, Symbol) and common is right_operands[side]:
                total: Int = left_operands[1 - side] + right_operands[1 - side]
                product: Symbol = total * common if side else common * total
                return product
    return None


def apply(function: Callable[..., Any], *operands: Any) -> Any:
    """`function(*operands)`, or its recording if one of them is a symbol: for what operators cannot say."""
    for operand in operands:
        if isinstance(operand, Symbol):
            return operand._trace.record(function, *operands)
    return function(*operands)


def compiled(walk: Callable[..., tuple[Int, ...]], inputs: int) -> Callable[..., tuple[Int, ...]]:
    """The function that computes what `walk` does from as many ints, or int64 arrays of one length.

    What does not depend on the inputs comes out as a plain int.
    """
    trace = _Trace(inputs)
    outputs = walk(*trace.inputs)
    uses = _uses(trace, outputs)
    functions: dict[str, Any] = {}
    lines: list[str] = []
    written: dict[int, tuple[str, int]] = {}  # the text of each operation, and how deeply it is nested

    def text(operand: _Operand) -> tuple[str, int]:
        return written[operand.index] if isinstance(operand, Symbol) else (repr(operand), 0)

    for index, (operator, operands) in enumerate(trace.operations):
        if operator == "input":
            written[index] = f"i{index}", 0
        elif uses[index]:
            texts = [text(operand) for operand in operands]
            nesting = 1 + max(nested for _, nested in texts)
            if callable(operator):
                functions[f"f{index}"] = operator
                expression = f"f{index}({', '.join(words for words, _ in texts)})"
            else:
                expression = f"({texts[0][0]} {operator} {texts[1][0]})"
            if uses[index] > 1 or nesting > _MAX_NESTING:
                lines.append(f"    t{index} = {expression}")
                expression, nesting = f"t{index}", 0
            written[index] = expression, nesting
    lines.append(f"    return ({', '.join(text(output)[0] for output in outputs)},)")
    arguments = ", ".join(f"i{index}" for index in range(inputs))
    exec("\n".join([f"def program({arguments}):", *lines]), functions)
    program: Callable[..., tuple[Int, ...]] = functions["program"]
    return program


def _uses(trace: _Trace, outputs: tuple[Int, ...]) -> list[int]:
    """How often each operation enters one that counts."""
    uses = [0] * len(trace.operations)
    for output in outputs:
        if isinstance(output, Symbol):
            uses[output.index] += 1
    for index in reversed(range(len(uses))):
        if uses[index]:
            for operand in trace.operations[index][1]:
                if isinstance(operand, Symbol):
                    uses[operand.index] += 1
    return uses
