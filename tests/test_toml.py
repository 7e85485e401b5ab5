from dataclasses import dataclass
from pathlib import Path

import pytest

from scaler import InputError
from scaler.toml import from_table, read_toml


@dataclass(frozen=True, kw_only=True)
class Settings:
    trials: int
    rate: float = 0.1
    name: str | None = None
    on: bool = False


def test_a_table_becomes_its_dataclass() -> None:
    assert from_table(Settings, {"trials": 3, "rate": 1, "on": True}, "s") == Settings(trials=3, rate=1.0, on=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"trails": 3}, r"s: 'trails' is unknown \(did you mean 'trials'\?\)"),
        ({}, r"s\.trials: missing"),
        ({"trials": "3"}, r"s\.trials: '3' is not a whole number"),
        ({"trials": True}, r"s\.trials: True is not a whole number"),
        ({"trials": 3, "rate": "fast"}, r"s\.rate: 'fast' is not a number"),
        ({"trials": 3, "on": 1}, r"s\.on: 1 is not true or false"),
        ({"trials": 3, "name": 5}, r"s\.name: 5 is not text"),
        ("trials = 3", r"s: 'trials = 3' is no table"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(table: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        from_table(Settings, table, "s")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml: cannot be read"):
        read_toml(tmp_path / "nowhere.toml")
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match="cannot be read"):
        read_toml(tmp_path / "bytes.toml")
