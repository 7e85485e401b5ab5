import json
from pathlib import Path

import pytest

from scaler import classic, from_dict, load_study
from scaler.record import Record
from scaler.study import existing_study
from tests.cli.test_cli import run
from tests.planted_study import planted_study


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


def test_a_study_is_scaled_by_its_discovered_rule(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    planted_study(tiny, "400K")
    fitted = json.loads(run(capsys, "fit", "tiny400K", "--json")[1])["budgets"][0]["shares"]
    rows = series(capsys, "tiny400K", "--phi", "1..4")
    assert [row["phi"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        network = from_dict(row["architecture"])
        assert row["macs"] == network.cost().macs
        assert 0.9 * 400_000 * 2 ** row["phi"] < row["macs"] <= 400_000 * 2 ** row["phi"]
        assert (network.num_classes, network.in_channels) == (10, 1)
        assert row["rule"] == pytest.approx(list(fitted.values()), abs=1e-4)
    budgets = series(capsys, "tiny400K", "--macs", "800K,1.6M")
    assert [row["architecture"] for row in budgets] == [row["architecture"] for row in rows[:2]]
    by_name = series(capsys, "tiny400K", "--rule", "width", "--phi", "1")
    assert by_name[0]["rule"] == [0, 1, 0]
    assert "rule: depth" in run(capsys, "scale", "tiny400K", "--phi", "1")[1]


def test_a_scaled_network_is_trained_from_its_file(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    planted_study(tiny, "400K")
    code, out, errors = run(capsys, "scale", "tiny400K", "--phi", "1", "--to", "family")
    assert code == 0, errors
    assert "next: scaler train tiny400K --network family/tiny400K-800K.json" in out
    code, out, errors = run(capsys, "train", "tiny400K", "--network", "family/tiny400K-800K.json", "--epochs", "1")
    assert code == 0, errors
    (trial,) = existing_study(load_study("tiny400K"), "train").get_trials()
    record = Record.from_trial(trial)
    written = json.loads(Path("family/tiny400K-800K.json").read_text())
    assert record.architecture == from_dict(written["architecture"])
    assert (record.source, record.model, record.rule) == ("rule", "tiny400K-800K", written["rule"])


def test_a_network_file_that_does_not_do_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    for content, message in (
        (None, "network: net.json cannot be read"),
        ("{", "network: net.json is no JSON"),
        ("[]", "network: net.json holds no architecture"),
        ("{}", "family: missing in the architecture"),
        ('{"architecture": {"family": "resnt"}}', "family: 'resnt' is unknown"),
        ('{"rule": [1, 2], "architecture": {"family": "resnet"}}', "rule: [1, 2] is not three shares"),
        (json.dumps(classic("resnet18").replace(in_channels=1).to_dict()), "num_classes: net has 1000, the data 10"),
    ):
        if content is not None:
            Path("net.json").write_text(content)
        code, out, errors = run(capsys, "train", "tiny", "--network", "net.json")
        assert (code, out) == (2, "")
        assert message in errors
        assert len(errors.splitlines()) == 1


def test_a_study_without_results_or_steps_is_refused(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    for arguments, message in (
        (["tiny", "--phi", "1"], "run scaler search first"),
        (["tiny", "--rule", "width"], "phi, macs: give one of them"),
        (["tiny", "--rule", "width", "--phi", "99"], "phi: 99 is out of range"),
        (["tiny", "--rule", "width", "--macs", "1Q"], "macs: '1Q' is no amount"),
        (["studies/none", "--phi", "1"], "'studies/none' is no folder"),
    ):
        code, out, errors = run(capsys, "scale", *arguments)
        assert (code, out) == (2, "")
        assert message in errors
        assert len(errors.splitlines()) == 1
