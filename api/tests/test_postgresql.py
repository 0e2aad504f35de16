"""Statements that are asked of PostgreSQL past psycopg's cursors."""

from contextlib import suppress
from typing import Any

import pytest
from django.db import DataError, ProgrammingError, connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from api.models import Client, Statement, standing_for_login, standing_for_token

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="is about PostgreSQL"),
    pytest.mark.django_db,
]
ECHO = Statement("SELECT %s || '!', upper(%s)")
DIVIDE = Statement("SELECT 1 / length(%s)")


def ask(statement: str, *params: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchall()


@pytest.fixture(autouse=True)
def _in_a_transaction(db: None) -> None:
    """Begin the test's transaction, so that statements can be asked in it."""
    ask("SELECT 1")


def prepared() -> set[str]:
    names = {name for (name,) in ask("SELECT name FROM pg_prepared_statements")}
    return {name for name in names if name.startswith("asked_")}


def test_statement_is_prepared_once_and_its_parameters_are_text() -> None:
    before = prepared()
    for text in ("a", "", "é'\";--%s$1"):
        assert ask(ECHO, text, "b") == [(f"{text}!", "B")]
    assert len(prepared() - before) <= 1


def test_types_are_those_of_django(client_row: Client) -> None:
    now = timezone.now()
    Client.objects.update(last_login=now)
    statement = Statement("SELECT id, is_active, last_login FROM auth_user WHERE username = %s")
    expected = [(client_row.pk, True, now)]
    assert ask(statement, client_row.username) == expected
    assert ask(str(statement), client_row.username) == expected
    assert ask(statement, "nobody") == []


def test_text_with_a_nul_is_refused_and_not_cut() -> None:
    with pytest.raises(DataError):
        ask(ECHO, "admin\0x", "b")
    assert ask(ECHO, "a", "b") == [("a!", "B")]


def test_rows_are_fetched_once() -> None:
    with connection.cursor() as cursor:
        cursor.execute(ECHO, ["a", "b"])
        assert cursor.fetchall() == [("a!", "B")]
        assert cursor.fetchall() == []
        cursor.execute(ECHO, ["a", "b"])
        cursor.executemany("SELECT %s", [["c"]])
        with pytest.raises(ProgrammingError):
            cursor.fetchall()


def test_failure_is_djangos_and_leaves_the_connection_usable() -> None:
    for _ in range(2):
        with pytest.raises(DataError, match="division by zero"), transaction.atomic():
            ask(DIVIDE, "")
        assert ask(DIVIDE, "a") == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_statements_outlive_a_transaction_that_is_rolled_back() -> None:
    for _ in range(2):
        with suppress(DataError), transaction.atomic():
            assert ask(ECHO, "a", "b") == [("a!", "B")]  # which begins it
            assert connection.connection.info.transaction_status.name == "INTRANS"
            ask(DIVIDE, "")
        assert ask(ECHO, "a", "b") == [("a!", "B")]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_statement_that_was_discarded_is_prepared_anew(how: str) -> None:
    ask(ECHO, "a", "b")
    with connection.cursor() as cursor:
        cursor.execute(how)
    with pytest.raises(ProgrammingError, match="does not exist"):
        ask(ECHO, "a", "b")
    assert ask(ECHO, "a", "b") == [("a!", "B")]


def test_login_and_verification_are_asked(
    client_row: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        assert standing_for_login(client_row.username).secrets == (client_row.password,)
        standing = standing_for_token(client_row.username, "jti")
    assert standing
    assert standing.secrets == (client_row.password,)
    assert len(prepared()) >= 2
