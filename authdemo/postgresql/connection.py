"""A psycopg connection that knows whether it is alive, and whether its server is read-only.

It closes if an answer is too slow.
"""

import select
import time
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

from api.breaker import Breaker
from authdemo.postgresql.deadline import DeadlineExceededError, limit
from authdemo.postgresql.prepared import PreparedStatements
from authdemo.rows import Params, Rows

PAUSE = 0.5  # seconds between attempts to connect while the database is down
IDLE = 0.25  # seconds after which a connection is tested with a query
LOOK = 2.0  # seconds after which a connection in use is asked whether its server became read-only
breaker = Breaker(PAUSE)
T = TypeVar("T")


class Connection(psycopg.Connection[Any]):
    deadline: ClassVar[float | None] = None  # seconds; `None` in commands, such as a long migration
    timed_out_at: ClassVar[float] = 0.0  # of `time.monotonic()`, for all connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._readable = select.poll()
        self._readable.register(self.fileno(), select.POLLIN)
        self.statements = PreparedStatements(self.pgconn, self._readable)
        self.timed_out = False
        self.is_read_only = False  # as far as is known
        self._opened_at = self._checked_at = self._looked_at = time.monotonic()

    def fetch(self, sql: str, params: Params) -> Rows:
        """Return the rows of a prepared statement."""
        give_up_at = None if self.deadline is None else time.monotonic() + self.deadline
        try:
            return self.statements.fetch(sql, params, give_up_at)
        except DeadlineExceededError as error:
            self._give_up(error)
            raise

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Limit the time of everything else: psycopg calls this method for each operation."""
        steps = gen if self.deadline is None else limit(gen, self.deadline)
        try:
            return super().wait(steps, *args, **kwargs)
        except DeadlineExceededError as error:
            self._give_up(error)
            raise
        except psycopg.errors.ReadOnlySqlTransaction:  # SQLSTATE 25006
            self.is_read_only = True
            raise

    def is_alive(self) -> bool:
        """Check the socket, and after `IDLE` or `LOOK` also send a query.

        A server sends nothing on an idle connection except that it ended, so checking the socket is
        enough. A proxy or firewall that dropped the connection answers only when something is sent.
        If any connection has timed out, all that were opened before count as dead.
        """
        now = time.monotonic()
        idle, self._checked_at = now - self._checked_at, now
        if self.closed or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return False
        if self._opened_at <= Connection.timed_out_at or self._readable.poll(0):
            return False
        return (idle < IDLE and now - self._looked_at < LOOK) or self.look()

    def look(self) -> bool:
        """Ask whether the server is read-only. Return whether it answers.

        A standby is read-only too. A primary may become read-only, or a standby primary, while the
        connection lives.
        """
        try:
            answer = self.execute("SHOW transaction_read_only").fetchone()
        except psycopg.Error:
            return False
        self.is_read_only, self._looked_at = answer == ("on",), time.monotonic()
        return True

    def _give_up(self, error: DeadlineExceededError) -> None:
        self.timed_out = True
        Connection.timed_out_at = time.monotonic()
        breaker.trip(str(error))
        self.close()
