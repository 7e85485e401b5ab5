"""The leaderboard: what studies have found, side by side, as one table that can be questioned."""

from scaler.board.columns import COLUMNS
from scaler.board.table import leaderboard, unranked

__all__ = ["COLUMNS", "leaderboard", "unranked"]
