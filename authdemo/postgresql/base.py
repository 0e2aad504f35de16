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
from typing import Any

import psycopg
from django.core.signals import request_started
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg.errors import _WaitTimeout
from psycopg.pq import TransactionStatus

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

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.deadline if timeout is None else timeout)
        except _WaitTimeout:
            Connection.timed_out_at = time.monotonic()
            _breaker.trip()
            self.close()
            raise psycopg.OperationalError("The database did not answer in time.") from None

    def is_alive(self) -> bool:
        """Tell without a round trip: a server says nothing to an idle connection but its end.

        One as old as another that timed out would have to time out as well.
        """
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return self.opened_at > Connection.timed_out_at and not poll.poll(0)


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

    def is_usable(self) -> bool:
        return isinstance(self.connection, Connection) and self.connection.is_alive()
