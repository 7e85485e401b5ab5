"""TOML files and tables into frozen dataclasses, with one clear line for whatever is wrong in them."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from scaler.errors import InputError, unknown

T = TypeVar("T")

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises `InputError` if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def from_table(cls: type[T], table: object, where: str) -> T:
    """A dataclass from a table whose keys are its fields; `where` is the table's name in messages.

    Unknown keys and values of the wrong kind raise `InputError`; ranges are the dataclass's own business.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: {table!r} is no table; write [{where}] with one setting a line")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}
    for key in table:
        if key not in fields:
            raise unknown(where, key, fields)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in table:
            raise InputError(f"{where}.{name}: missing; set it")
    return cls(**{key: _convert(value, hints[key], f"{where}.{key}") for key, value in table.items()})


def _convert(value: Any, hint: Any, where: str) -> Any:
    accepted = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in accepted:
        plain = typing.get_origin(kind) or kind
        if plain is dict and isinstance(value, Mapping):
            return dict(value)
        if plain is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, plain) and not (isinstance(value, bool) and plain is not bool):
            return value
    kinds = [typing.get_origin(kind) or kind for kind in accepted if kind is not type(None)]
    expected = " or ".join(_WORDS.get(kind, "a table") for kind in kinds)
    raise InputError(f"{where}: {value!r} is not {expected}; correct it")
