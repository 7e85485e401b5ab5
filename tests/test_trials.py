"""Trials read in bulk are those that Optuna reads one by one, on every storage."""

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from scaler.trials import Trial, read_curves, read_trials


def fill(study: optuna.Study) -> None:
    for value in (0.5, math.inf, -math.inf):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.set_user_attr("rule", [0.2, 0.3, 0.5])
        trial.set_user_attr("name", "한국어")
        trial.report(math.nan, 1)
        trial.report(0.25, 2)
        study.tell(trial, value)
    pruned, failed = study.ask(), study.ask()
    pruned.report(0.75, 1)
    study.tell(pruned, state=TrialState.PRUNED)
    failed.set_user_attr("failure", "gone")
    study.tell(failed, state=TrialState.FAIL)
    study.enqueue_trial({"x": 0.5}, user_attrs={"enqueued": "rules"})
    study.ask().report(-math.inf, 1)
    study.enqueue_trial({"x": 0.25})


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_they_are_what_optuna_reads(kind: str, tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'x.db'}" if kind == "sqlite" else None
    fill(optuna.create_study(storage=storage, study_name="other"))
    study = optuna.create_study(storage=storage, study_name="this", direction="maximize")
    assert (read_trials(study), read_curves(study)) == ([], {})
    fill(study)
    expected = study.get_trials()
    fields = list(Trial.__slots__)
    found = read_trials(study)
    assert [[getattr(trial, name) for name in fields] for trial in found] == [
        [getattr(trial, name) for name in fields] for trial in expected
    ]
    assert {trial.state for trial in found} == set(TrialState)
    curves = read_curves(study)
    for trial in expected:
        assert curves.get(trial.number, {}) == pytest.approx(trial.intermediate_values, nan_ok=True)
    assert [trial.number for trial in found] == list(range(len(expected)))
