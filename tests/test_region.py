"""The regions of a search: every point on budget, no network twice."""

import numpy as np
import pytest

from scaler import RULES, Budget, Budgets, InputError, Shares, Space, Stages, Triangle, load_space
from scaler.region import Region
from scaler.scaling import parse_rule
from tests.conftest import FULL

DATA = {"resolution": 32, "num_classes": 10, "in_channels": 3}
BUDGETS = [
    Budget(macs="3M"),
    Budget(macs="4M", params="90K"),
    Budget(macs="6M", params="300K", activations="80K"),
]


def regions() -> list[tuple[str, Region]]:
    found = []
    for name in ("resnet", "vgg", "efficientnet", "inception", "alexnet", "resnet_cifar"):
        for kind in (Triangle, Stages):
            found.append((f"{name} {kind.__name__}", kind(load_space(name).root(**DATA), Budget(macs="12M"))))
    return found


@pytest.mark.parametrize("region", [pytest.param(region, id=name) for name, region in regions()])
def test_every_point_is_on_budget_and_no_network_is_drawn_twice(region: Region) -> None:
    points, shapes = region.draw(np.random.default_rng(0), 4000 if FULL else 400)
    assert points.min() >= 0
    assert points.max() <= 1
    usage = region.budget.usage(region.base.costs(shapes))
    assert usage.max() <= 1
    assert np.mean(usage > 0.95) > 0.95
    numbers = np.column_stack([shapes.depths, shapes.widths, shapes.resolution])
    assert len(np.unique(numbers, axis=0)) == len(numbers)
    again = region.fit(points)
    assert (np.column_stack([again.depths, again.widths, again.resolution]) == numbers).all()


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("kind", [Triangle, Stages])
def test_all_limits_hold_at_once(kind: type[Region], budget: Budget) -> None:
    region = kind(load_space("resnet").root(**DATA), budget)
    _, shapes = region.draw(np.random.default_rng(0), 500)
    for index in range(0, len(shapes), 20):
        assert budget.admits(region.base.at(shapes, index).cost())


def test_stages_grow_by_themselves_and_hold_the_rules() -> None:
    root = load_space("resnet").root(**DATA)
    region, triangle = Stages(root, Budget(macs="12M")), Triangle(root, Budget(macs="12M"))
    assert region.coordinates == (
        *("depth_1", "depth_2", "depth_3", "depth_4"),
        *("width_stem", "width_layer1", "width_layer2", "width_layer3", "width_layer4", "resolution"),
    )
    alone = region.network([0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    assert alone.depths[2] > region.base.depths[2]
    assert alone.replace(depths=region.base.depths) == region.base
    axes = np.array([0.2, 0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 0.5, 0.5, 0.3])
    assert region.fit((axes / 0.5)[None]).depths.tolist() == [list(triangle.at(Shares(0.2, 0.5, 0.3)).depths)]
    assert region.network([0] * 10) == region.network([1] * 10)


def test_a_fixed_width_is_no_coordinate() -> None:
    region = Stages(Space(base="resnet18").root(**DATA), Budget(macs="40M"))
    assert "width_stem" not in region.coordinates
    assert region.network([1] * len(region.coordinates)).widths[0] == 64


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_has_its_point(rule: Shares) -> None:
    assert Triangle.rule(Triangle.point(rule)).to_list() == pytest.approx(rule.to_list())


def test_rules_are_read_as_names_or_shares() -> None:
    assert parse_rule("width") == RULES["width"]
    assert parse_rule("0.2/0.5/0.3") == Shares(0.2, 0.5, 0.3)
    for wrong in ("0.2/0.5/0.5", "a/b/c", "wide"):
        with pytest.raises(InputError):
            parse_rule(wrong)


def test_budgets_are_one_several_or_a_band() -> None:
    one = Budgets.from_table({"macs": "3M", "params": 500_000})
    assert one == Budgets(levels=(Budget(macs="3M", params="500K"),))
    several = Budgets.from_table({"flops": ["4M", "10M"], "params": "1M"})
    assert several.levels == (Budget(macs="2M", params="1M"), Budget(macs="5M", params="1M"))
    assert not several.band
    band = Budgets.from_table({"macs": "2M..8M"})
    assert band.band
    assert [level.limits["macs"] for level in (band.levels[0], band.levels[-1])] == [2_000_000, 8_000_000]
    assert len(band.levels) == 7
    for budgets in (one, several, band):
        assert Budgets.from_table(budgets.to_table()) == budgets
    assert str(several) == "2M macs, 1M params | 5M macs, 1M params"
    assert str(band) == "2M macs to 8M macs"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"flops": "2G", "macs": "1G"}, "budget.flops: given beside macs"),
        ({"mac": 1}, "budget: 'mac' is unknown"),
        ({}, "budget: no limit given"),
        ({"macs": []}, r"budget.macs: \[\] is no list of budgets"),
        ({"macs": ["5M", "2M"]}, "budget.macs: .* from the smallest to the largest"),
        ({"macs": "8M..2M"}, "budget.macs: '8M..2M' is no band; write the smaller amount first"),
        (
            {"macs": ["1M", "2M"], "params": ["1K", "2K", "3K"]},
            "budget: macs and params have lists of different lengths",
        ),
        ({"macs": "1M..2M", "params": ["1K", "2K"]}, "budget: macs is a band and params a list"),
        ({"macs": "much"}, "budget.macs: 'much' is no amount"),
    ],
)
def test_wrong_budgets_are_refused(table: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Budgets.from_table(table)
