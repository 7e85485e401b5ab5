"""scaler finds how to split a compute budget over depth, width and resolution of a convolutional network.

The arithmetic (families, cost, budgets, scaling) is imported at once and needs nothing but NumPy; whatever needs torch,
timm or Optuna is imported when it is first used.
"""

from typing import TYPE_CHECKING

from scaler.architecture import Architecture
from scaler.budget import Budget, Budgets
from scaler.cost import Cost
from scaler.errors import InputError
from scaler.families import CLASSICS, FAMILIES, classic, from_dict
from scaler.lazy import lazily
from scaler.region import Region, Stages, Triangle
from scaler.scaling import RULES, Compound, Shares, fit_to_budget
from scaler.space import Space, load_space

if TYPE_CHECKING:
    from scaler.board import leaderboard
    from scaler.config import load_study
    from scaler.exporter import export, fuse
    from scaler.final import train_final
    from scaler.fitted import fit
    from scaler.models import build
    from scaler.prediction import predict
    from scaler.workflow import baselines, confirm, search

__version__ = "0.1.0"

__all__ = [
    "CLASSICS",
    "FAMILIES",
    "RULES",
    "Architecture",
    "Budget",
    "Budgets",
    "Compound",
    "Cost",
    "InputError",
    "Region",
    "Shares",
    "Space",
    "Stages",
    "Triangle",
    "baselines",
    "build",
    "classic",
    "confirm",
    "export",
    "fit",
    "fit_to_budget",
    "from_dict",
    "fuse",
    "leaderboard",
    "load_space",
    "load_study",
    "predict",
    "search",
    "train_final",
]

__getattr__ = lazily(
    "scaler",
    {
        "baselines": "scaler.workflow",
        "build": "scaler.models",
        "confirm": "scaler.workflow",
        "export": "scaler.exporter",
        "fit": "scaler.fitted",
        "fuse": "scaler.exporter",
        "leaderboard": "scaler.board",
        "load_study": "scaler.config",
        "predict": "scaler.prediction",
        "search": "scaler.workflow",
        "train_final": "scaler.final",
    },
)
