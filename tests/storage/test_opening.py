"""Opening storages, and that a password appears nowhere whatever happens."""

import json
import logging
import sqlite3
import sys
import threading
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import URL, make_url

from scaler import InputError, load_study
from scaler.cli import main
from scaler.executors import Driver, run_locally
from scaler.storage import open_storage
from scaler.storage.place import network_file_system
from scaler.study import open_study
from scaler.workflow import domain_of
from tests.executors.evaluators import table
from tests.postgres import Postgres


@pytest.mark.usefixtures("tiny")
def test_an_sqlite_file_is_read_while_it_is_written() -> None:
    config = load_study("tiny")
    storage = open_storage(config.storage_url.replace("runs/tiny/", ""))
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_file_that_may_only_be_read_can_be_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    open_storage(url)
    with open_storage(f"sqlite:///file:{tmp_path / 'a.db'}?mode=ro&uri=true").engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM trials").scalar() == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u:hunter2@h/d", "in SQLite or PostgreSQL, not in 'mysql'"),
        ("postgresql://u:hunter2@h:port/d", "this is no URL"),
        ("hunter2", "this is no URL"),
        ("sqlite:////nowhere/at/all.db?password=hunter2", "unable to open database file"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", "onnection"),
    ],
)
def test_what_cannot_be_opened_is_said_in_one_line_without_the_password(url: str, reason: str) -> None:
    with pytest.raises(InputError, match=r"^storage\.url: the storage cannot be opened \(.*; check the URL$") as caught:
        open_storage(url)
    assert reason in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_missing_driver_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"psycopg, which is not installed; pip install 'scaler-nas\[cluster\]'"):
        open_storage("postgresql://u@h/d")


@pytest.mark.usefixtures("tiny")
def test_the_storage_is_the_flags_the_files_or_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_STORAGE", "sqlite:///environment.db")
    assert load_study("tiny").storage_url == "sqlite:///environment.db"
    with Path("tiny/study.toml").open("a") as file:
        file.write('[storage]\nurl = "sqlite:///file.db"\n')
    assert load_study("tiny").storage_url == "sqlite:///file.db"
    assert load_study("tiny", {"storage.url": "sqlite:///flag.db"}).storage_url == "sqlite:///flag.db"
    open_study(load_study("tiny", {"storage.url": None}))
    assert Path("file.db").exists()
    assert not Path("environment.db").exists()


@pytest.mark.parametrize(
    ("kind", "expected"), [("nfs4", "nfs4"), ("cifs", "cifs"), ("ext4", None), ("fuse.sshfs", "fuse.sshfs")]
)
def test_network_file_systems_are_told_from_disks(tmp_path: Path, kind: str, expected: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    place = str(tmp_path / "my data").replace(" ", "\\040")
    mounts.write_text(
        "22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"40 22 0:42 / {place} rw,relatime - {kind} server:/x rw,addr=1\n"
        f"41 22 0:43 / {place}s rw,relatime - nfs server:/y rw\n"
    )
    assert network_file_system(tmp_path / "my data" / "runs" / "study.db", mounts) == expected
    assert network_file_system(tmp_path / "other.db", mounts) is None
    assert network_file_system(tmp_path, tmp_path / "no such file") is None


def test_tables_are_made_once_by_many(postgres: Postgres) -> None:
    url = postgres.new_database()
    errors: list[BaseException] = []

    def open_it() -> None:
        try:
            open_storage(url)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_many_make_the_tables_of_one_file(tmp_path: Path) -> None:
    threads = [threading.Thread(target=open_storage, args=(f"sqlite:///{tmp_path / 'a.db'}",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sqlite3.connect(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT count(*) FROM version_info").fetchone() == (1,)
    connection.close()


@settings(max_examples=20)
@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=12))
def test_an_error_does_not_show_a_password(secret: str) -> None:
    secret = f"@{secret}%"
    url = URL.create("postgresql", "u", secret, "127.0.0.1", 1, "d").render_as_string(hide_password=False)
    with pytest.raises(InputError) as caught:
        open_storage(url)
    told = "".join(traceback.format_exception(caught.value))
    assert secret not in told
    assert url.split(":")[2].split("@")[0] not in told


def test_a_password_appears_nowhere(
    tiny: Path,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret, encoded = "s3cr3t@{x}%", "s3cr3t%40{x}%25"
    caplog.set_level(logging.DEBUG)
    right = make_url(postgres.new_database()).set(password=secret).render_as_string(hide_password=False)
    wrong = URL.create("postgresql", "u", secret, "127.0.0.1", 1, "d").render_as_string(hide_password=False)
    config = load_study("tiny", {"storage.url": right, "search.trials": 2})
    study = open_study(config)
    run_locally(Driver(study, config, domain_of(config)), table)
    for url, code in ((right, 0), (wrong, 2)):
        monkeypatch.setenv("SCALER_STORAGE", url)
        with pytest.raises(SystemExit) as left:
            main(["leaderboard", "tiny", "--format", "json"])
        assert left.value.code == code
    with pytest.raises(SystemExit):
        main(["describe", "tiny", "--json"])
    printed = capsys.readouterr()
    assert '"rank": 2' in printed.out or '"rank":2' in printed.out
    written = [file.read_text(errors="replace") for file in (tiny / "runs").rglob("*") if file.is_file()]
    attributes = json.dumps([study.user_attrs, *(trial.user_attrs for trial in study.trials)])
    for text in (printed.out, printed.err, caplog.text, attributes, repr(config), *written):
        assert secret not in text
        assert encoded not in text
        assert encoded.replace("{", "%7B").replace("}", "%7D") not in text
