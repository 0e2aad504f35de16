"""Django's PostgreSQL backend, for a database that may stop answering at any moment.

Each thread of the server keeps its connection (`CONN_MAX_AGE`), so a request pays for none. None
waits much longer than `DEADLINE` for the database, also where it accepts connections and answers
nothing. While it is down requests fail at once, but for one every `PAUSE` that tries to connect, so
that the first one after its return succeeds. None of this is for commands.

The pool that Django offers was not enough: it waits out its timeout for every request while the
database is down, waits longer and longer between attempts to reconnect, and asks the database
whether a connection lives, which costs each request a round trip.
"""

from typing import Any

import psycopg
from django.core.signals import request_started
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from django.utils.asyncio import async_unsafe

from authdemo.postgresql.connection import Connection, breaker
from authdemo.rows import Params, Rows, fetch_by_cursor

DEADLINE = 3.0  # seconds for one answer


def _serve(**_kwargs: Any) -> None:
    """Set the deadline: from its first request on, a process is a server."""
    Connection.deadline = DEADLINE
    request_started.disconnect(_serve)


request_started.connect(_serve)


class DatabaseWrapper(base.DatabaseWrapper):
    isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    _cursor_factory: Any = None  # Django's

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, but while a server's database is down only every now and then."""
        if self.alias == NO_DB_ALIAS:  # how Django creates and drops a test database
            return super().get_new_connection(conn_params)
        if Connection.deadline is not None and not breaker.allows():
            raise psycopg.OperationalError(breaker.cause)
        try:
            connection = Connection.connect(**conn_params)
        except psycopg.Error as error:
            breaker.trip(str(error))
            raise
        breaker.reset()
        connection.isolation_level = self.isolation_level
        self._cursor_factory = conn_params["cursor_factory"]
        return connection

    def init_connection_state(self) -> None:
        """Pin what psycopg can read, whatever the database's own setting.

        By a statement, as Django does it for the time zone: PgBouncer refuses start-up options, and
        remembers these two.
        """
        super().init_connection_state()
        if not self.connection.info.parameter_status("DateStyle").startswith("ISO"):
            self.connection.execute("SET DateStyle TO ISO")

    @async_unsafe
    def fetch_rows(self, sql: str, params: Params) -> Rows:
        """Return the rows of a read; repeat it once where the connection turns out to be dead.

        It goes straight through libpq, but by Django's cursor in a transaction, where somebody
        watches the statements, and where libpq's way did not work.
        """
        self.validate_thread_sharing()
        self.close_if_health_check_failed()
        self.ensure_connection()
        if not self.get_autocommit():
            return fetch_by_cursor(self, sql, params)
        connection: Connection = self.connection
        directly = not self._is_watched()
        try:
            if not directly:
                return fetch_by_cursor(self, sql, params)
            with self.wrap_database_errors:
                return connection.fetch(sql, params)
        except (DatabaseError, InterfaceError) as error:
            # PgBouncer hands on that its own session ended, and keeps ours.
            may_help = directly or connection.closed or isinstance(error, OperationalError)
            if connection.timed_out or not may_help:
                raise
        if connection.closed:
            self.close()
        return fetch_by_cursor(self, sql, params)

    def _is_watched(self) -> bool:
        """Tell whether somebody looks at what goes through Django's cursors."""
        return bool(
            self.queries_logged
            or self.execute_wrappers
            or "cursor" in vars(self)  # Django Debug Toolbar, and Django's own tests
            or hasattr(CursorWrapper.execute, "__wrapped__")  # Sentry
            or self.connection.cursor_factory is not self._cursor_factory  # OpenTelemetry
        )

    def is_usable(self) -> bool:
        return isinstance(self.connection, Connection) and self.connection.is_alive()
