"""Samplers over the networks within a budget: no proposal is over budget or has been evaluated before."""

from collections.abc import Callable, Mapping
from functools import partial

from scaler.samplers.base import CandidateSampler
from scaler.samplers.blind import GridSampler, RandomCandidateSampler
from scaler.samplers.budget import BudgetSampler
from scaler.samplers.candidates import CandidateSpace, LocalSpace
from scaler.samplers.domain import Domain, Proposal
from scaler.samplers.projected import INNER, ProjectedSampler

SAMPLERS: Mapping[str, Callable[..., CandidateSampler]] = {
    "budget": BudgetSampler,
    "random": RandomCandidateSampler,
    "grid": GridSampler,
    **{name: partial(ProjectedSampler, inner=name) for name in INNER},
}
"""Samplers by name; each is called with a `CandidateSpace` and a `seed`."""

__all__ = [
    "SAMPLERS",
    "BudgetSampler",
    "CandidateSampler",
    "CandidateSpace",
    "Domain",
    "GridSampler",
    "LocalSpace",
    "ProjectedSampler",
    "Proposal",
    "RandomCandidateSampler",
]
