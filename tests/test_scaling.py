import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler import RULES, Architecture, Budget, Compound, InputError, Shares, classic, fit_to_budget
from scaler.scaling import fit_shapes

ROOT = classic("resnet18").replace(stem="deep", resolution=32, num_classes=10, in_channels=1)


def triangle_points() -> st.SearchStrategy[Shares]:
    weights = st.lists(st.sampled_from([0, 1, 2, 5, 9]), min_size=3, max_size=3).filter(any)
    return weights.map(lambda w: Shares(*(value / sum(w) for value in w)))


def single_steps(net: Architecture, shares: Shares) -> list[Architecture]:
    """Every network one permitted step from `net`."""
    steps = []
    if shares.depth:
        for i, depth in enumerate(net.depths):
            steps.append(net.replace(depths=(*net.depths[:i], depth + 1, *net.depths[i + 1 :])))
    if shares.width:
        grown = np.array(net.widths) + net.width_step(np.array(net.widths))
        for i in set(range(len(net.widths))) - set(net.fixed_widths):
            steps.append(net.replace(widths=(*net.widths[:i], int(grown[i]), *net.widths[i + 1 :])))
    if shares.resolution:
        steps.append(net.replace(resolution=net.resolution + net.resolution_step))
    return steps


@given(triangle_points(), st.integers(200_000, 80_000_000))
def test_the_fit_is_within_budget_and_no_further_step_is(shares: Shares, macs: int) -> None:
    budget = Budget(macs=macs)
    base = fit_to_budget(ROOT, "uniform", budget.divided(8), spend=False)
    net = fit_to_budget(base, shares, budget)
    assert budget.admits(net.cost())
    for further in single_steps(net, shares):
        assert not budget.admits(further.cost())


@given(triangle_points(), st.integers(1_000_000, 80_000_000))
def test_the_pure_ray_is_the_largest_of_its_kind(shares: Shares, macs: int) -> None:
    budget = Budget(macs=macs)
    base = fit_to_budget(ROOT, "uniform", budget.divided(8), spend=False)
    net = fit_to_budget(base, shares, budget, spend=False)
    assert budget.admits(net.cost())
    for growth in np.geomspace(1, 1e3, 400):
        depth, width, resolution = shares.factors(growth)
        candidate = base.scaled(depth=depth, width=width, resolution=resolution)
        if budget.admits(candidate.cost()):
            assert candidate.cost().macs <= net.cost().macs


@given(triangle_points())
def test_all_limits_hold_at_once(shares: Shares) -> None:
    budget = Budget(macs="5M", params=400_000, activations=20_000)
    net = fit_to_budget(fit_to_budget(ROOT, "uniform", budget.divided(8)), shares, budget)
    cost = net.cost()
    assert cost.macs <= 5_000_000
    assert cost.params <= 400_000
    assert cost.activations <= 20_000


def test_an_axis_without_a_share_keeps_the_bases_numbers() -> None:
    base = fit_to_budget(ROOT, "uniform", Budget(macs="1M"), spend=False)
    grown = {name: fit_to_budget(base, name, Budget(macs="8M")) for name in ("depth", "width", "resolution")}
    assert grown["depth"].widths == base.widths
    assert grown["depth"].resolution == base.resolution
    assert grown["width"].depths == base.depths
    assert grown["resolution"].widths == base.widths
    assert min(grown["depth"].depths) > max(base.depths)


def test_what_does_not_fit_names_the_smallest_network_and_its_cost() -> None:
    with pytest.raises(
        InputError, match=r"admits no network .* smallest .*18 px, depths 1-1-1-1, widths 4.* has [\d,]+ MACs"
    ):
        fit_to_budget(ROOT, "uniform", Budget(macs=1000))


def test_a_budget_that_does_not_end_the_ray_is_refused() -> None:
    with pytest.raises(InputError, match="no end to the growth .* also limit macs"):
        fit_to_budget(ROOT, "resolution", Budget(params="100M"))


def test_many_rules_at_once_equal_one_at_a_time() -> None:
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    base, budget = fit_to_budget(ROOT, "uniform", Budget(macs="2M")), Budget(macs="9M")
    shapes, fits = fit_shapes(base, shares, budget)
    assert fits.all()
    for index, rule in enumerate(shares):
        assert base.at(shapes, index) == fit_to_budget(base, Shares(*rule.tolist()), budget)


def test_rules_that_do_not_fit_are_told_from_those_that_do() -> None:
    shapes, fits = fit_shapes(ROOT, np.array([[0, 0, 1], [0, 1, 0]]), Budget(macs="9M"))
    assert fits.tolist() == [False, True]
    assert shapes.resolution[0] == 18


def test_shares_and_published_coefficients_convert_both_ways() -> None:
    published = Compound(1.2, 1.1, 1.15)
    assert published.growth == pytest.approx(1.2 * 1.1**2 * 1.15**2)
    shares = published.shares()
    assert shares.to_list() == pytest.approx([0.2794, 0.2921, 0.4284], abs=1e-4)
    assert shares.compound().growth == pytest.approx(2)
    assert shares.compound().shares().to_list() == pytest.approx(shares.to_list())
    assert shares.factors(published.growth) == pytest.approx((1.2, 1.1, 1.15))


def test_every_named_rule_sums_to_one() -> None:
    for shares in RULES.values():
        assert sum(shares.to_list()) == pytest.approx(1)


@pytest.mark.parametrize("values", [(0.5, 0.5, 0.5), (-0.1, 0.6, 0.5), (float("nan"), 0.5, 0.5)])
def test_shares_that_are_none_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="^shares: "):
        Shares(*values)


def test_coefficients_that_do_not_grow_are_refused() -> None:
    with pytest.raises(InputError, match="nothing grows"):
        Compound(1, 1, 1)
    with pytest.raises(InputError, match="^beta: "):
        Compound(1.2, 0.9, 1.1)
    with pytest.raises(InputError, match=r"rule: 'compund' is unknown \(did you mean 'compound'\?\)"):
        fit_to_budget(ROOT, "compund", Budget(macs="9M"))
