"""SQL over tables, answered by a process of its own that can be ended at any time."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import feather

from scaler.errors import InputError

SECONDS = 30.0
"""How long a query may take."""

ROWS = 100_000
"""How many rows its result may have."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found; `cut` if the result had more rows than it may have."""

    table: pd.DataFrame
    cut: bool


def query(frames: Mapping[str, pd.DataFrame], sql: str, *, seconds: float = SECONDS, rows: int = ROWS) -> Answer:
    """The result of one SELECT, in DuckDB's SQL, over tables given by their names.

    The query sees these tables and nothing of the machine: no files, network, extensions or settings. Raises
    `InputError`, in one line, for anything but a SELECT, for a mistake in it, and for a query that does not end within
    `seconds` or in two gigabytes of memory.
    """
    with tempfile.TemporaryDirectory(prefix="scaler-") as name:
        folder = Path(name)
        for table, frame in frames.items():
            feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), folder / f"{table}.arrow")
        (folder / "query.sql").write_text(sql, encoding="utf-8")
        program = Path(__file__).with_name("sql_process.py")
        try:
            done = subprocess.run(
                [sys.executable, "-P", str(program), name, str(rows + 1)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"sql: the query takes more than {seconds:g} s; narrow it down") from None
        if done.returncode != 0:
            raise InputError(f"sql: {(done.stderr.splitlines() or ['the query needs too much memory'])[-1]}")
        table = feather.read_table(folder / "answer", memory_map=False).to_pandas()
    return Answer(table.head(rows), len(table) > rows)
