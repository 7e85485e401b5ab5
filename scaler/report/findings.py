"""What a report is about: the studies' trials, their table, and what could be fitted to them."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from scaler.board.parts import Parts, StudyLike, parts_of
from scaler.board.table import leaderboard, unranked
from scaler.config import StudyConfig
from scaler.errors import InputError
from scaler.fitted import Fit, fit
from scaler.study import stored_config


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What studies have found.

    studies   as they were read
    configs   their questions
    table     the leaderboard, published rows included
    unranked  lines on what it leaves out
    fit       the best split and the scaling law; None where the trials do not allow one
    no_fit    why there is none
    """

    studies: tuple[Parts, ...]
    configs: tuple[StudyConfig, ...]
    table: pd.DataFrame
    unranked: tuple[str, ...]
    fit: Fit | None
    no_fit: str

    @property
    def ranked(self) -> pd.DataFrame:
        """The rows that were trained here."""
        return self.table[self.table["source"] != "published"]

    @property
    def best(self) -> pd.Series | None:
        """The first row of the first study's table; None if nothing has run its full recipe."""
        return self.ranked.iloc[0] if len(self.ranked) else None


def gather(studies: Iterable[StudyLike]) -> Findings:
    """Reads studies and fits what can be fitted; raises `InputError` for a study without results."""
    read = tuple(parts_of(study) for study in studies)
    configs = tuple(stored_config(parts.studies[""]) for parts in read)
    found, reason = None, ""
    try:
        found = fit([parts.studies[""] for parts in read])
    except InputError as error:
        reason = str(error)
    return Findings(
        studies=read,
        configs=configs,
        table=leaderboard(read, published=True),
        unranked=tuple(unranked(read)),
        fit=found,
        no_fit=reason,
    )
