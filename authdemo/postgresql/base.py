"""Django's PostgreSQL backend, for a database that may stop answering at any moment.

Each thread of the server keeps its connection (`CONN_MAX_AGE`), so a request pays for none. None
waits much longer than `DEADLINE` for the database, also where it accepts connections and answers
nothing. While it is down requests fail at once, but for one every `PAUSE` that tries to connect, so
that the first one after its return succeeds.

The pool that Django offers was not enough: it waits out its timeout for every request while the
database is down, waits longer and longer between attempts to reconnect, and asks the database
whether a connection lives, which costs each request a round trip.
"""

import select
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import count
from typing import Any, NoReturn

import psycopg
from django.core.signals import request_started
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg.adapt import Transformer
from psycopg.errors import (
    FeatureNotSupported,
    InvalidSqlStatementName,
    _WaitTimeout,
    error_from_result,
)
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from api.breaker import Breaker

DEADLINE = 3.0  # seconds for one answer
PAUSE = 0.5  # seconds between attempts to connect while the database is down

_breaker = Breaker(PAUSE)


class Connection(psycopg.Connection[Any]):
    """A connection that ends when an answer takes longer than the deadline."""

    deadline: float | None = None  # seconds; none in a command, such as a long migration
    timed_out_at = 0.0  # of `time.monotonic()`; when any of them last did

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened_at = time.monotonic()
        self._readable = select.poll()
        self._readable.register(self.fileno(), select.POLLIN)
        self._names: dict[str, bytes] = {}  # of the statements that `ask` prepared
        self._numbers = count()
        self._loaders = Transformer(self)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.deadline if timeout is None else timeout)
        except _WaitTimeout:
            self._give_up()

    def is_alive(self) -> bool:
        """Tell without a round trip: a server says nothing to an idle connection but its end.

        One as old as another that timed out would have to time out as well.
        """
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        return self.opened_at > Connection.timed_out_at and not self._readable.poll(0)

    @property
    def begins(self) -> bool:
        """Tell whether a statement would be the first of a transaction, which begins it."""
        return not self.autocommit and self.pgconn.transaction_status == TransactionStatus.IDLE

    def ask(self, query: str, params: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the rows of a query, which is prepared the first time that it is asked.

        Straight to libpq: a cursor of psycopg's takes apart, adapts and looks up every statement
        anew, which is a sixth of what a whole request costs.
        """
        if any("\0" in text for text in params):
            raise psycopg.DataError("PostgreSQL text has no NUL characters.")  # libpq ends at one
        give_up_at = time.monotonic() + self.deadline if self.deadline else None
        name = self._names.get(query) or self._prepare(query, len(params), give_up_at)
        self.pgconn.send_query_prepared(name, [text.encode() for text in params])
        try:
            result = self._answer(ExecStatus.TUPLES_OK, give_up_at)
        except (InvalidSqlStatementName, FeatureNotSupported):
            self._names.clear()  # discarded, or its tables altered: the next one prepares it anew
            raise
        self._loaders.set_pgresult(result)
        return self._loaders.load_rows(0, result.ntuples, tuple)

    def _prepare(self, query: str, params: int, give_up_at: float | None) -> bytes:
        name = f"asked_{next(self._numbers)}".encode()
        numbered = query % tuple(f"${number}" for number in range(1, params + 1))
        self.pgconn.send_prepare(name, numbered.encode())
        self._answer(ExecStatus.COMMAND_OK, give_up_at)
        self._names[query] = name
        return name

    def _answer(self, expected: ExecStatus, give_up_at: float | None) -> PGresult:
        """Wait for the one answer to what was sent, and for the end of it.

        `get_result` would wait itself, for as long as it takes and holding the interpreter's lock,
        so it is called only when there is something to get.
        """
        self.pgconn.flush()
        results = []
        while True:
            while self.pgconn.is_busy():
                left = give_up_at and max(0.0, give_up_at - time.monotonic()) * 1000
                if not self._readable.poll(left):
                    self._give_up()
                self.pgconn.consume_input()
            result = self.pgconn.get_result()
            if result is None:
                break
            results.append(result)
        if not results:
            raise psycopg.OperationalError("The database gave no answer.")
        if results[0].status != expected:
            raise error_from_result(results[0])
        return results[0]

    def _give_up(self) -> NoReturn:
        Connection.timed_out_at = time.monotonic()
        _breaker.trip()
        self.close()
        raise psycopg.OperationalError("The database did not answer in time.") from None


class Cursor:
    """Django's cursor, which is made only for what cannot simply be asked.

    A statement that is always the same and has only text for parameters says so by an attribute,
    `prepare`; all of its rows have to be fetched at once.
    """

    def __init__(self, connection: Connection, make: Callable[[], Any]) -> None:
        self._connection = connection
        self._make = make
        self._rows: list[tuple[Any, ...]] | None = None

    @cached_property
    def _own(self) -> Any:
        return self._make()

    def execute(self, query: Any, params: Any = None) -> None:
        if getattr(query, "prepare", False) and not self._connection.begins:
            self._rows = self._connection.ask(query, params)
        else:
            self._rows = None
            self._own.execute(query, params)

    def fetchall(self) -> Any:
        if self._rows is None:
            return self._own.fetchall()
        rows, self._rows = self._rows, []
        return rows

    def close(self) -> None:
        if "_own" in self.__dict__:
            self._own.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._own)

    def __getattr__(self, name: str) -> Any:
        self._rows = None
        return getattr(self._own, name)


def _serve(**_kwargs: Any) -> None:
    """Set the deadline: from its first request on, a process is a server."""
    Connection.deadline = DEADLINE
    request_started.disconnect(_serve)


request_started.connect(_serve)


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects only while the database may be there, and looks at a connection before its use."""

    isolation_level = psycopg.IsolationLevel.READ_COMMITTED

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.alias == NO_DB_ALIAS:  # how Django creates and drops a test database
            return super().get_new_connection(conn_params)
        if not _breaker.allows():
            raise psycopg.OperationalError("The database did not answer a moment ago.")
        try:
            connection = Connection.connect(**conn_params)
        except psycopg.Error:
            _breaker.trip()
            raise
        _breaker.reset()
        return connection

    def create_cursor(self, name: str | None = None) -> Any:
        if name:
            return super().create_cursor(name)
        return Cursor(self.connection, super().create_cursor)

    def is_usable(self) -> bool:
        return isinstance(self.connection, Connection) and self.connection.is_alive()
