import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.bench import searches
from tests.bench.search import difference, limits, outcome, print_case, run_all, stored
from tests.bench.tables import Case, Table, TableSpace, make_case, read_table


@pytest.fixture
def layers(tmp_path: Path) -> Table:
    """Five layers of three kinds; the last two may be exchanged where one of them is none."""
    rng = np.random.default_rng(0)
    rows: dict[tuple[int, ...], dict[str, object]] = {}
    for digits in itertools.product(range(3), repeat=5):
        network = digits[:3] + (digits[3:] if 0 not in digits[3:] else tuple(sorted(digits[3:])))
        if network not in rows:
            macs = 1e6 * (1 + sum(network)) + sum(place * digit for place, digit in enumerate(network))
            accuracy = 0.9 + 0.01 * np.sqrt(sum(network)) + 0.002 * network[0] + 0.001 * rng.normal(size=3)
            rows[network] = {"macs": macs, "acc_1": accuracy[0], "acc_2": accuracy[1], "acc_3": accuracy[2]}
        rows[digits] = rows[network]
    frame = pd.DataFrame([{"layers": "".join(map(str, digits)), **row} for digits, row in rows.items()])
    frame.to_csv(tmp_path / "layers.csv", index=False)
    return read_table(tmp_path / "layers.csv")


def test_names_of_one_network_are_one_row(layers: Table) -> None:
    assert len(layers.params) == 27 * 7
    one, other = ({f"layer{place}": digit for place, digit in enumerate(digits)} for digits in ("00101", "00110"))
    assert layers.row({name: int(digit) for name, digit in one.items()}) == layers.row(
        {name: int(digit) for name, digit in other.items()}
    )
    assert 89 < layers.accuracies.min() < layers.accuracies.max() < 95
    assert all(layers.row(params) == row for row, params in enumerate(layers.params))


def test_a_table_of_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"depth_share": [0, 0.5, 1], "width_share": [0, 0.5, 0], "macs": [10, 11, 12], "seconds": 1.0})
    frame["acc_1"] = [0.8, 0.9, 0.85]
    frame.to_csv(tmp_path / "grid.csv", index=False)
    table = read_table(tmp_path / "grid.csv")
    assert list(table.distributions) == ["depth_share", "width_share"]
    assert table.row({"depth_share": 0.45, "width_share": 0.4}) == 1
    space = TableSpace(table, np.arange(3))
    assert space.features(space.candidates(np.random.default_rng(0), 9)).shape == (3, 3)


def test_a_leaderboard_of_two_seeds_is_a_table(tmp_path: Path) -> None:
    """Two networks of two studies each; what the search did not find, or lacks one of the seeds, is left out."""
    rows = [
        ("a", "0.20/0.50/0.30", "1M macs", 8, "1-2", "8-16", 900, "first", 0.8),
        ("a", "0.20/0.50/0.30", "1M macs", 8, "1-2", "8-16", 900, "second", 0.7),
        ("b", "0.40/0.20/0.40", "2M macs", 12, "2-2", "8-8", 1900, "first", 0.9),
        ("b", "0.40/0.20/0.40", "2M macs", 12, "2-2", "8-8", 1900, "second", 0.85),
        ("c", "0.60/0.20/0.20", "2M macs", 12, "2-3", "8-8", 2000, "first", 0.9),
        ("d", "", "", 12, "2-3", "8-12", 2000, "first", 0.9),
        ("d", "", "", 12, "2-3", "8-12", 2000, "second", 0.9),
    ]
    names = ["digest", "rule", "budget", "resolution", "depths", "widths", "macs", "study", "accuracy"]
    frame = pd.DataFrame(rows, columns=names).assign(params=10, activations=20, source="discovered")
    frame.loc[frame["rule"] == "", "source"] = "classic"
    frame.to_csv(tmp_path / "board.csv", index=False)
    table = read_table(tmp_path / "board.csv")
    assert table.budgets == (1e6, 2e6)
    assert list(table.distributions) == ["depth_share", "width_share", "budget"]
    assert table.params[1] == {"depth_share": 0.4, "width_share": 0.2, "budget": 2e6}
    assert table.accuracies.tolist() == [[80, 70], [90, 85]]
    assert np.exp(table.features[0]) == pytest.approx([3, 128**0.5, 8, 1e6, 900, 10, 20])


def test_regret_is_by_the_mean_of_the_seeds(layers: Table) -> None:
    case = make_case(layers, "case", 0, 6e6, seed=1)
    means = layers.accuracies.mean(axis=1)
    assert (layers.macs[case.rows] <= 6e6).all()
    assert case.regret(int(case.rows[means[case.rows].argmax()])) == 0
    assert all(measured in accuracies for measured, accuracies in zip(case.measured, layers.accuracies, strict=True))


@pytest.mark.parametrize("name", ["budget", "random", "evolution", "most macs", "tpe"])
def test_every_search_stays_within_the_cap_and_repeats_nothing(
    layers: Table, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Case, "checkpoints", (5, 10, 20, 25))
    case = make_case(layers, "case", 5e6, 7e6, seed=1)
    run = searches.SEARCHES[name](case, 1)
    assert len(run.rows) == len(set(run.rows)) == 25
    assert set(run.rows) <= set(case.rows.tolist())
    assert len(set(searches.SEARCHES[name](case, 1).rows) ^ set(run.rows)) == 0
    assert set(outcome(case, run)["best"]) == {"5", "10", "20", "25"}


def test_a_comparison_goes_on_where_it_was_broken_off(
    layers: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runs.jsonl"
    cases = [("small", 0.0, 6e6), ("all", 0.0, 1e9)]
    run_all(layers, cases, {"random": 2, "most macs": 1}, file)
    whole = file.read_text().splitlines()
    assert len(whole) == 6
    file.write_text("\n".join(whole[:3]) + "\n" + whole[3][:20] + "\n")
    run_all(layers, cases, {"random": 2, "most macs": 1}, file)

    def results(lines: list[str]) -> list[str]:
        return sorted(json.dumps({**json.loads(line), "seconds": 0}) for line in lines)

    assert results([json.dumps(entry) for entry in stored(file)]) == results(whole)
    runs: dict[str, dict[int, dict[str, object]]] = {}
    for entry in stored(file):
        runs.setdefault(entry["search"], {})[entry["seed"]] = entry
    print_case(make_case(layers, "all", 0.0, 1e9, 0), {"budget": runs["random"], **runs})
    assert "budget - random" in capsys.readouterr().out


def test_a_band_holds_enough_networks(layers: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.search._FEWEST", (20, 1.0))
    names = [name for name, *_ in limits(layers, (7.5e6, None))]
    assert names == ["<= 7.5M", "<= 7.5M, 90%-100%", "no cap", "no cap, 80%-100%"]


def test_intervals_cover_what_is_no_difference() -> None:
    rng = np.random.default_rng(0)
    mean, low, high = difference(rng.normal(size=50), rng.normal(size=50))
    assert low < 0 < high
    assert low < mean < high
    _, low, _ = difference(rng.normal(size=50) + 2, rng.normal(size=50))
    assert low > 1
