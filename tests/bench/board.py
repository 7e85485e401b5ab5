"""The leaderboard of a study of ten thousand trials: `scaler leaderboard --top 20` against what one would write with
Optuna and pandas, `trials_dataframe()` and the same filter. Whole processes, one after the other, imports included.
Both must name the same networks. Then the size of the same study's report."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import optuna
import sqlalchemy
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState

from scaler import classic
from scaler.config import StudyConfig, load_study
from scaler.evaluation import Result
from scaler.record import Record
from scaler.study import open_study, storage_of
from tests.postgres import running_postgres

_PEER = """
import sys
import optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.load_study(study_name=sys.argv[1], storage=sys.argv[2])
table = study.trials_dataframe()
table = table[(table["state"] == "COMPLETE") & (table["user_attrs_macs"] <= 120_000_000)]
table = table.sort_values("value", ascending=False).head(20)
print(table[["number", "value", "user_attrs_model", "user_attrs_macs", "user_attrs_params"]].to_string())
"""
_MOST_MACS = "120M"  # half of the networks
_EPOCHS = 4
_STATES = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL)


def fill(config: StudyConfig, count: int) -> None:
    """Writes so many trials of different networks into the study, in a few statements."""
    study = open_study(config)
    base = classic("resnet18").replace(num_classes=10, in_channels=1, resolution=32, stem="cifar")
    now, distribution = datetime.now(), distribution_to_json(FloatDistribution(0, 1))
    rows, attributes, values, reports, params = [], [], [], [], []
    first = 1
    for number in range(count):
        trial_id, state = first + number, _STATES[number % len(_STATES)]
        wide, deep = divmod(number, 100)
        network = base.replace(widths=(8, 8, 12, 16 + 4 * wide, 20 + 4 * deep))
        record = Record(architecture=network, source="discovered", model=f"{config.name}#{number}", seed=0)
        value = 0.5 + (number * 7919 % count) / count / 2
        result = Result(accuracy=value, balanced_accuracy=value, macro_f1=value, epochs=_EPOCHS, train_seconds=3.2)
        rows.append(
            {
                "trial_id": trial_id,
                "number": number,
                "study_id": study._study_id,
                "state": state,
                "datetime_start": now,
                "datetime_complete": now,
            }
        )
        told = record.with_result(result).to_attributes()
        attributes += [{"trial_id": trial_id, "key": key, "value_json": json.dumps(one)} for key, one in told.items()]
        if state == TrialState.COMPLETE:
            values.append({"trial_id": trial_id, "objective": 0, "value": value, "value_type": "FINITE"})
        reports += [
            {
                "trial_id": trial_id,
                "step": epoch,
                "intermediate_value": value * epoch / _EPOCHS,
                "intermediate_value_type": "FINITE",
            }
            for epoch in range(1, _EPOCHS + 1)
        ]
        params += [
            {"trial_id": trial_id, "param_name": name, "param_value": 0.25, "distribution_json": distribution}
            for name in ("depth", "width")
        ]
    with storage_of(study).engine.begin() as connection:
        for model, entries in (
            (models.TrialModel, rows),
            (models.TrialUserAttributeModel, attributes),
            (models.TrialValueModel, values),
            (models.TrialIntermediateValueModel, reports),
            (models.TrialParamModel, params),
        ):
            connection.execute(sqlalchemy.insert(model), entries)


@dataclass(frozen=True)
class Timed:
    """A process that has ended: its wall-clock seconds, its largest resident set in MB, and the models it named."""

    seconds: float
    megabytes: float
    models: set[str]


def timed(command: Sequence[str], folder: Path) -> Timed:
    """Runs a process to its end."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "300"}
    with (folder / "out").open("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, command
        out.seek(0)
        return Timed(taken, used.ru_maxrss / 1024, set(re.findall(r"many\d#\d+", out.read())))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints, for each storage, the seconds of both and their ratio; the medians of the rounds, taken in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"the leaderboard of {options.trials:,} trials: seconds of a whole process, first run and later ones")
    with tempfile.TemporaryDirectory() as name, running_postgres() as server:
        folder = Path(name)
        for number, url in enumerate((f"sqlite:///{folder / 'many.db'}", server.new_database())):
            os.chdir(folder)
            config = load_study("quickstart", {"name": f"many{number}", "storage.url": url, "recipe.epochs": _EPOCHS})
            fill(config, options.trials)
            scaler = [sys.executable, "-m", "scaler"]
            ours = [*scaler, "leaderboard", config.name, "--top", "20", "--max-macs", _MOST_MACS, "--storage", url]
            peer = [sys.executable, "-c", _PEER, config.name, url.replace("postgresql:", "postgresql+psycopg:")]
            one, other = timed(ours, folder), timed(peer, folder)
            assert len(one.models) == 20
            assert one.models == other.models
            later = [(timed(ours, folder).seconds, timed(peer, folder).seconds) for _ in range(options.rounds)]
            mine, theirs = map(statistics.median, zip(*later, strict=True))
            print(
                f"  {url.partition(':')[0]:<11} first {one.seconds:6.2f} s against {other.seconds:6.2f} s: "
                f"{other.seconds / one.seconds:.1f} × (goal 2); later {mine:6.2f} s against {theirs:6.2f} s: "
                f"{theirs / mine:.1f} × (goal 5); memory {one.megabytes:.0f} MB against {other.megabytes:.0f} MB",
                flush=True,
            )
        report = timed([*scaler, "report", config.name, "--to", "report.html", "--storage", url], folder)
        size = (folder / "report.html").stat().st_size / 1e6
        print(f"  report      {report.seconds:6.2f} s, {size:.1f} MB (limit 8), memory {report.megabytes:.0f} MB")


if __name__ == "__main__":
    main()
