"""Scratch databases: made empty, filled in SQL, dropped at the end."""

import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from harness import cpu_seconds

ENGINES = ("SQLite", "PostgreSQL")
POSTGRES = "postgres://postgres@127.0.0.1:5432"


@dataclass(frozen=True)
class Database:
    engine: str
    url: str
    connect: Callable[[], Any]

    def execute(self, sql: str) -> list[str]:
        """Execute a statement and return the names of the columns it gives."""
        with closing(self.connect()) as connection:
            return [column[0] for column in connection.execute(sql).description or ()]

    def tidy(self) -> None:
        """Leave no work of the inserts to the queries after them, as if they were long ago."""
        if self.engine == "SQLite":
            self.execute("ANALYZE")
            self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            self.execute("VACUUM ANALYZE")
            self.execute("CHECKPOINT")

    def number(self, sql: str) -> int:
        """Return the one number that a query gives."""
        with closing(self.connect()) as connection:
            return int(connection.execute(sql).fetchone()[0])

    def server_cpu_seconds(self) -> float:
        """Return the CPU time of all of PostgreSQL, which must run on this machine.

        It is 0 for SQLite, which works in the processes that use it.
        """
        if self.engine == "SQLite":
            return 0
        with closing(self.connect()) as connection:
            (backend,) = connection.execute("SELECT pg_backend_pid()").fetchone()
            status = Path(f"/proc/{backend}/status").read_text()
        parent = re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)
        assert parent
        return cpu_seconds(int(parent[1]))

    def run_script(self, sql: str) -> None:
        """Execute statements, separated by semicolons, in one transaction."""
        with closing(self.connect()) as connection:
            run = connection.executescript if self.engine == "SQLite" else connection.execute
            run(f"BEGIN; {sql}; COMMIT")

    def clone(
        self, table: str, key: str, template: str, name: str, count: int, **values: str
    ) -> None:
        """Insert copies of a row under new names: `name-1000001`, `name-1000002`, …

        In SQL, so that a million rows take seconds; a copied hash costs as much to check as any.
        `values` are the SQL expressions of columns that shall differ from the template's.
        """
        every = self.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 (made of constants)
        columns = [column for column in every if column != "id"]
        values[key] = f"'{name}-' || CAST(1000000 + i AS TEXT)"
        copies = ", ".join(values.get(column, column) for column in columns)
        insert = f"""
            INSERT INTO {table} ({", ".join(columns)})
            WITH RECURSIVE numbers(i) AS
                (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {count})
            SELECT {copies} FROM {table}, numbers WHERE {key} = '{template}'
        """  # noqa: S608
        self.execute(insert)
        self.execute("ANALYZE")


@contextmanager
def scratch(engine: str, postgres: str = POSTGRES) -> Iterator[Database]:
    """Make an empty database and drop it when the block ends.

    `postgres` is the URL of a PostgreSQL server that runs already, without a database's name.
    """
    if engine == "SQLite":
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/db.sqlite3"
            yield Database(
                engine,
                f"sqlite:///{path}",
                lambda: sqlite3.connect(path, timeout=60, isolation_level=None),
            )
        return
    name = f"authdemo_benchmark_{os.getpid()}_{os.urandom(4).hex()}"
    url = f"{postgres}/{name}"
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as administration:
        administration.execute(f"CREATE DATABASE {name}")
        try:
            yield Database(engine, url, lambda: psycopg.connect(url, autocommit=True))
        finally:
            administration.execute(f"DROP DATABASE {name} WITH (FORCE)")
