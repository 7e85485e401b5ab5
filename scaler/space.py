"""Search spaces: what may vary in a search."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaler.architecture import Architecture
from scaler.errors import InputError, unknown
from scaler.families import classic
from scaler.shipped import shipped
from scaler.toml import from_table, read_toml

MODES = ("compound", "stages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What may vary, as a file in search_spaces/ says it.

    base    the classic whose shape every network grows from
    mode    compound: the triangle of scaling rules; stages: every depth, every width and the resolution grow by
            themselves
    knobs   fields of the base that the space sets to another value, e.g. {"stem": "deep"}
    choices fields of the base that the search chooses, each from a list, e.g. {"block": ["basic", "bottleneck"]}
    """

    base: str
    mode: str = "compound"
    knobs: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("space.mode", self.mode, MODES)
        for table in (self.knobs, self.choices):
            reserved = {"depths", "widths", "resolution", "num_classes", "in_channels"} & set(table)
            if reserved:
                raise InputError(f"space: {min(reserved)!r} is no knob; the search or the data decide it")
        for name, values in self.choices.items():
            if name in self.knobs:
                raise InputError(f"space.choices: {name!r} is set in knobs as well; keep one of them")
            if not isinstance(values, list) or not values:
                raise InputError(f"space.choices.{name}: {values!r} is no list of values to choose from; give one")
        for setting in self.settings():
            classic(self.base).replace(**self.knobs, **setting)

    @property
    def family(self) -> str:
        """The name of the family that the space is about."""
        return classic(self.base).family

    def settings(self) -> list[dict[str, Any]]:
        """Every combination of the choices, as fields of the base."""
        values = [[_as_field(value) for value in options] for options in self.choices.values()]
        return [dict(zip(self.choices, combination, strict=True)) for combination in itertools.product(*values)]

    def root(
        self, *, resolution: int, num_classes: int, in_channels: int, setting: Mapping[str, Any] | None = None
    ) -> Architecture:
        """The base's full-size shape for images of the data at `resolution`, in pixels, with a setting of the choices
        (by default the first of each)."""
        chosen = self.settings()[0] if setting is None else setting
        return classic(self.base).replace(
            resolution=resolution, num_classes=num_classes, in_channels=in_channels, **self.knobs, **chosen
        )


def _as_field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def load_space(name_or_path: str | Path) -> Space:
    """The space in a TOML file, given by its path or by its name among the shipped ones."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        known = sorted(file.stem for file in shipped("search_spaces").glob("*.toml"))
        if str(name_or_path) not in known:
            raise unknown("space", str(name_or_path), known)
        path = shipped("search_spaces") / f"{name_or_path}.toml"
    return from_table(Space, read_toml(path), "space")
