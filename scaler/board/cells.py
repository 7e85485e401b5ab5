"""A value of a table as the text that people read."""

from typing import Any

import pandas as pd

_FRACTIONS = ("accuracy", "macro_f1", "_std", "_top1", "value")
"""Ends of the names of columns from 0 to 1, of which four digits are worth reading."""


def cell(column: str, value: Any) -> str:
    """The text: empty for what is missing, whole numbers with thousands separators, fractions with four digits."""
    if pd.isna(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if column.endswith(_FRACTIONS) else f"{value:.6g}"
    return str(value)
