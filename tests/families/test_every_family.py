"""What holds for every family that scales, each through its own search space."""

import json
from pathlib import Path

import numpy as np
import pytest

from scaler import CLASSICS, FAMILIES, RULES, Budget, Shares, Triangle, classic, from_dict, load_space
from scaler.architecture import Shapes
from scaler.cost import total
from scaler.shipped import shipped
from tests.conftest import FULL

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "classics.json").read_text())["classics"]
SPACES = sorted(file.stem for file in shipped("search_spaces").glob("*.toml"))


def triangle(space: str, macs: str = "12M") -> Triangle:
    root = load_space(space).root(resolution=28, num_classes=10, in_channels=1)
    return Triangle(root, Budget(macs=macs))


def test_every_classic_is_golden_and_every_golden_figure_comes_out() -> None:
    assert GOLDEN.keys() == CLASSICS.keys()
    for name, golden in GOLDEN.items():
        network = classic(name)
        cost = network.cost()
        assert network.resolution == golden["resolution"], name
        assert (cost.params, cost.macs) == (golden["params"], golden["macs"]), name
        assert golden.get("activations", cost.activations) == cost.activations, name
        if "published_gmacs" in golden:
            assert round(cost.macs / 1e9, 3) == golden["published_gmacs"], name


def test_every_scalable_family_has_a_space() -> None:
    assert {load_space(name).family for name in SPACES} == FAMILIES.keys() - {"inception_v3"}


@pytest.mark.parametrize("space", SPACES)
def test_small_budgets_have_networks(space: str) -> None:
    assert triangle(space, "1M").base.cost().macs <= 125_000
    assert len(triangle(space, "12M").enumerate()) >= 50


@pytest.mark.parametrize("space", SPACES)
def test_networks_of_the_triangle_are_distinct_on_budget_and_survive_their_plain_data(space: str) -> None:
    tri = triangle(space)
    found = tri.enumerate(divisions=20)
    assert len({network.digest for _, network in found}) == len(found)
    for _, network in found:
        assert tri.budget.admits(network.cost())
        again = from_dict(json.loads(json.dumps(network.to_dict())))
        assert again == network
        assert again.digest == network.digest


@pytest.mark.parametrize("space", SPACES)
def test_array_cost_equals_the_sum_over_the_layers(space: str) -> None:
    template = triangle(space).root
    rng = np.random.default_rng(1)
    count = 100_000 if FULL else 1000
    grown = template.scaled_shapes(*(rng.uniform(0.2, 3, count) for _ in range(3)))
    depths = np.maximum(1, grown.depths + rng.integers(-1, 3, grown.depths.shape))
    shapes = Shapes(depths, grown.widths, grown.resolution)
    costs = template.costs(shapes)
    numbers = np.column_stack([depths, grown.widths, grown.resolution]).tolist()
    for index, (*shape, side) in enumerate(numbers):
        layers = total(template.blocks(shape[: template.stages], shape[template.stages :], side))
        assert (costs.macs[index], costs.params[index], costs.activations[index]) == (
            layers.macs,
            layers.params,
            layers.activations,
        )


@pytest.mark.parametrize("name", CLASSICS)
def test_a_cost_is_the_same_walked_and_recorded(name: str) -> None:
    network = classic(name)
    layers = total(network.blocks(network.depths, network.widths, network.resolution))
    assert [network.cost(), network.cost()] == [layers, layers]


@pytest.mark.parametrize("space", SPACES)
def test_counts_past_32_bits_are_exact(space: str) -> None:
    network = triangle(space).root.scaled(depth=3, width=6, resolution=12)
    shapes = Shapes(np.array([network.depths]), np.array([network.widths]), np.array([network.resolution]))
    assert network.cost().macs > 2**31
    assert network.costs(shapes).macs[0] == network.cost().macs


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("rule", RULES if FULL else ["depth", "compound"])
def test_no_permitted_step_fits_beside_a_fitted_network(space: str, rule: str) -> None:
    tri = triangle(space, "5M")
    network, shares = tri.at(RULES[rule]), RULES[rule]
    assert tri.budget.admits(network.cost())
    for further in single_steps(network, shares):
        assert not tri.budget.admits(further.cost())


def single_steps(network, shares: Shares):
    """Every network one permitted step from `network`."""
    if shares.depth:
        for i, depth in enumerate(network.depths):
            yield network.replace(depths=(*network.depths[:i], depth + 1, *network.depths[i + 1 :]))
    if shares.width:
        grown = np.array(network.widths) + network.width_step(np.array(network.widths))
        for i in set(range(len(network.widths))) - set(network.fixed_widths):
            yield network.replace(widths=(*network.widths[:i], int(grown[i]), *network.widths[i + 1 :]))
    if shares.resolution:
        yield network.replace(resolution=network.resolution + network.resolution_step)
