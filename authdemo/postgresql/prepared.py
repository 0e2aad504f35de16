"""Ask PostgreSQL for what a connection has prepared, straight through libpq (`psycopg.pq`).

A cursor of psycopg's parses, adapts and looks up every statement anew, which costs NN % of the CPU
of a login. Preparing spares the server its planning: 0.5 ms a login, 0.2 ms a verification.
"""

import select
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult

from authdemo.postgresql.deadline import DeadlineExceededError
from authdemo.rows import Params, Rows

_PLAN_IS_STALE = b"0A000"  # SQLSTATE; somebody altered a table
_NAMES_CLASH = {b"26000", b"42P05"}  # unknown or taken: a pooler gives us other sessions
_CONVERTERS: dict[int, Callable[[bytes], Any]] = {
    psycopg.adapters.types["bool"].oid: b"t".__eq__,
    **{psycopg.adapters.types[name].oid: int for name in ("int2", "int4", "int8")},
}


class _Statement(NamedTuple):
    name: bytes
    params: tuple[str, ...]
    columns: list[tuple[str, Callable[[bytes], Any]]]


class PreparedStatements:
    """The statements that one connection has prepared, by their text."""

    def __init__(self, pgconn: PGconn) -> None:
        self.are_kept = True  # until names clash
        self._pgconn = pgconn
        self._statements: dict[str, _Statement] = {}
        self._alterations = 0
        self._readable = select.poll()
        self._readable.register(pgconn.socket, select.POLLIN)

    def fetch(self, sql: str, params: Params, timeout: float | None) -> Rows:
        """Return rows of text, whole numbers and booleans.

        Raises `DeadlineExceededError` after so many seconds. After any other `psycopg.Error` an
        ordinary cursor may do better.
        """
        if any("\0" in value for value in params.values()):
            raise psycopg.DataError("PostgreSQL text has no NUL characters.")  # libpq ends at one
        give_up_at = None if timeout is None else time.monotonic() + timeout
        statement = self._statements.get(sql) or self._prepare(sql, tuple(params), give_up_at)
        values = [params[name].encode() for name in statement.params]
        self._pgconn.send_query_prepared(statement.name, values)
        result = self._receive(give_up_at)
        return [
            {
                name: None if (value := result.get_value(row, column)) is None else convert(value)
                for column, (name, convert) in enumerate(statement.columns)
            }
            for row in range(result.ntuples)
        ]

    def _prepare(self, sql: str, params: tuple[str, ...], give_up_at: float | None) -> _Statement:
        """Prepare a statement under a name that means the same text in every session."""
        name = f"authdemo_{sha256(sql.encode()).hexdigest()[:32]}_{self._alterations}".encode()
        numbered = sql % {param: f"${number}" for number, param in enumerate(params, 1)}
        self._pgconn.send_prepare(name, numbered.encode())
        self._receive(give_up_at)
        self._pgconn.send_describe_prepared(name)
        result = self._receive(give_up_at)
        columns = [
            ((result.fname(n) or b"").decode(), _CONVERTERS.get(result.ftype(n), bytes.decode))
            for n in range(result.nfields)
        ]
        return self._statements.setdefault(sql, _Statement(name, params, columns))

    def _receive(self, give_up_at: float | None) -> PGresult:
        """Return the result, after all of the answer is there: `get_result` would block."""
        self._pgconn.flush()
        results = []
        while True:
            while self._pgconn.is_busy():
                left = give_up_at and max(0.0, give_up_at - time.monotonic()) * 1000
                if not self._readable.poll(left):
                    raise DeadlineExceededError
                self._pgconn.consume_input()
            if (result := self._pgconn.get_result()) is None:
                break
            results.append(result)
        if results and results[0].status in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}:
            return results[0]
        sqlstate = results[0].error_field(DiagnosticField.SQLSTATE) if results else None
        self.are_kept &= sqlstate not in _NAMES_CLASH
        if sqlstate == _PLAN_IS_STALE:
            self._statements.clear()
            self._alterations += 1
        raise psycopg.DatabaseError("The prepared statement failed.")
