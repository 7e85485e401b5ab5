"""Samplers over the networks within a budget: no proposal is over budget or has been evaluated before."""

from scaler.samplers.budget import BudgetSampler
from scaler.samplers.candidates import CandidateSpace, LocalSpace
from scaler.samplers.triangle import TriangleSampler, TriangleSpace, distributions, params_to_shares, shares_to_params

__all__ = [
    "BudgetSampler",
    "CandidateSpace",
    "LocalSpace",
    "TriangleSampler",
    "TriangleSpace",
    "distributions",
    "params_to_shares",
    "shares_to_params",
]
