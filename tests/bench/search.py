"""`make bench-search TABLE=…`: searches compared on a recorded table, where an evaluation is a look-up.

Every search gets the same noisy measurements, one training a network; its regret is by the mean over the table's seeds,
relative to the best network within the cap. Compared pair by pair of seeds after 20, 25, 50 and 100 evaluations (fewer
on small tables), with 95 % bootstrap intervals of the mean difference. Each run is appended to a file as it ends;
started again, the comparison goes on where it stopped. With `--only` some searches alone are run, and the tables are of
what the file holds.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from scaler.rounding import FloatArray
from tests.bench.searches import SEARCHES, Run
from tests.bench.tables import Case, Table, make_case, read_table

_CAPS = (50e6, 70e6, None)
_BAND = 0.9
_FEWEST = 200, 0.2  # networks that a band must hold to be searched, or this part of the table if that is less
_PEERS = ("random", "evolution", "gp")
_SLOW = ("gp",)
_RESAMPLES = 10_000

Runs = dict[str, dict[int, dict[str, Any]]]
"""Of one case: by search and seed, the regret by best observed and by the search's own recommendation."""


def limits(table: Table, caps: tuple[float | None, ...]) -> list[tuple[str, float, float]]:
    """Name, fewest and most MACs of every case: each cap from nothing, and each from 90 % of it.

    Where that holds too few networks to search among, as 90 % of the largest of a table may, the band begins at the
    next lower tenth that holds enough.
    """
    found = []
    fewest = min(_FEWEST[0], _FEWEST[1] * len(table.macs))
    for cap in caps:
        high = cap if cap is not None else float(table.macs.max())
        name = f"<= {cap / 1e6:g}M" if cap is not None else "no cap"
        found.append((name, 0.0, high))
        band = next(
            share / 10
            for share in range(round(10 * _BAND), -1, -1)
            if ((table.macs >= share / 10 * high) & (table.macs <= high)).sum() >= fewest
        )
        found.append((f"{name}, {band:.0%}-100%", band * high, high))
    return found


def outcome(case: Case, run: Run) -> dict[str, Any]:
    """The regrets of a run at the checkpoints, in percentage points."""
    best: dict[str, float] = {}
    recommended: dict[str, float] = {}
    for count in case.checkpoints:
        rows = run.rows[:count]
        best[str(count)] = case.regret(max(rows, key=lambda row: case.measured[row]))
        if run.recommended:
            recommended[str(count)] = case.regret(run.recommended[min(count, max(run.recommended))])
    return {"best": best, "recommended": recommended, "evaluations": len(run.rows), "draws": run.draws}


def run_all(table: Table, cases: list[tuple[str, float, float]], seeds: dict[str, int], file: Path) -> None:
    """Runs what the file does not hold yet, the first seeds of all searches first."""
    done = {(entry["case"], entry["search"], entry["seed"]) for entry in stored(file)}
    for seed in range(max(seeds.values())):
        for name, low, high in cases:
            for search, count in seeds.items():
                if seed >= count or (name, search, seed) in done:
                    continue
                case = make_case(table, name, low, high, seed)
                started = time.perf_counter()
                entry = {"case": name, "search": search, "seed": seed, **outcome(case, SEARCHES[search](case, seed))}
                entry["seconds"] = round(time.perf_counter() - started, 2)
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(entry) + "\n")


def stored(file: Path) -> Iterator[dict[str, Any]]:
    """The runs in a file; a line that was torn when a comparison was broken off is passed over."""
    if not file.is_file():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def regrets(runs: Runs, search: str, count: int, seeds: list[int], kind: str = "best") -> FloatArray:
    """A search's regret after so many evaluations, seed by seed."""
    return np.array([runs[search][seed][kind][str(count)] for seed in seeds])


