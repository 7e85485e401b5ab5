"""Questions in SQL: the tables that can be asked, and what no query can do."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest

from scaler import InputError
from scaler.board.frames import frames
from scaler.board.sql import query
from scaler.cli import main
from tests.board.test_table import SCRIPT, confirmed, small_study

TABLES = {"leaderboard": pd.DataFrame({"model": ["a", SCRIPT], "macs": [1, 2], "accuracy": [0.5, float("nan")]})}

REFUSED = {
    "select * from read_csv('/etc/passwd')": "file system operations are disabled",
    "select * from read_text('/etc/passwd')": "file system operations are disabled",
    "select * from read_blob('/etc/shadow')": "file system operations are disabled",
    "select * from '/etc/passwd'": "does not exist",
    "select * from 'secret.csv'": "file system operations are disabled",
    "select * from glob('/*')": "file system operations are disabled",
    "select * from parquet_scan('x.parquet')": "file system operations are disabled",
    "select * from read_csv('http://127.0.0.1:1/x.csv')": "file system operations are disabled",
    "select * from 's3://bucket/x.parquet'": "file system operations are disabled",
    "select * from duckdb_secrets()": "file system operations are disabled",
    "copy leaderboard to 'stolen.csv'": "COPY is no query",
    "copy (select 1) to '/dev/stdout'": "COPY is no query",
    "export database 'stolen'": "EXPORT is no query",
    "import database 'mine'": "COPY_DATABASE is no query|no query|Error",
    "attach 'other.db'": "ATTACH is no query",
    "attach ':memory:' as other": "ATTACH is no query",
    "install httpfs": "no query",
    "load httpfs": "LOAD is no query",
    "pragma version": "PRAGMA is no query",
    "pragma database_list": "PRAGMA is no query",
    "set enable_external_access = true": "SET is no query",
    "reset lock_configuration": "no query",
    "call pragma_version()": "CALL is no query",
    "create table mine as select 1": "CREATE is no query",
    "drop view leaderboard": "DROP is no query",
    "update leaderboard set macs = 0": "UPDATE is no query",
    "select 1; select 2": "SELECT, SELECT is no query",
    "select * from leaderboard; drop view leaderboard": "SELECT, DROP is no query",
    "select * from query('drop view leaderboard')": "Expected a single SELECT",
    "select getenv('HOME')": "does not exist",
    "select tables from tables": "does not exist",
    "select nothing from leaderboard": "not found",
    "select": "Parser Error",
    "": "nothing is no query",
    "with recursive t(x) as (select 1 union all select x + 1 from t) select count(*) from t": "takes more than 4 s",
    "select count(*) from range(1000000) a, range(1000000) b": "takes more than 4 s",
    "select repeat('x', 2000000000)": "(?i)memory|takes more",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_a_hostile_query_is_refused_in_one_line(sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.csv").write_text("password\n12345\n")
    began = time.monotonic()
    with pytest.raises(InputError, match=REFUSED[sql]) as refused:
        query(TABLES, sql, seconds=4)
    assert str(refused.value).startswith("sql: ")
    assert "\n" not in str(refused.value)
    assert "12345" not in str(refused.value)
    assert time.monotonic() - began < 10
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]


def test_a_gigantic_result_is_cut() -> None:
    found = query(TABLES, "select * from range(100000000000)", rows=1000)
    assert found.cut
    assert found.table["range"].tolist() == list(range(1000))
    assert not query(TABLES, "select * from range(1000)", rows=1000).cut


def test_missing_values_are_null_and_names_are_text() -> None:
    found = query(TABLES, "select model from leaderboard where accuracy is null")
    assert found.table["model"].tolist() == [SCRIPT]


@pytest.mark.usefixtures("tiny")
def test_the_four_tables_say_what_the_study_holds() -> None:
    config = small_study("first", {"depth": 0.8, "width": 0.9})
    confirmed(config, 1, [0.7, 0.8])
    tables = frames([config])

    def ask(sql: str) -> list:
        return query(tables, sql).table.values.tolist()

    assert ask("select model, accuracy from leaderboard order by rank") == [["first width", 0.9], ["first depth", 0.8]]
    assert ask("select study, state, count(*), avg(value) from trials group by all order by all") == [
        ["first", "COMPLETE", 2, pytest.approx(0.85)],
        ["first.confirm", "COMPLETE", 2, pytest.approx(0.74)],
    ]
    assert ask("select trial, epoch, value from epochs order by all") == [
        [0, 1, 0.4],
        [0, 2, 0.8],
        [1, 1, 0.45],
        [1, 2, 0.9],
    ]
    assert ask("select study, wanted, trials, complete, pruned, failed, unfinished from studies order by study") == [
        ["first", 4, 2, 2, 0, 0, 0],
        ["first.confirm", pytest.approx(float("nan"), nan_ok=True), 2, 2, 0, 0, 0],
    ]
    joined = "select l.model from leaderboard l join trials t using (study, trial) where t.depth_share = 1"
    assert ask(joined) == [["first depth"]]


@pytest.mark.usefixtures("tiny")
def test_the_command_answers_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    config = small_study("first", {"depth": 0.8, "width": 0.9, "resolution": 0.7})
    assert config.name == "first"

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["leaderboard", *arguments])
        out, errors = capsys.readouterr()
        return int(end.value.code or 0), out, errors

    sql = "select model, accuracy from leaderboard where pareto order by accuracy desc"
    assert json.loads(run("--sql", sql, "--format", "json")[1])[0] == {"model": "first width", "accuracy": 0.9}
    assert run("--sql", sql, "--format", "csv")[1].splitlines()[1] == "first width,0.9"
    assert "| first width | 0.9000 |" in run("--sql", sql, "--format", "markdown")[1]
    assert "<td>first width</td><td>0.9000</td>" in run("--sql", sql, "--format", "html")[1]
    assert "0.9000" in run("--sql", sql)[1]
    code, out, errors = run("--sql", "drop view leaderboard")
    assert (code, out) == (2, "")
    assert errors == "scaler: sql: DROP is no query; give one SELECT\n"
    top = json.loads(run("--top", "1", "--format", "json")[1])
    assert [row["model"] for row in top] == ["first width"]
    by_macs = json.loads(run("--sort", "macs", "--format", "json")[1])
    assert [row["macs"] for row in by_macs] == sorted(row["macs"] for row in by_macs)
    assert json.loads(run("--family", "vgg", "--format", "json")[1]) == []
    assert "no row is left" in run("--source", "classic")[1]
    code, _, errors = run("--sort", "accuracies")
    assert (code, "did you mean 'accuracy'" in errors) == (2, True)
    out = run("--published")[1]
    assert "published, ImageNet-1K: other data and other recipes, not ranked" in out
    assert out.index("first width") < out.index("efficientnet_b7")
