"""Django's PostgreSQL backend, for a database that may stop answering at any moment.

No request waits much longer than `DEADLINE` for it, also where it accepts connections and answers
nothing. While it is down requests fail at once, but for one every `PAUSE` that tries to connect, so
that the first one after its return succeeds.

The pool that Django offers was not enough: it waits out its timeout for every request while the
database is down, waits longer and longer between attempts to reconnect, and asks the database
whether a connection lives, which costs each request a round trip.
"""

import select
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from django.core.signals import request_started
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.dispatch import receiver
from psycopg.errors import _WaitTimeout
from psycopg.pq import TransactionStatus

from api.breaker import Breaker

DEADLINE = 3.0  # seconds for one answer
PAUSE = 0.5  # seconds between attempts to connect while the database is down
MAX_CONNECTIONS = 16  # of one process


class Connection(psycopg.Connection[Any]):
    """A connection that ends when an answer takes longer than the deadline."""

    deadline: float | None = None  # seconds; none in a command, such as a long migration
    timed_out = False

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.deadline if timeout is None else timeout)
        except _WaitTimeout:
            self.timed_out = True
            self.close()
            raise psycopg.OperationalError("The database did not answer in time.") from None

    def is_clean(self) -> bool:
        return not self.closed and self.pgconn.transaction_status == TransactionStatus.IDLE

    def is_alive(self) -> bool:
        """Tell without a round trip: a server says nothing to an idle connection but its end."""
        if not self.is_clean():
            return False
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        return not poll.poll(0)


@receiver(request_started)
def _serve(**_kwargs: Any) -> None:
    """Set the deadline: from its first request on, a process is a server."""
    Connection.deadline = DEADLINE


class Pool:
    """The connections of this process; the one used last is used first."""

    def __init__(self) -> None:
        self._idle: list[Connection] = []
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._breaker = Breaker(PAUSE)

    def take(self, connect: Callable[[], Connection]) -> Connection:
        if not self._slots.acquire(timeout=DEADLINE):
            raise psycopg.OperationalError("All connections to the database are in use.")
        try:
            return self._reuse() or self._connect(connect)
        except BaseException:
            self._slots.release()
            raise

    def give_back(self, connection: Connection) -> None:
        if connection.timed_out:
            self._breaker.trip()
            self.clear()  # the others would have to time out as well
        if connection.is_clean():
            self._idle.append(connection)
        else:
            connection.close()
        self._slots.release()

    def clear(self) -> None:
        while connection := self._pop():
            connection.close()

    def _reuse(self) -> Connection | None:
        while connection := self._pop():
            if connection.is_alive():
                return connection
            connection.close()
        return None

    def _pop(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self, connect: Callable[[], Connection]) -> Connection:
        if not self._breaker.allows():
            raise psycopg.OperationalError("The database did not answer a moment ago.")
        try:
            connection = connect()
        except psycopg.Error:
            self._breaker.trip()
            raise
        self._breaker.reset()
        return connection


_pool = Pool()


class DatabaseWrapper(base.DatabaseWrapper):
    """Takes its connection from the pool when a request needs one, and gives it back at its end."""

    isolation_level = psycopg.IsolationLevel.READ_COMMITTED

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.alias == NO_DB_ALIAS:  # how Django creates and drops a test database
            return super().get_new_connection(conn_params)
        return _pool.take(lambda: Connection.connect(**conn_params))

    def _close(self) -> None:
        if isinstance(self.connection, Connection):
            connection, self.connection = self.connection, None
            _pool.give_back(connection)
        else:
            super()._close()  # type: ignore[misc]

    def close_pool(self) -> None:
        _pool.clear()
