import json
from pathlib import Path

import pytest

from tests.cli.test_cli import run
from tests.planted_study import planted_study


def test_one_study_prints_its_split_and_no_law(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    planted_study(tiny, "3M")
    code, out, errors = run(capsys, "fit", "tiny3M")
    assert code == 0, errors
    assert "tiny3M: the best split of the budget by 19 networks, accuracy" in out
    assert "splits differ (p =" in out
    assert "scaling law: not from 1 budget; it takes 3" in out
    assert "rank correlation between an epoch and the end" in out
    record = json.loads(run(capsys, "fit", "tiny3M", "--json")[1])
    (part,) = record["budgets"]
    shares, steps = part["shares"], part["coefficients"]
    assert sum(shares.values()) == pytest.approx(1)
    assert steps["alpha"] * steps["beta"] ** 2 * steps["gamma"] ** 2 == pytest.approx(2)
    for axis, name in (("depth", "alpha"), ("width", "beta"), ("resolution", "gamma")):
        low, high = part["ranges"][axis]
        assert low <= shares[axis] <= high
        assert part["coefficient_ranges"][name][0] <= steps[name] <= part["coefficient_ranges"][name][1]
        assert f"{shares[axis]:.2f} ({low:.2f}–{high:.2f})" in out
    assert 0 < part["area"] < 1
    assert part["noise"] == pytest.approx(0.002, rel=0.6)
    assert (record["common"], record["laws"], record["forecasts"]) == (None, [], [])
    assert record["rungs"][0]["epoch"] == 1


def test_a_forecast_from_too_few_budgets_is_refused(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    planted_study(tiny, "3M")
    planted_study(tiny, "8M")
    code, out, errors = run(capsys, "fit", "tiny3M", "tiny8M", "--at", "80M")
    assert (code, out) == (2, "")
    assert errors == (
        "scaler: at: no forecast from 2 budgets; a scaling law needs 3, so search at others too and name those studies "
        "as well\n"
    )
    assert "at: '10X' is no amount" in run(capsys, "fit", "tiny3M", "--at", "10X")[2]
    assert "gives no sign of moving with the budget" in run(capsys, "fit", "tiny3M", "tiny8M")[1]


def test_three_studies_have_laws_and_forecasts(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    for macs, best in (("3M", 0.9), ("8M", 0.92), ("20M", 0.935)):
        planted_study(tiny, macs, best=best)
    studies = ("tiny3M", "tiny8M", "tiny20M")
    code, out, errors = run(capsys, "fit", *studies, "--at", "80M")
    assert code == 0, errors
    assert "scaling law: error = a · (MACs / 3M)^(−b) + c" in out
    assert "forecast at 80M, 4 times the largest budget with data" in out
    record = json.loads(run(capsys, "fit", *studies, "--at", "80M", "--json")[1])
    assert record["common"]["moves"]["degrees_of_freedom"] == 4
    laws = {law["rule"]: law for law in record["laws"]}
    for cast in record["forecasts"]:
        assert cast["macs"] == 80_000_000
        assert cast["low"] <= cast["error"] <= cast["high"]
        assert f"{cast['low']:.4f}–{cast['high']:.4f}" in out
        law = laws[cast["rule"]]
        assert cast["error"] == pytest.approx(law["a"] * (80 / 3) ** -law["b"] + law["c"])


def test_networks_that_differ_in_nothing_are_said_to(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    planted_study(tiny, "3M", noise=0.1)
    assert "do not tell the splits apart" in run(capsys, "fit", "tiny3M")[1]


def test_a_study_without_results_is_one_line(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    code, out, errors = run(capsys, "fit", "tiny")
    assert (code, out) == (2, "")
    assert "run scaler search first" in errors
    assert len(errors.splitlines()) == 1