def difference(one: FloatArray, other: FloatArray) -> tuple[float, float, float]:
    """The mean of `one - other` and its 95 % interval by bootstrap over the pairs."""
    pairs = one - other
    drawn = np.random.default_rng(0).choice(pairs, (_RESAMPLES, len(pairs))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return float(pairs.mean()), low, high


def print_case(case: Case, runs: Runs) -> list[str]:
    """The table of one case; returns what the sampler must not miss and did."""
    print(
        f"\n{case.name}: {len(case.rows)} networks; mean regret in percentage points ± standard error, after so many "
        "evaluations"
    )
    print(f"  {'':<22}{'seeds':>6}" + "".join(f"{count:>15}" for count in case.checkpoints))
    for search, by_seed in runs.items():
        seeds = sorted(by_seed)
        for kind in ("best", "recommended") if by_seed[seeds[0]]["recommended"] else ("best",):
            columns = [regrets(runs, search, count, seeds, kind) for count in case.checkpoints]
            cells = [f"{column.mean():.3f} ± {column.std() / len(seeds) ** 0.5:.3f}" for column in columns]
            label = search if kind == "best" else f"{search}, recommended"
            print(f"  {label:<22}{len(seeds):>6}" + "".join(f"{cell:>15}" for cell in cells))
    missed = []
    if "tpe" in runs and "budget" in runs:
        missed += _against_tpe(runs, case.checkpoints)
    for peer in _PEERS:
        if peer not in runs or "budget" not in runs:
            continue
        seeds = sorted(runs["budget"].keys() & runs[peer].keys())
        cells = []
        for count in (case.checkpoints[0], *case.checkpoints[2:]):
            mean, low, high = difference(regrets(runs, "budget", count, seeds), regrets(runs, peer, count, seeds))
            cells.append(f"@{count} {mean:+.3f} [{low:+.3f}, {high:+.3f}]")
            if low > 0:
                missed.append(f"worse than {peer} at {count}")
        print(f"  budget - {peer:<12} {'   '.join(cells)}")
    return missed


def _against_tpe(runs: Runs, checkpoints: tuple[int, int, int, int]) -> list[str]:
    """Prints with how many evaluations less the sampler is no worse than TPE."""
    seeds = sorted(runs["budget"].keys() & runs["tpe"].keys())
    _, quarter, half, all_ = checkpoints
    missed = []
    for ours, theirs, required in ((half, all_, True), (quarter, half, True), (quarter, all_, False)):
        mean, low, high = difference(regrets(runs, "budget", ours, seeds), regrets(runs, "tpe", theirs, seeds))
        verdict = "not worse" if low <= 0 else "WORSE"
        print(
            f"  budget@{ours} - tpe@{theirs:<4} {mean:+.3f} [{low:+.3f}, {high:+.3f}]  "
            f"{theirs / ours:.2g} x fewer evaluations: {verdict}"
        )
        if required and low > 0:
            missed.append(f"budget@{ours} worse than tpe@{theirs}")
    tpe_last = regrets(runs, "tpe", all_, seeds)
    reached = [count for count in checkpoints if difference(regrets(runs, "budget", count, seeds), tpe_last)[1] <= 0]
    by_mean = [count for count in checkpoints if regrets(runs, "budget", count, seeds).mean() <= tpe_last.mean()]
    for counts, manner in ((by_mean, "in the mean"), (reached, "beyond the interval")):
        if counts:
            print(
                f"  factor: {all_ / counts[0]:.2g} x, no worse than tpe@{all_} {manner} from {counts[0]} evaluations on"
            )
    return missed


def main() -> None:
    """Runs what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slow-seeds", type=int, default=10, help="seeds of Optuna's GPSampler")
    parser.add_argument("--only", nargs="*", choices=list(SEARCHES), default=list(SEARCHES))
    parser.add_argument("--caps", nargs="*", type=float, help="in MMACs; 0 is no cap", default=None)
    parser.add_argument("--no-bands", action="store_true", help="leave out the cases of 90 to 100 %% of a cap")
    parser.add_argument("--runs", type=Path, help="where runs are kept; runs/bench-search/TABLE.jsonl if not given")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = arguments.runs or Path("runs/bench-search") / f"{arguments.table.stem}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    table = read_table(arguments.table)
    caps: tuple[float | None, ...] = table.budgets or _CAPS
    if arguments.caps is not None:
        caps = tuple(cap * 1e6 or None for cap in arguments.caps)
    cases = limits(table, caps)[:: 2 if arguments.no_bands else 1]
    seeds = {name: arguments.slow_seeds if name in _SLOW else arguments.seeds for name in arguments.only}
    run_all(table, cases, seeds, file)
    missed = []
    for name, low, high in cases:
        runs: Runs = {}
        for entry in stored(file):
            if entry["case"] == name:
                runs.setdefault(entry["search"], {})[entry["seed"]] = entry
        ordered = {search: runs[search] for search in SEARCHES if search in runs}
        missed += [f"{name}: {text}" for text in print_case(make_case(table, name, low, high, 0), ordered)]
    print("\nmissed: " + ("; ".join(missed) or "nothing"))


if __name__ == "__main__":
    main()
