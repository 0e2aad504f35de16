"""How the two queries of every request reach PostgreSQL, and what becomes of a dead connection."""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from unittest.mock import Mock, patch

import psycopg
import pytest
from django.db import (
    DEFAULT_DB_ALIAS,
    DataError,
    InternalError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext
from psycopg.pq import TransactionStatus

from api.breaker import Breaker
from api.models import Client
from api.standing import look_up_for_login, look_up_for_token
from authdemo.postgresql.connection import Connection, breaker

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="is about PostgreSQL"),
    pytest.mark.django_db(transaction=True),  # in a transaction nothing is prepared
]
database: Any = connection
ECHO = "SELECT %(one)s || '!' AS one, upper(%(two)s) AS two"
DIVIDE = "SELECT 1 / length(%(text)s) AS quotient"


@pytest.fixture(autouse=True)
def _new_connection(transactional_db: None) -> Iterator[None]:
    connection.close()
    yield
    connection.close()


def echo(one: str = "a") -> Any:
    return database.fetch_rows(ECHO, {"one": one, "two": "b"})


def execute(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def prepared() -> set[str]:
    return {name for (name,) in execute("SELECT name FROM pg_prepared_statements")}


# Prepared statements


def test_statement_is_prepared_once_and_its_parameters_are_text() -> None:
    for text in ("a", "", "é'\";--%s$1"):
        assert echo(text) == [{"one": f"{text}!", "two": "B"}]
    assert len(prepared()) == 1


def test_parameters_go_by_their_names() -> None:
    assert echo() == [{"one": "a!", "two": "B"}]
    assert database.fetch_rows(ECHO, {"two": "b", "one": "a"}) == [{"one": "a!", "two": "B"}]


def test_text_with_a_nul_is_refused_and_not_cut() -> None:
    with pytest.raises(DataError):
        echo("admin\0x")
    assert echo() == [{"one": "a!", "two": "B"}]


def test_login_and_verification_are_prepared(client_row: Client) -> None:
    for _ in range(2):
        assert look_up_for_login(client_row.username).groups == ("read", "write")
        assert look_up_for_token(client_row.username, jti="jti")
    assert len(prepared()) == 2


def test_both_ways_give_the_same(client_row: Client) -> None:
    def look_up() -> tuple[Any, ...]:
        names = (client_row.username, "nobody")
        logins = [look_up_for_login(name) for name in names]
        return *logins, *(look_up_for_token(name, jti="jti") for name in names)

    directly = look_up()
    with transaction.atomic():
        assert look_up() == directly
    assert len(prepared()) == 2


def test_failure_is_djangos_and_leaves_the_connection_usable() -> None:
    for _ in range(2):
        with pytest.raises(DataError, match="division by zero"):
            database.fetch_rows(DIVIDE, {"text": ""})
        assert database.fetch_rows(DIVIDE, {"text": "a"}) == [{"quotient": 1}]
    assert len(prepared()) == 1


def test_transaction_sees_its_own_rows_and_its_rollback_ends_no_statement(
    client_row: Client,
) -> None:
    known = look_up_for_login(client_row.username)
    with suppress(ZeroDivisionError), transaction.atomic():
        Client.objects.update(is_active=False)
        assert not look_up_for_login(client_row.username).is_active
        raise ZeroDivisionError
    assert look_up_for_login(client_row.username) == known
    assert len(prepared()) == 1


def test_first_read_of_a_transaction_begins_it() -> None:
    with transaction.atomic():
        echo()
        assert connection.connection.info.transaction_status == TransactionStatus.INTRANS


def test_transactions_are_read_committed_whatever_the_database_prefers() -> None:
    execute("SET default_transaction_isolation = 'serializable'")
    with transaction.atomic():
        assert execute("SHOW transaction_isolation") == [("read committed",)]


@pytest.mark.parametrize("how", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_names_that_do_not_last_are_given_up(how: str) -> None:
    """As behind a pooler, where each transaction may meet another session."""
    echo()
    execute(how)
    assert echo() == [{"one": "a!", "two": "B"}]
    assert not connection.connection.statements.use_names
    assert echo() == [{"one": "a!", "two": "B"}]


def test_name_that_is_taken_is_given_up() -> None:
    echo()
    (name,) = prepared()
    connection.close()
    execute(f"PREPARE {name} AS SELECT 'somebody else'")
    assert echo() == [{"one": "a!", "two": "B"}]
    assert not connection.connection.statements.use_names
    assert echo() == [{"one": "a!", "two": "B"}]


def test_altered_table_costs_no_answer_and_its_statement_is_prepared_anew() -> None:
    sql = "SELECT name FROM altered"
    execute("CREATE TABLE altered (name varchar(8)); INSERT INTO altered VALUES ('a')")
    try:
        database.fetch_rows(sql, {})
        execute("ALTER TABLE altered ALTER name TYPE varchar(9)")
        for _ in range(2):
            assert database.fetch_rows(sql, {}) == [{"name": "a"}]
        assert len(prepared()) == 2
    finally:
        execute("DROP TABLE altered")


# Whoever watches the statements


@contextmanager
def execute_wrapper(_monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    seen = []

    def wrapper(execute: Any, sql: str, *args: Any) -> Any:
        seen.append(sql)
        return execute(sql, *args)

    with connection.execute_wrapper(wrapper):
        yield lambda: len(seen)


@contextmanager
def query_log(_monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    with CaptureQueriesContext(connection) as queries:
        yield lambda: len(queries)


@contextmanager
def cursor_factory(_monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """As OpenTelemetry does it."""
    seen = []
    connection.ensure_connection()

    class Traced(connection.connection.cursor_factory):  # type: ignore[misc, name-defined]
        def execute(self, *args: Any) -> Any:
            seen.append(args)
            return super().execute(*args)

    connection.connection.cursor_factory = Traced
    yield lambda: len(seen)


@contextmanager
def patched_wrapper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """As Sentry does it."""
    seen = []
    original = CursorWrapper.execute

    @functools.wraps(original)
    def execute(self: Any, *args: Any) -> Any:
        seen.append(args)
        return original(self, *args)

    monkeypatch.setattr(CursorWrapper, "execute", execute)
    yield lambda: len(seen)


@contextmanager
def patched_connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """As the Django Debug Toolbar does it."""
    seen = Mock(wraps=connection.cursor)
    with patch.object(connections[DEFAULT_DB_ALIAS], "cursor", seen):
        yield lambda: seen.call_count


@pytest.mark.parametrize(
    "watch", [execute_wrapper, query_log, cursor_factory, patched_wrapper, patched_connection]
)
def test_login_and_verification_are_seen_by(
    client_row: Client,
    monkeypatch: pytest.MonkeyPatch,
    watch: Callable[[pytest.MonkeyPatch], AbstractContextManager[Callable[[], int]]],
) -> None:
    with watch(monkeypatch) as seen:
        look_up_for_login(client_row.username)
        look_up_for_token(client_row.username, jti="jti")
        assert seen() == 2


# Connections that died


def terminate() -> None:
    """End the connection as an administrator does."""
    administrator = connection.copy()
    with administrator.cursor() as cursor:
        pid = connection.connection.info.backend_pid
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    administrator.close()


@contextmanager
def unwatched(_monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield


@pytest.mark.parametrize("watch", [unwatched, execute_wrapper])
def test_read_on_a_dead_connection_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
    watch: Callable[[pytest.MonkeyPatch], AbstractContextManager[Any]],
) -> None:
    echo()
    with watch(monkeypatch):
        terminate()
        assert echo() == [{"one": "a!", "two": "B"}]


def test_read_in_a_transaction_is_not_repeated() -> None:
    def echo_twice() -> None:
        echo()
        terminate()
        echo()

    with pytest.raises(OperationalError):
        transaction.atomic(echo_twice)()
    assert echo() == [{"one": "a!", "two": "B"}]


def test_dead_connection_is_found_before_its_use() -> None:
    echo()
    assert connection.is_usable()
    terminate()
    assert not connection.is_usable()


@pytest.fixture
def _server_with_a_short_deadline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Connection, "deadline", 0.2)
    yield
    breaker.reset()


@pytest.mark.usefixtures("_server_with_a_short_deadline")
@pytest.mark.parametrize("watch", [unwatched, execute_wrapper])
def test_late_answer_costs_one_deadline_and_the_connection(
    monkeypatch: pytest.MonkeyPatch,
    watch: Callable[[pytest.MonkeyPatch], AbstractContextManager[Any]],
) -> None:
    connection.ensure_connection()
    began = time.monotonic()
    with watch(monkeypatch), pytest.raises(OperationalError, match="did not answer in time"):
        database.fetch_rows("SELECT pg_sleep(2)::text AS late", {})
    assert 0.2 <= time.monotonic() - began < 1.5  # seconds; the answer would come after 2
    assert connection.connection.closed
    connection.close()
    with pytest.raises(OperationalError, match="did not answer in time"):
        connection.ensure_connection()  # the same cause, and no attempt


@pytest.mark.parametrize(
    ("other", "is_kept"),
    [
        pytest.param("primary", False, id="another writes"),
        pytest.param("standby", True, id="no other writes"),
        pytest.param("any", True, id="reading is enough"),
    ],
)
def test_connection_whose_write_was_refused_is_kept_only_if_none_is_better(
    monkeypatch: pytest.MonkeyPatch, other: str, is_kept: bool
) -> None:
    execute("SET default_transaction_read_only = on")
    with pytest.raises(InternalError, match="read-only"):
        execute("CREATE TABLE nothing ()")
    monkeypatch.setattr("authdemo.postgresql.base.primary", Breaker(60))
    if other == "standby":
        monkeypatch.setattr(Connection, "connect", Mock(side_effect=psycopg.OperationalError))
    elif other == "any":
        monkeypatch.setattr(database, "_wants_primary", False)
    assert [connection.is_usable(), database.is_read_only()] == [is_kept, other != "any"]


def test_psycopg_waits_where_our_deadline_is() -> None:
    """`psycopg.Connection.wait` is the one method we override that psycopg does not document.

    If this fails after an upgrade, look in psycopg's `connection.py` for what waits for the socket
    now, and put the deadline there (`authdemo/postgresql/connection.py`). It has to resume the
    generator that it is given every 0.1 s, for `deadline.py` to look at the clock.
    """
    resumed = []

    class Watched(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            return super().wait(self.watch(gen), *args, **kwargs)

        def watch(self, gen: Any) -> Any:
            try:
                waits_for = next(gen)
                while True:
                    resumed.append((yield waits_for))
                    waits_for = gen.send(resumed[-1])
            except StopIteration as done:
                return done.value

    with Watched.connect(**connection.get_connection_params()) as watched:
        watched.execute("SELECT pg_sleep(0.35)")
        assert len(resumed) >= 3
        resumed.clear()
    assert resumed  # by the commit
