"""What evaluated networks say about a family: the best split and how sure that is, the scaling law, the forecast.

Pure functions over arrays; `scaler.fitted` reads the arrays from studies.
"""

from scaler.laws.optimum import Common, Optimum, common_optimum, optimum
from scaler.laws.power import NEEDED_BUDGETS, Forecast, PowerLaw, fit_power_law
from scaler.laws.ranks import Rung, rank_correlations
from scaler.laws.surface import NEEDED_RULES, Surface, fit_surface

__all__ = [
    "NEEDED_BUDGETS",
    "NEEDED_RULES",
    "Common",
    "Forecast",
    "Optimum",
    "PowerLaw",
    "Rung",
    "Surface",
    "common_optimum",
    "fit_power_law",
    "fit_surface",
    "optimum",
    "rank_correlations",
]
