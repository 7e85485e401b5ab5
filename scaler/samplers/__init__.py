"""Samplers over the triangle of rules: every proposal is a network within budget that no trial has evaluated yet."""

from scaler.samplers.triangle import TriangleSampler, distributions, params_to_shares, shares_to_params

__all__ = ["TriangleSampler", "distributions", "params_to_shares", "shares_to_params"]
