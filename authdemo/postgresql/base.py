"""Django's PostgreSQL backend, for a database that may stop answering at any moment.

Each server thread keeps its connection (`CONN_MAX_AGE`), so requests do not pay for connecting. No
request waits much longer than `DEADLINE`, even if the database accepts connections but never
answers. While the database is down, requests fail at once; one request every `PAUSE` tries to
connect. So the service recovers as soon as the database does. Commands have none of these limits.

Unless `DATABASE_URL` says otherwise, `target_session_attrs` is `read-write`: of several hosts, the
primary is used. It may become read-only or be replaced while connections live. Then one request
every `PRIMARY_PAUSE` looks for a primary, and all connections move to it once it is found. Until
then they read where they can, so that logins go on.

Django's connection pool has three faults here. While the database is down, every request waits for
the full timeout. The pauses between reconnects grow longer and longer. Checking a connection costs
each request a round trip.
"""

import time
from functools import cached_property
from typing import Any

import psycopg
from django.core.signals import request_started
from django.db import DatabaseError, InterfaceError, OperationalError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.utils.asyncio import async_unsafe

from api.breaker import Breaker
from authdemo.postgresql.connection import Connection, breaker
from authdemo.rows import Params, Rows, fetch_by_cursor, is_instrumented

DEADLINE = 3.0  # seconds for one answer
PRIMARY_PAUSE = 2.0  # seconds between attempts to find a primary while there is none
primary = Breaker(PRIMARY_PAUSE)


def _set_deadline(**_kwargs: Any) -> None:
    """Set the deadline at the first request: only then is the process a server."""
    Connection.deadline = DEADLINE
    request_started.disconnect(_set_deadline)


request_started.connect(_set_deadline)


class DatabaseWrapper(base.DatabaseWrapper):
    isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    _cursor_factory: Any = None  # Django's

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; while the database is down, a server tries only once every `PAUSE`."""
        if self.alias == NO_DB_ALIAS:  # Django creates and drops test databases with it
            return super().get_new_connection(conn_params)
        if Connection.deadline is not None and not breaker.allows():
            raise psycopg.OperationalError(breaker.cause)
        try:
            connection = self._connect(conn_params)
        except psycopg.Error as error:
            breaker.trip(str(error))
            raise
        breaker.reset()
        connection.isolation_level = self.isolation_level
        self._cursor_factory = conn_params["cursor_factory"]
        return connection

    def _connect(self, conn_params: dict[str, Any]) -> Connection:
        """Connect to the primary, or to a server that only reads while there is no primary."""
        if not self._wants_primary:
            return Connection.connect(**conn_params)
        if primary.allows():
            began = time.monotonic()
            try:
                connection = Connection.connect(**conn_params)
            except psycopg.Error:
                primary.trip()
                if time.monotonic() - began > 1:  # a server hangs, and the request cannot wait more
                    raise
            else:
                primary.reset()
                return connection
        connection = Connection.connect(**conn_params | {"target_session_attrs": "any"})
        connection.is_read_only = True  # until somebody looks
        return connection

    @cached_property
    def _wants_primary(self) -> bool:
        attributes = self.settings_dict["OPTIONS"].get("target_session_attrs")
        return attributes in {"read-write", "primary"}

    def init_connection_state(self) -> None:
        """Set the only DateStyle that psycopg can read, whatever the database's setting.

        It uses a statement, as Django does for the time zone. PgBouncer refuses start-up options,
        but keeps track of these two settings.
        """
        super().init_connection_state()
        if not self.connection.info.parameter_status("DateStyle").startswith("ISO"):
            self.connection.execute("SET DateStyle TO ISO")

    @async_unsafe
    def fetch_rows(self, sql: str, params: Params) -> Rows:
        """Return the rows of a read. Repeat it once if the connection turns out to be dead.

        It uses libpq directly. It uses Django's cursor in a transaction, if something instruments
        the cursors, and after libpq failed.
        """
        self.validate_thread_sharing()
        self.close_if_health_check_failed()
        self.ensure_connection()
        connection: Connection = self.connection
        if not connection.autocommit:
            return fetch_by_cursor(self, sql, params)
        directly = not self._is_instrumented()
        try:
            if not directly:
                return fetch_by_cursor(self, sql, params)
            with self.wrap_database_errors:
                return connection.fetch(sql, params)
        except (DatabaseError, InterfaceError) as error:
            # PgBouncer reports that its server connection ended, but keeps ours open.
            may_help = directly or connection.closed or isinstance(error, OperationalError)
            if connection.timed_out or not may_help:
                raise
        if connection.closed:
            self.close()
        return fetch_by_cursor(self, sql, params)

    def _is_instrumented(self) -> bool:
        """Tell whether a tool, such as a tracer, observes the statements of Django's cursors."""
        other_cursors = self.connection.cursor_factory is not self._cursor_factory  # OpenTelemetry
        return other_cursors or is_instrumented(self)

    def is_usable(self) -> bool:
        """Tell whether to keep the connection: it is alive, and no better one is to be had."""
        connection = self.connection
        if not isinstance(connection, Connection) or not connection.is_alive():
            return False
        return not (connection.is_read_only and self._wants_primary and self._finds_primary())

    def _finds_primary(self) -> bool:
        if not primary.allows():
            return False
        try:
            Connection.connect(**self.get_connection_params()).close()
        except psycopg.Error:
            primary.trip()
            return False
        primary.reset()
        return True

    def is_read_only(self) -> bool:
        """Tell whether the server refuses writes although `DATABASE_URL` wants them. Asks it."""
        (row,) = self.fetch_rows("SHOW transaction_read_only", {})
        return self._wants_primary and row["transaction_read_only"] == "on"
