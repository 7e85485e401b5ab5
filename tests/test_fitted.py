from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from scaler import InputError, Shares, classic, load_study
from scaler.fitted import fit, observations, scaled_series
from scaler.record import Record
from scaler.study import existing_study, open_study
from scaler.workflow import domain_of
from tests.laws.planted import PLACES, TOP
from tests.planted_study import add, planted_study


def test_the_planted_rule_is_fitted_and_its_region_holds_it(tiny: Path) -> None:
    found = fit(planted_study(tiny, "3M"))
    (part,) = found.budgets
    assert (found.studies, found.objective, part.macs) == (("tiny3M",), "accuracy", 3_000_000)
    assert part.surface.observations == 19
    assert found.optimum is part.optimum
    assert np.abs(np.array(found.optimum.shares.to_list()) - PLACES["inside"]).max() < 0.25
    assert np.abs(found.optimum.region - PLACES["inside"]).max(axis=1).min() < 0.03
    assert (found.common, found.laws, found.left_out) == (None, {}, {})
    (rung,) = found.rungs[3_000_000]
    assert rung.epoch == 1
    assert rung.n == 16
    assert rung.spearman is not None
    assert rung.spearman > 0.3
    with pytest.raises(InputError, match="no forecast from 1 budget; a scaling law needs 3"):
        found.check_law()


def test_a_network_is_observed_once_and_confirmed_seeds_replace_the_searched_one(tiny: Path) -> None:
    config = planted_study(tiny, "3M")
    (before,) = observations([config])
    searched = existing_study(config)
    assert searched is not None
    winner = Record.from_trial(searched.best_trial)
    add(open_study(config, "baselines"), replace(winner, model="again"), 0.5)
    (again,) = observations([config])
    assert len(again.values) == len(before.values)
    confirm = open_study(config, "confirm")
    for seed, value in ((1, 0.8), (2, 0.81), (3, 0.85)):
        add(confirm, replace(winner, seed=seed), value)
    (after,) = observations([config])
    (index,) = np.flatnonzero(after.seeds == 3)
    assert after.shares[index].tolist() == winner.rule
    assert after.values[index] == pytest.approx(0.82)
    assert np.delete(after.values, index) == pytest.approx(np.delete(before.values, index))
    assert after.classics == ((pytest.approx(TOP - 0.03), 1),)


def test_only_completed_trials_are_observed(tiny: Path) -> None:
    config = planted_study(tiny, "3M")
    (before,) = observations([config])
    study = open_study(config)
    network = domain_of(config).region().at(Shares(0.9, 0.1, 0))
    attributes = Record(
        architecture=network, source="discovered", model="x", seed=9, rule=[0.9, 0.1, 0]
    ).to_attributes()
    for state, value in ((TrialState.PRUNED, 0.9), (TrialState.FAIL, None)):
        study.add_trial(create_trial(state=state, value=value, user_attrs=attributes, intermediate_values={1: 0.9}))
    (after,) = observations([config])
    assert len(after.values) == len(before.values)
    assert len(after.curves) == len(before.curves) == 16


def test_three_budgets_have_a_law_for_each_rule_and_a_common_optimum(tiny: Path) -> None:
    macs = np.array([3e6, 8e6, 20e6])
    truth = 0.06 * (macs / macs[0]) ** -0.4 + 0.04
    configs = [
        planted_study(tiny, name, best=1 - error) for name, error in zip(("3M", "8M", "20M"), truth, strict=True)
    ]
    found = fit(configs[::-1])
    assert [part.macs for part in found.budgets] == macs.tolist()
    assert found.common is not None
    assert found.optimum is found.common.optimum
    assert found.common.p_value > 0.05
    assert set(found.laws) == {"discovered", "depth", "width", "resolution", "uniform", "compound", "fast", "classic"}
    discovered = found.laws["discovered"]
    assert np.abs(discovered.errors - truth).max() < 0.003
    assert found.laws["classic"].errors == pytest.approx(truth + 0.03)
    assert (found.laws["depth"].errors > discovered.errors).all()
    forecast = discovered.forecast(80_000_000)
    assert forecast.low < 0.06 * (80 / 3) ** -0.4 + 0.04 < forecast.high
    found.check_law()


def test_a_budget_with_few_networks_is_left_out_and_named(tiny: Path) -> None:
    found = fit([planted_study(tiny, "3M"), planted_study(tiny, "8M", count=3)])
    assert found.left_out == {8_000_000: 6}
    assert found.common is None
    with pytest.raises(InputError, match="tiny2M has 6 completed networks with a rule at a budget; a fit needs 8"):
        fit(planted_study(tiny, "2M", count=3))


def test_studies_of_different_questions_are_not_mixed(tiny: Path) -> None:
    first = planted_study(tiny, "3M")
    for changed, field in (
        ({"recipe.epochs": 9}, "recipe"),
        ({"objective": "macro_f1"}, "objective"),
        ({"search.growth": 8.0}, r"search\.growth"),
        ({"data.resolution": 16}, r"data\.resolution"),
        ({"space": "vgg"}, "space"),
    ):
        other = load_study(tiny / "tiny", {"name": "other", **changed})
        with pytest.raises(InputError, match=f"^{field}: tiny3M and other differ"):
            fit([first, other])


def test_what_is_not_there_is_said(tiny: Path) -> None:
    with pytest.raises(InputError, match="tiny has no results .* run scaler search first"):
        fit("tiny")
    config = planted_study(tiny, "3M", count=8)
    network = classic("vgg11").replace(resolution=32)
    add(open_study(config), Record(architecture=network, source="discovered", model="v", seed=0), 0.5)
    with pytest.raises(InputError, match="one family; the networks are of resnet, vgg"):
        fit(config)


def test_a_budget_on_something_else_than_macs_is_one_budget(tiny: Path) -> None:
    file = tiny / "tiny" / "study.toml"
    file.write_text(file.read_text().replace('macs = "400K"', 'params = "30K"\nactivations = "30K"'))
    config = load_study("tiny")
    triangle = domain_of(config).region()
    study = open_study(config)
    for number, (rule, network) in enumerate(triangle.enumerate(6)[:10]):
        add(
            study,
            Record(architecture=network, source="discovered", model=str(number), seed=0, rule=rule.to_list()),
            0.9,
        )
    (part,) = observations([config])
    assert len(part.values) == 10


def test_the_family_is_scaled_from_the_studys_base(tiny: Path) -> None:
    config = load_study("tiny")
    triangle = domain_of(config).region()
    rule = Shares(0.2, 0.5, 0.3)
    members = scaled_series(config, rule, phi=[0, 1, 2])
    assert members[0].architecture == triangle.at(rule)
    for step, member in enumerate(members):
        assert 0.85 * 400_000 * 2**step < member.architecture.cost().macs <= 400_000 * 2**step
        assert member.rule == [0.2, 0.5, 0.3]
    assert [member.model for member in members] == ["tiny-400K", "tiny-800K", "tiny-1.6M"]
    assert [m.architecture for m in scaled_series(config, rule, limits=[800_000])] == [members[1].architecture]
