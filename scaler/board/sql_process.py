"""The process that answers a query: DuckDB in memory with everything else locked away.

`sql_process.py FOLDER ROWS` reads the tables `*.arrow` and `query.sql` in the folder and writes at most so many rows to
`answer` there; or it writes one line to standard error and ends with code 2.
"""

import contextlib
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import feather

_MEMORY = 4 * 2**30  # bytes of address space: what a function takes beside DuckDB's own limit
_LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,  # no files, no network, no ATTACH, COPY or INSTALL
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,  # a name is a table, never a Python variable
    "memory_limit": "2GB",
    "temp_directory": "",
    "max_temp_directory_size": "0KB",
    "threads": 2,
}


def answer(folder: Path, rows: int) -> None:
    """Writes the first `rows` rows of the result; exits with one line for what is no SELECT and for a mistake."""
    sql = (folder / "query.sql").read_text(encoding="utf-8")
    connection = duckdb.connect(config=_LOCKED)
    for file in folder.glob("*.arrow"):
        connection.register(file.stem, feather.read_table(file))
    connection.execute("SET lock_configuration = true")
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            _leave(f"{kinds} is no query; give one SELECT")
        feather.write_feather(connection.sql(sql).limit(rows).to_arrow_table(), folder / "answer")
    except (duckdb.Error, pa.ArrowException, MemoryError) as error:
        _leave(" ".join(str(error).split("\n\n")[0].split()) or "the query needs too much memory")


def _leave(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    with contextlib.suppress(ImportError, ValueError):  # Windows has no limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    answer(Path(sys.argv[1]), int(sys.argv[2]))
