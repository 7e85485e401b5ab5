"""Budgets: hard upper limits on what one network may cost."""

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

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


_BAND = re.compile(r"\s*([^.\s]+(?:\.\d+[A-Za-z]?)?)\s*\.\.\s*(\S+)\s*")
_PER_DOUBLING = 3
"""Levels of a band to a doubling of its limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """What one study may spend on a network: one budget, several, or any within a band.

    levels  the budgets, smallest first
    band    whether they are but levels of a band: then networks of all of them are compared with one another
    """

    levels: tuple[Budget, ...]
    band: bool = False

    def __post_init__(self) -> None:
        assert self.levels, "a study has a budget"

    @classmethod
    def from_table(cls, table: Mapping[str, object]) -> "Budgets":
        """Budgets from a study file's table, in which `flops` stands for 2 × MACs.

        A limit is an amount, a list of amounts (one study over several budgets) or a band such as "2M..10M". Where
        several limits are lists or bands, their first, second … entries belong together.
        """
        known = {field.name for field in dataclasses.fields(Budget)} | {"flops"}
        for name in table:
            if name not in known:
                raise unknown("budget", name, known)
        if "flops" in table and "macs" in table:
            raise InputError("budget.flops: given beside macs, which is the same limit; keep one of them")
        limits = {name: _amounts(f"budget.{name}", value) for name, value in table.items()}
        if "flops" in limits:
            amounts, band = limits.pop("flops")
            limits["macs"] = [amount // 2 for amount in amounts], band
        several = {name: amounts for name, (amounts, _) in limits.items() if len(amounts) > 1}
        bands = {name for name, (_, band) in limits.items() if band}
        if bands and bands != set(several):
            raise InputError(
                f"budget: {min(bands)} is a band and {min(set(several) - bands)} a list; make both the same"
            )
        if bands:
            low, high = ({name: limits[name][0][end] for name in bands} for end in (0, -1))
            count = 1 + max(math.ceil(_PER_DOUBLING * math.log2(high[name] / low[name])) for name in bands)
            several = {name: [round(x) for x in np.geomspace(low[name], high[name], count)] for name in bands}
        counts = {len(amounts) for amounts in several.values()}
        if len(counts) > 1:
            raise InputError(
                f"budget: {' and '.join(sorted(several))} have lists of different lengths; make them equal"
            )
        count = counts.pop() if counts else 1
        rows = [
            {name: several[name][level] if name in several else amounts[0] for name, (amounts, _) in limits.items()}
            for level in range(count)
        ]
        return cls(levels=tuple(Budget(**row) for row in rows), band=bool(bands))

    def to_table(self) -> dict[str, object]:
        """The table that `from_table` reads."""
        table: dict[str, object] = {}
        for name in self.levels[0].limits:
            amounts = [level.limits[name] for level in self.levels]
            several: object = f"{amounts[0]}..{amounts[-1]}" if self.band else amounts
            table[name] = several if amounts[0] != amounts[-1] else amounts[0]
        return table

    def __str__(self) -> str:
        if self.band:
            return f"{self.levels[0]} to {self.levels[-1]}"
        return " | ".join(map(str, self.levels))


def _amounts(field: str, value: object) -> tuple[list[int], bool]:
    """The amounts that a limit is given as, ascending, and whether they are the ends of a band."""
    if isinstance(value, str) and (match := _BAND.fullmatch(value)):
        low, high = (parse_quantity(field, end) for end in match.groups())
        if not low < high:
            raise InputError(f"{field}: {value!r} is no band; write the smaller amount first, such as 2M..10M")
        return [low, high], True
    if not isinstance(value, list):
        return [parse_quantity(field, value)], False
    amounts = [parse_quantity(field, item) for item in value]
    if not amounts or any(later <= earlier for earlier, later in itertools.pairwise(amounts)):
        raise InputError(f"{field}: {value!r} is no list of budgets; give amounts from the smallest to the largest")
    return amounts, False


def format_quantity(value: float) -> str:
    """Three significant digits with K, M, G or T: 385814752 is 386M."""
    for suffix, scale in sorted(_SUFFIXES.items(), key=lambda item: -item[1]):
        if suffix and value >= 0.9995 * scale:  # else three digits are rounded to a thousand of the smaller unit
            return f"{value / scale:.3g}{suffix}" if value / scale < 999.5 else f"{value / scale:.0f}{suffix}"
    return f"{value:.0f}"
