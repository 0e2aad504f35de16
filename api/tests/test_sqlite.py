"""Reads that go past Django's cursor on SQLite."""

from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api.credentials import create_client
from api.models import Client, ClientUsage
from api.standing import look_up_for_login

pytestmark = [
    pytest.mark.skipif(connection.vendor != "sqlite", reason="is about SQLite"),
    pytest.mark.django_db(transaction=True),
]
database: Any = connection


def test_both_ways_give_the_same() -> None:
    client = create_client("reporting", scopes=["read", "write"])[0]
    directly = look_up_for_login(client.username)
    with transaction.atomic():
        assert look_up_for_login(client.username) == directly
    assert directly.groups == ("read", "write")


def test_statement_is_seen_by_who_watches() -> None:
    seen = []

    def watch(execute: Any, sql: str, *arguments: Any) -> Any:
        seen.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(watch), CaptureQueriesContext(connection) as captured:
        look_up_for_login("nobody")
    assert (len(seen), len(captured)) == (1, 1)


def test_rows_are_read_past_the_cursor_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authdemo.sqlite3.base.fetch_by_cursor", None)
    assert database.fetch_rows("SELECT %(a)s || %(a)s AS twice", {"a": "%"}) == [{"twice": "%%"}]


def test_number_above_64_bits_is_compared_as_any_other() -> None:
    client = create_client("reporting")[0]
    found = Client.objects.filter(pk__in=[10**30, -(10**30), 2**63, client.pk])
    assert list(found) == [client]
    assert not Client.objects.exclude(pk__in=[10**400, client.pk]).exists()


def test_number_above_64_bits_is_not_stored() -> None:
    with pytest.raises(OverflowError):
        ClientUsage.objects.create(client_id=10**30, hour=timezone.now(), outcome="", count=1)


def test_failure_is_djangos() -> None:
    with pytest.raises(OperationalError, match="no such table"):
        database.fetch_rows("SELECT * FROM nowhere WHERE %(a)s", {"a": ""})
