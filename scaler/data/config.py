"""Which images a study trains on."""

from dataclasses import dataclass

from scaler.errors import InputError, unknown

BUILT_IN = ("digits",)
"""Data sets that come with a package which scaler needs anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which images, and how they are split.

    name        a data set
    resolution  side, in pixels, of the root network's input; by default what suits the data set
    validation  share of the images that the search selects on
    test        share of the images that only `scaler confirm` looks at
    seed        seed of the stratified split
    """

    name: str
    resolution: int | None = None
    validation: float = 0.2
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in BUILT_IN:
            raise unknown("data.name", self.name, BUILT_IN)
        for field in ("validation", "test"):
            if not 0 < getattr(self, field) < 0.5:
                raise InputError(f"data.{field}: {getattr(self, field)} is no share of the images; give 0.05 to 0.45")
