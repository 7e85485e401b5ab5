"""What holds for every family: its random architectures, and the networks of its search spaces."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler import (
    CLASSICS,
    FAMILIES,
    RULES,
    Architecture,
    Budget,
    InputError,
    Shares,
    Triangle,
    classic,
    fit_to_budget,
    from_dict,
    load_space,
)
from scaler.architecture import Shapes
from scaler.cost import total
from scaler.shipped import shipped
from tests.conftest import DRAWS, FULL
from tests.families.strategies import SCALABLE, STRATEGIES, random_shapes, unordered_widths, width_units

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "classics.json").read_text())["classics"]
SPACES = sorted(file.stem for file in shipped("search_spaces").glob("*.toml"))

DEEP = 20
"""Blocks a stage at the most where a network is arithmetic alone."""


def all_numbers(network: Architecture) -> np.ndarray:
    return np.array([*network.depths, *network.widths, network.resolution])


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


@pytest.mark.parametrize("macs", ["1M", "12M", "16M", "25M"])
@pytest.mark.parametrize("space", SPACES)
def test_small_budgets_have_networks(space: str, macs: str) -> None:
    tri = triangle(space, macs)
    found = [network for _, network in tri.enumerate()]
    assert len(found) >= (30 if macs == "1M" and space in ("inception", "resnet_cifar") else 50)
    assert len({network.digest for network in found}) == len(found)
    assert all(tri.budget.admits(network.cost()) for network in found)
    assert tri.base.cost().macs <= tri.budget.macs / 8
    assert tri.classic_shape().resolution == 28
    assert tri.budget.admits(fit_to_budget(tri.root, RULES["uniform"], tri.budget).cost())


@pytest.mark.parametrize("family", STRATEGIES)
@given(data=st.data())
@settings(max_examples=DRAWS)
def test_a_network_survives_its_plain_data(family: str, data: st.DataObject) -> None:
    one, other = data.draw(STRATEGIES[family]()), data.draw(STRATEGIES[family]())
    again = from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one
    assert type(again) is type(one) is FAMILIES[family]
    assert again.digest == one.digest
    assert (one.digest == other.digest) == (one == other)


@pytest.mark.parametrize("family", STRATEGIES)
@given(data=st.data())
@settings(max_examples=DRAWS)
def test_the_layer_table_adds_up_to_the_cost(family: str, data: st.DataObject) -> None:
    network = data.draw(STRATEGIES[family]())
    layers = network.layers()
    for count, value in dataclasses.asdict(network.cost()).items():
        assert type(value) is int
        assert sum(getattr(layer.cost, count) for layer in layers) == value
    assert len({layer.name for layer in layers}) == len(layers)


@pytest.mark.parametrize("family", STRATEGIES)
@given(data=st.data())
@settings(max_examples=DRAWS)
def test_many_networks_cost_what_each_costs(family: str, data: st.DataObject) -> None:
    network = data.draw(STRATEGIES[family]())
    shapes = random_shapes(network, 20, seed=data.draw(st.integers(0, 2**32 - 1)))
    costs = network.costs(shapes)
    for index in range(len(shapes)):
        one = network.at(shapes, index)
        layers = total(one.blocks(one.depths, one.widths, one.resolution))
        for count, value in dataclasses.asdict(layers).items():
            assert getattr(costs, count).dtype == np.int64
            assert getattr(costs, count)[index] == getattr(one.cost(), count) == value


@pytest.mark.parametrize("family", SCALABLE)
@given(data=st.data())
@settings(max_examples=DRAWS)
def test_no_number_grows_for_free(family: str, data: st.DataObject) -> None:
    network = data.draw(STRATEGIES[family](max_depth=DEEP))
    macs = network.cost().macs
    for stage, depth in enumerate(network.depths):
        depths = (*network.depths[:stage], depth + data.draw(st.integers(1, 20)), *network.depths[stage + 1 :])
        assert network.replace(depths=depths).cost().macs > macs
    for index, unit in enumerate(width_units(network).tolist()):
        if unit and index not in unordered_widths(network):
            width = network.widths[index] + unit * data.draw(st.integers(1, 20))
            grown = network.replace(widths=(*network.widths[:index], width, *network.widths[index + 1 :])).cost().macs
            # Inception's channels go in steps, so that a width within its step builds the same.
            assert grown > macs or (family == "inception" and grown == macs)
    sides = [network.replace(resolution=network.resolution + more).cost().macs for more in range(9)]
    assert sides == sorted(sides)
    assert sides[-1] > sides[0]


@pytest.mark.parametrize("family", SCALABLE)
@given(data=st.data())
@settings(max_examples=DRAWS)
def test_scaling_moves_every_number_with_its_factor(family: str, data: st.DataObject) -> None:
    network = data.draw(STRATEGIES[family](max_depth=DEEP))
    numbers, macs = all_numbers(network), network.cost().macs
    assert network.scaled() == network
    # Where a wider network may be cheaper, scaled widths do not order the MACs.
    width = st.just(1.0) if unordered_widths(network) else st.floats(0.05, 8)
    factors = data.draw(st.tuples(st.floats(0.05, 8), width, st.floats(0.05, 8)))
    assert network.scaled(*factors).resolution >= min(network.min_resolution, network.resolution)
    grown, shrunk = (network.scaled(*(limit(factor, 1.0) for factor in factors)) for limit in (max, min))
    assert (all_numbers(grown) >= numbers).all()
    assert (all_numbers(shrunk) <= numbers).all()
    assert shrunk.cost().macs <= macs <= grown.cost().macs


@pytest.mark.parametrize("family", SCALABLE)
@given(data=st.data())
@settings(max_examples=DRAWS)
def test_scaling_is_monotone(family: str, data: st.DataObject) -> None:
    network = data.draw(STRATEGIES[family](max_depth=DEEP))
    drawn = data.draw(st.lists(st.floats(0.05, 8), min_size=2, max_size=2))
    factors = np.sort([*drawn, *np.linspace(0.1, 4)])
    for axis in range(3):
        axes = [np.ones_like(factors)] * 3
        axes[axis] = factors
        shapes = network.scaled_shapes(*axes)
        for scaled in (shapes.depths, shapes.widths, shapes.resolution):
            assert (np.diff(scaled, axis=0) >= 0).all()


@pytest.mark.parametrize("family", STRATEGIES)
@given(data=st.data())
@settings(max_examples=1)
def test_what_no_family_can_build_is_refused_by_field(family: str, data: st.DataObject) -> None:
    network = data.draw(STRATEGIES[family]())
    for changes, message in (
        ({"depths": network.depths[1:2]}, r"^depths: .* has 1 numbers; "),
        ({"depths": (0, *network.depths[1:])}, "^depths: 0 is not a whole number of at least 1"),
        ({"depths": (1.5, *network.depths[1:])}, r"^depths: 1\.5 is not a whole number of at least 1"),
        ({"widths": network.widths[1:]}, rf"^widths: .* needs {len(network.widths)}"),
        ({"widths": (*network.widths[:-1], 0)}, "^widths: 0 is not a whole number of at least 1"),
        ({"resolution": network.min_resolution - 1}, f"^resolution: .* is too small for this {family}; at least "),
        ({"num_classes": 0}, "^num_classes: 0 is not a whole number of at least 1"),
        ({"in_channels": True}, "^in_channels: True is not a whole number of at least 1"),
        ({"dropout": 1.0}, r"^dropout: 1\.0 is no probability"),
        ({"activation": "rilu"}, r"^activation: 'rilu' is unknown \(did you mean 'silu'\?\)"),
        ({"depth": 3}, rf"^{family} field: 'depth' is unknown \(did you mean 'depths'\?\)"),
    ):
        with pytest.raises(InputError, match=message) as raised:
            network.replace(**changes)
        assert "\n" not in str(raised.value)
    record = network.to_dict()
    with pytest.raises(InputError, match=f"^{family} field: 'blok' is unknown"):
        from_dict({**record, "blok": "basic"})
    for field in ("depths", "widths", "resolution"):
        with pytest.raises(InputError, match=f"^{field}: missing; a {family} architecture needs it"):
            from_dict({name: value for name, value in record.items() if name != field})


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
