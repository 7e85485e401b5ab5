"""Optuna's own tests of samplers, over the budget-aware sampler.

`BasicSamplerTestCase`, `RelativeSamplerTestCase` and `SingleOnlySamplerTestCase` apply in full. Where a test names a
search space, the sampler gets a space of the same parameters; where it names none, the sampler's space has other
parameters than the test's, so that those are sampled independently.

`MultiObjectiveSamplerTestCase` does not apply: the sampler is for one objective, and `SingleOnlySamplerTestCase` tests
that it says so.
"""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase

from scaler.samplers import BudgetSampler
from tests.samplers.spaces import Box

optuna.logging.set_verbosity(optuna.logging.WARNING)

_OWN: dict[str, BaseDistribution] = {"p": FloatDistribution(0, 1), "q": IntDistribution(1, 8)}
_OF_TEST: dict[str, dict[str, BaseDistribution]] = {
    "test_partial_fixed_sampling": {
        "x": FloatDistribution(-1, 1),
        "y": IntDistribution(-1, 1),
        "z": FloatDistribution(-1, 1),
    },
    "test_nan_objective_value": {"x": FloatDistribution(0.1, 0.2)},
    "test_trial_relative_params": {"x": FloatDistribution(-10, 10), "y": FloatDistribution(-10, 10)},
    "test_sample_relative_categorical": {
        "x": CategoricalDistribution([1, 10, 100]),
        "y": CategoricalDistribution([-1, -10, -100]),
    },
    "test_sample_relative_mixed": {"y": CategoricalDistribution([-1, -10, -100])},
    "test_sample_single_distribution": {"a": CategoricalDistribution([1]), "b": IntDistribution(1, 1)},
}


@pytest.fixture
def sampler(request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
    given: dict[str, Any] = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    named = {name[0]: kind for name, kind in given.items() if name in ("x_distribution", "y_distribution")}
    space = {**named, **_OF_TEST.get(request.node.originalname, {})} or _OWN
    return lambda: BudgetSampler(Box(space), startup=3, pool=64)


class TestBasic(BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self, sampler: Callable[[], BaseSampler]) -> Callable[[], BaseSampler]:
        return sampler


class TestRelative(RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self, sampler: Callable[[], BaseSampler]) -> Callable[[], BaseSampler]:
        return sampler


class TestSingleOnly(SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self, sampler: Callable[[], BaseSampler]) -> Callable[[], BaseSampler]:
        return sampler
