"""Budgets: hard upper limits on what one network may cost."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaler.cost import Cost, Int
from scaler.errors import InputError, unknown

_SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_QUANTITY = re.compile(r"\s*(\d+(?:_\d+)*(?:\.\d+)?|\.\d+)\s*([A-Za-z]?)\s*")


def parse_quantity(field: str, value: object) -> int:
    """A positive whole number written as 400000000, "400M", "1.2G" or "50K"; anything else raises `InputError`."""
    number = 0.0
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        if match and match[2].upper() in _SUFFIXES:
            number = float(match[1].replace("_", "")) * _SUFFIXES[match[2].upper()]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    if not 1 <= number < 2**53:
        raise InputError(f"{field}: {value!r} is no amount; write a number above 0 such as 3M, 400M or 1.2G")
    return round(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Upper limits on cost; a network within all of those given is admitted.

    `Budget(macs="400M")`, `Budget(macs="1.2G", params=5_000_000)`. Amounts are ints or strings with K, M, G or T.
    """

    macs: int | str | None = None
    params: int | str | None = None
    activations: int | str | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, parse_quantity(f"budget.{field.name}", value))
        if not self.limits:
            raise InputError('budget: no limit given; set at least one, e.g. macs = "400M"')

    @classmethod
    def from_table(cls, table: dict[str, object]) -> "Budget":
        """A budget from a study file's table, in which `flops` stands for 2 × MACs."""
        fields: dict[str, Any] = dict(table)
        known = {field.name for field in dataclasses.fields(cls)} | {"flops"}
        for name in fields:
            if name not in known:
                raise unknown("budget", name, known)
        if "flops" in fields:
            if "macs" in fields:
                raise InputError("budget.flops: given beside macs, which is the same limit; keep one of them")
            fields["macs"] = parse_quantity("budget.flops", fields.pop("flops")) // 2
        return cls(**fields)

    @property
    def limits(self) -> dict[str, int]:
        """The limits given, by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def admits(self, cost: Cost) -> Int:
        """Whether the cost is within every limit (a bool, or an array of them)."""
        admitted: Int = True
        for name, limit in self.limits.items():
            admitted = admitted & (getattr(cost, name) <= limit)
        return admitted

    def usage(self, cost: Cost) -> Int:
        """The share of the tightest limit that the cost uses: at most 1 within budget."""
        usage: Int = 0.0
        for name, limit in self.limits.items():
            usage = np.maximum(usage, getattr(cost, name) / limit)
        return usage

    def divided(self, by: float) -> "Budget":
        """The budget with every limit divided by a number, rounded down."""
        return Budget(**{name: max(1, int(limit / by)) for name, limit in self.limits.items()})

    def __str__(self) -> str:
        return ", ".join(f"{format_quantity(limit)} {name}" for name, limit in self.limits.items())


def format_quantity(value: float) -> str:
    """Three significant digits with K, M, G or T: 385814752 is 386M."""
    for suffix, scale in sorted(_SUFFIXES.items(), key=lambda item: -item[1]):
        if value >= scale and suffix:
            return f"{value / scale:.3g}{suffix}" if value / scale < 1000 else f"{value / scale:.0f}{suffix}"
    return f"{value:.0f}"
