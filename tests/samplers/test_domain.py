"""The domain of a search: spaces, choices and budgets behind one set of parameters; samplers over it, by name."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import optuna
import pytest

from scaler import Architecture, Budget, Budgets, InputError, Space, load_space
from scaler.config import SAMPLERS as NAMES
from scaler.record import LEVEL
from scaler.region import Triangle
from scaler.samplers import SAMPLERS, Domain
from scaler.scaling import RULES
from tests.conftest import FULL

optuna.logging.set_verbosity(optuna.logging.ERROR)

DATA = {"resolution": 32, "num_classes": 10, "in_channels": 3}
ONE = Budgets(levels=(Budget(macs="12M"),))
SEVERAL = Budgets.from_table({"macs": ["6M", "12M"]})
BLOCKS = Space(base="resnet18", knobs={"stem": "deep"}, choices={"block": ["basic", "bottleneck"]})
STAGES = Space(base="resnet18", mode="stages", knobs={"stem": "deep"})
SQUEEZE = Space(base="efficientnet_b0", choices={"se_ratios": [[0.0] * 7, [0.25] * 7]})

DOMAINS = {
    "triangle": ([load_space("resnet")], ONE),
    "choices": ([BLOCKS], ONE),
    "families": ([load_space("vgg"), BLOCKS, SQUEEZE], ONE),
    "stages": ([STAGES], ONE),
    "several budgets": ([load_space("resnet")], SEVERAL),
    "everything": ([STAGES, load_space("vgg")], Budgets.from_table({"macs": "6M..12M", "params": "900K"})),
}


COUNT = 300 if FULL else 80


@cache
def made(kind: str) -> Domain:
    """Nothing but caches ever changes in a domain."""
    spaces, budgets = DOMAINS[kind]
    return Domain(spaces, budgets, **DATA)


@pytest.fixture(params=DOMAINS)
def domain(request: pytest.FixtureRequest) -> Domain:
    return made(request.param)


def distinct(networks: list[Architecture]) -> int:
    return len({network.digest for network in networks})


def test_candidates_are_distinct_and_on_budget(domain: Domain) -> None:
    candidates = domain.candidates(np.random.default_rng(0), COUNT)
    proposals = [domain.proposal(params) for params in candidates]
    assert min(COUNT, 120) <= len(candidates) <= COUNT
    assert all(list(params) == list(domain.distributions) for params in candidates)
    assert distinct([found.architecture for found in proposals]) == len(
        {row.tobytes() for row in domain.features(candidates).round(9)}
    )
    for found in proposals:
        assert found.budget.admits(found.architecture.cost())
        assert (found.rule is None) == (domain.spaces[found.space].mode == "stages")
    used = [found.budget.usage(found.architecture.cost()) for found in proposals]
    assert np.mean(np.array(used) > 0.95) > 0.9


def test_every_budget_space_and_choice_is_among_the_candidates(domain: Domain) -> None:
    candidates = domain.candidates(np.random.default_rng(0), 1000)
    for name, distribution in domain.distributions.items():
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            assert {params[name] for params in candidates} == set(distribution.choices)
        elif isinstance(distribution, optuna.distributions.IntDistribution):
            assert {params[name] for params in candidates} == set(range(distribution.low, distribution.high + 1))


def test_features_are_the_same_drawn_or_asked_for(domain: Domain) -> None:
    candidates = domain.candidates(np.random.default_rng(1), COUNT // 2)
    drawn = domain.features(candidates)
    domain.candidates(np.random.default_rng(2), 1)
    assert domain.features(candidates) == pytest.approx(drawn)
    assert np.isfinite(drawn).all()
    costs = [domain.proposal(params).architecture.cost() for params in candidates]
    assert drawn[:, 3:6] == pytest.approx(np.log([[cost.macs, cost.params, cost.activations] for cost in costs]))


def test_a_proposal_is_the_same_drawn_or_solved_for(domain: Domain) -> None:
    candidates = domain.candidates(np.random.default_rng(3), COUNT // 2)
    drawn = [domain.proposal(params) for params in candidates]
    domain.candidates(np.random.default_rng(2), 1)
    assert [domain.proposal(params) for params in candidates] == drawn


def test_near_a_network_are_small_changes_within_budget(domain: Domain) -> None:
    rng = np.random.default_rng(0)
    parent, *others = domain.candidates(rng, COUNT)
    near = domain.near(rng, [parent], COUNT)
    assert 20 < len({tuple(params.values()) for params in near}) == len(near) <= COUNT
    proposals = [domain.proposal(params) for params in near]
    assert all(found.budget.admits(found.architecture.cost()) for found in proposals)
    assert {found.space for found in proposals} == {domain.proposal(parent).space}
    assert {params.get(LEVEL) for params in near} == {parent.get(LEVEL)}
    numbers = [name for name, value in parent.items() if isinstance(value, float)]

    def distance(params: dict[str, Any]) -> float:
        return sum(abs(params[name] - parent[name]) for name in numbers)

    assert np.mean([distance(params) for params in near]) < 0.5 * np.mean([distance(params) for params in others])
    choices = [name for name in parent if "block" in name or "se_ratios" in name]
    assert all(len({params[name] for params in near}) > 1 for name in choices if domain.proposal(parent).space > 0)


def test_a_small_domain_is_counted_out() -> None:
    domain = made("triangle")
    every = domain.candidates(np.random.default_rng(0), 100_000)
    region = domain.region()
    assert isinstance(region, Triangle)
    assert len(every) == len(region.enumerate())
    for place_rule in RULES.values():
        assert domain.proposal(domain.params((0, 0, 0), Triangle.point(place_rule))).architecture == region.at(
            place_rule
        )


def test_rules_of_one_network_are_one_point() -> None:
    domain = made("triangle")
    rules: dict[str, list[dict[str, Any]]] = {}
    for depth in np.linspace(0, 1, 40).tolist():
        params = domain.params((0, 0, 0), (depth, 0.5))
        rules.setdefault(domain.proposal(params).architecture.digest, []).append(params)
    same = max(rules.values(), key=len)
    assert len(same) > 1
    assert np.ptp(domain.features(same), axis=0).max() == 0


def test_the_largest_resolution_covers_all(domain: Domain) -> None:
    candidates = domain.candidates(np.random.default_rng(0), COUNT)
    assert domain.largest_resolution >= max(domain.proposal(params).architecture.resolution for params in candidates)


def search(domain: Domain, name: str, trials: int, seed: int = 0) -> optuna.Study:
    """A search for the network with the largest width."""
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[name](domain, seed=seed))
    for _ in range(trials):
        trial = study.ask(domain.distributions)
        study.tell(trial, float(np.log(domain.proposal(trial.params).architecture.widths).mean()))
    return study


def networks(domain: Domain, study: optuna.Study) -> list[Architecture]:
    return [domain.proposal(trial.params).architecture for trial in study.trials]


def test_the_study_files_samplers_are_there() -> None:
    assert set(NAMES) == set(SAMPLERS)


@pytest.mark.parametrize(("name", "kind"), list(itertools.product(SAMPLERS, ["families", "several budgets", "stages"])))
def test_every_sampler_proposes_distinct_networks_within_budget(name: str, kind: str) -> None:
    domain = made(kind)
    found = networks(domain, search(domain, name, 14))
    assert distinct(found) == 14
    assert all(domain.budgets.levels[-1].admits(network.cost()) for network in found)


def test_many_workers_at_once_get_different_networks() -> None:
    domain = made("families")
    study = search(domain, "budget", 10)
    for _ in range(64):
        study.ask(domain.distributions)
    assert distinct(networks(domain, study)) == 74


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_search_is_fixed_by_its_seed(name: str) -> None:
    domain = made("triangle")
    first, again, other = ([n.digest for n in networks(domain, search(domain, name, 12, seed))] for seed in (1, 1, 2))
    assert first == again
    if name != "grid":
        assert first != other


@pytest.mark.parametrize("name", ["budget", "tpe", "gp", "cmaes"])
def test_samplers_that_look_learn(name: str) -> None:
    domain = made("triangle")
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[name](domain))
    for _ in range(40):
        trial = study.ask(domain.distributions)
        rule = domain.proposal(trial.params).rule
        assert rule is not None
        study.tell(trial, -((rule.width - 0.6) ** 2) - (rule.resolution - 0.3) ** 2)
    values = [trial.value or 0.0 for trial in study.trials]
    assert np.mean(values[20:]) > np.mean(values[:8])


@pytest.mark.parametrize("name", ["budget", "random", "grid", "tpe"])
def test_a_domain_runs_out(name: str) -> None:
    domain = Domain([load_space("resnet")], Budgets(levels=(Budget(macs="300K"),)), 1.5, **DATA)
    total = len(domain.candidates(np.random.default_rng(0), 10_000))
    assert 3 < total < 60
    study = search(domain, name, total)
    assert study.sampler.unseen(study) == 0
    assert distinct(networks(domain, study)) == total


@pytest.mark.parametrize("name", ["budget", "tpe", "random"])
def test_what_is_queued_with_a_budget_gets_a_network_of_it(name: str) -> None:
    domain = made("several budgets")
    study = search(domain, name, 10)
    for level in (0, 1, 0, 0):
        study.enqueue_trial({LEVEL: level})
        trial = study.ask(domain.distributions)
        assert trial.params[LEVEL] == level
        assert domain.proposal(trial.params).budget == SEVERAL.levels[level]
        study.tell(trial, 1.0)
    assert distinct(networks(domain, study)) == 14
    everywhere = study.sampler.unseen(study)
    assert sum(study.sampler.unseen(study, {LEVEL: level}) for level in (0, 1)) == everywhere


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "triangular"}, r"space\.mode: 'triangular' is unknown"),
        ({"choices": {"block": "basic"}}, r"space\.choices\.block: 'basic' is no list"),
        ({"choices": {"block": ["basic", "fancy"]}}, "block: 'fancy' is unknown"),
        ({"choices": {"resolution": [32, 64]}}, "'resolution' is no knob"),
        ({"knobs": {"block": "basic"}, "choices": {"block": ["basic"]}}, "'block' is set in knobs as well"),
    ],
)
def test_wrong_spaces_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Space(base="resnet18", **settings)
