"""What the tests share: how much to run, and a study small enough to be searched in seconds."""

import os
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection

import hypothesis
import pytest
import sqlalchemy

from tests.postgres import Postgres, running_postgres

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch loads: small networks, perhaps on a busy machine

FULL = os.environ.get("CI") == "true"
"""Whether to run the full counts of examples, kills and repeats."""

DRAWS = 300 if FULL else 15
"""How many random networks of a family the costly comparisons with torch draw."""

hypothesis.settings.register_profile("local", max_examples=60, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=200, deadline=None)
hypothesis.settings.load_profile("ci" if FULL else "local")


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _trust_the_power_supply(connection: object, record: object) -> None:
    """Waiting for the disk after every record would be most of the time that many tests take."""
    if isinstance(connection, Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server, started when the first test asks for it."""
    with running_postgres() as server:
        yield server


TINY_STUDY = """
name = "tiny"
space = "resnet"
[budget]
macs = "400K"
[data]
name = "digits"
[recipe]
epochs = 2
batch_size = 128
learning_rate = 5e-3
[search]
trials = 4
growth = 4
pruner = "none"
[executor]
workers = 1
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny study in it, entered: its results land in the folder's runs/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "study.toml").write_text(TINY_STUDY)
    return tmp_path
