import json

import pytest

from scaler import classic
from tests.cli.test_cli import run


def series(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict]:
    code, out, errors = run(capsys, "scale", *arguments, "--json")
    assert code == 0, errors
    return json.loads(out)


def test_the_published_coefficients_beside_the_published_series(capsys: pytest.CaptureFixture[str]) -> None:
    rows = series(capsys, "efficientnet_b0", "--alpha", "1.2", "--beta", "1.1", "--gamma", "1.15", "--phi", "0..7")
    assert [row["phi"] for row in rows] == list(range(8))
    assert [row["published"] for row in rows] == [f"efficientnet_b{phi}" for phi in range(8)]
    for row in rows:
        assert row["published_macs"] == classic(row["published"]).cost().macs
        assert row["difference_percent"] == round(100 * (row["macs"] / row["published_macs"] - 1), 1)
    assert rows[0]["difference_percent"] == 0
    assert rows[1]["difference_percent"] > 40


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "resnet56", "googlenet_bn", "efficientnet_b0", "resnet50"])
def test_any_base_scales_both_ways_and_one_step_doubles(capsys: pytest.CaptureFixture[str], name: str) -> None:
    rows = series(capsys, name, "--rule", "uniform", "--phi", "-1..2")
    macs = [row["macs"] for row in rows]
    assert macs == sorted(macs)
    assert macs[1] == classic(name).cost().macs
    assert 1.2 < macs[2] / macs[1] < 3.5


def test_budgets_are_used_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    rows = series(capsys, "vgg16", "--shares", "0.2,0.5,0.3", "--macs", "500M,1G")
    for row, limit in zip(rows, (5e8, 1e9), strict=True):
        assert 0.95 * limit < row["macs"] <= limit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg17", "--rule", "fast", "--phi", "1"], "classic: 'vgg17' is unknown (did you mean 'vgg"),
        (["vgg16", "--phi", "1"], "rule: give exactly one"),
        (["vgg16", "--rule", "fst", "--phi", "1"], "rule: 'fst' is unknown (did you mean 'fast'?)"),
        (["vgg16", "--alpha", "1.2", "--phi", "1"], "all three belong together"),
        (["vgg16", "--shares", "1,2", "--phi", "1"], "shares: '1,2' is not three numbers"),
        (["vgg16", "--shares", "1,2,3", "--phi", "1"], "shares: 1, 2, 3 must be at least 0 and sum to 1"),
        (["vgg16", "--rule", "fast", "--phi", "a"], "phi: 'a' are no steps"),
        (["vgg16", "--rule", "fast", "--phi", "3..1"], "phi: '3..1' holds no step"),
        (["vgg16", "--rule", "fast", "--phi", "99"], "phi: 99 is out of range"),
        (["vgg16", "--rule", "fast"], "phi, macs: give one of them"),
        (["vgg16", "--rule", "fast", "--macs", "1Q"], "budget.macs: '1Q' is no amount"),
        (["inception_v3", "--rule", "fast", "--phi", "1"], "inception_v3 is a fixed classic"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, errors = run(capsys, "scale", *arguments)
    assert (code, out) == (2, "")
    assert message in errors
    assert len(errors.splitlines()) == 1
