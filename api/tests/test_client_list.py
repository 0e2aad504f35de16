"""The list of clients does no more work for many clients than for few."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone
from rest_framework.test import APIClient

from api import client_search, tokens
from api.admin import ClientAdmin, client_list
from api.credentials import check, create_client
from api.models import ClientProfile
from api.pagination import NewestFirst
from api.tests.support.responses import bearer

CLIENTS = 20_000
PAGE = 20
TABLES = r'FROM "(auth_user|auth_user_groups|api_client\w+)"|is_superuser'


@pytest.fixture
def many_clients(db: None) -> None:
    """Of every four clients one was used in the past month; one in a hundred is inactive."""
    now = timezone.now()
    users = User.objects.bulk_create(
        User(
            username=f"{number * 7919 % CLIENTS:05}",
            first_name=f"{'Reports' if number % 2 else 'billing'} {number:05}",
            is_active=bool(number % 100),
            last_login=now - timedelta(days=number % 119) if number % 2 else None,
        )
        for number in range(CLIENTS)
    )
    scope = Group.objects.create(name="rare")
    scope.user_set.set(users[::2000])
    ClientProfile.objects.bulk_create(
        ClientProfile(client=user, secret_expires_at=now + timedelta(minutes=number))
        for number, user in enumerate(users[::40], 1)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def plan_rows(plan: dict[str, Any]) -> float:
    """Return how many rows the nodes of a plan of PostgreSQL's looked at.

    The index of words reads all that match, without the rows: 0.2 s for a million.
    """
    if plan.get("Index Name") == "api_client_words":
        return 0
    looked_at = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    return float(plan["Actual Loops"] * looked_at + sum(map(plan_rows, plan.get("Plans", ()))))


def work(sql: str, parameters: Any) -> float:
    """Return what a query costs, in rows looked at or in steps of SQLite's virtual machine."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
            plan = cursor.fetchone()[0]
            return plan_rows((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        connection.connection.set_progress_handler(count, 1)
        cursor.execute(sql, parameters)
        cursor.fetchall()
        connection.connection.set_progress_handler(None, 0)
        return steps


@pytest.fixture
def queries() -> Iterator[list[tuple[str, Any]]]:
    """The queries about clients that run while a test does."""
    seen: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip("(").startswith("SELECT") and re.search(TABLES, sql):
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


@pytest.mark.usefixtures("many_clients")
def test_list_filters_and_search_never_look_through_the_whole_table(
    queries: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_list, "MAX_LISTED", 2 * PAGE)
    monkeypatch.setattr(client_search, "MAX_FOUND", 2 * PAGE)
    monkeypatch.setattr(ClientAdmin, "list_per_page", PAGE)
    through_all = work("SELECT COUNT(*) FROM auth_user WHERE first_name > %s", ["Reports"])
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    for query in (
        "",
        "?p=2",
        "?is_active__exact=0",
        "?is_active__exact=1",
        "?scope=rare",
        "?last_used=day",
        "?last_used=month",
        "?last_used=before",
        "?last_used=never",
        "?expires=week",
        "?expires=month",
        "?expires=past",
        "?q=0",
        "?q=01234",
        "?q=report",
        "?q=BILLING 0123",
        "?q=0123 bill",
        "?q=billing&scope=rare",
        "?q=nobody",
        "?o=1",
        "?o=-1",
        "?o=6",
    ):
        queries.clear()
        response = browser.get("/admin/api/client/" + query)
        assert response.status_code == 200, query
        assert queries
        found = response.context["cl"].result_list
        assert bool(found) == (query not in {"?q=nobody", "?expires=past"})
        for sql, parameters in list(queries):
            share = work(sql, parameters) / through_all
            assert share < 0.1, (query, share, sql)


@pytest.mark.usefixtures("many_clients")
def test_pages_of_the_api_never_look_through_the_whole_table(
    queries: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_search, "MAX_FOUND", 10 * PAGE)  # as for pages of a hundred
    monkeypatch.setattr(NewestFirst, "page_size", PAGE)
    through_all = work("SELECT COUNT(*) FROM auth_user WHERE first_name > %s", ["Reports"])
    _, secret = create_client("manager", scopes=["clients:read"])
    login = check("manager", secret, address="192.0.2.1")
    http = APIClient(headers=bearer(tokens.issue(login, ("clients:read",)).text))
    now = timezone.now()
    position = str(User.objects.order_by("pk")[CLIENTS // 2].pk)
    cases: tuple[tuple[dict[str, Any], bool], ...] = (
        ({}, True),
        ({"cursor": b64encode(f"p={position}".encode()).decode()}, True),
        ({"active": "true"}, True),
        ({"active": "false"}, True),
        ({"scope": "rare"}, False),
        ({"scope": "rare", "search": "report"}, False),
        ({"scope": "nobody"}, False),
        ({"resource": "https://nobody.example.com"}, False),
        ({"unused_since": now - timedelta(days=118)}, True),
        ({"unused_since": now - timedelta(days=200)}, False),
        ({"unused_since": now - timedelta(days=30)}, True),
        ({"unused_since": now - timedelta(days=118), "active": "false"}, False),
        ({"expiring_before": now + timedelta(minutes=9)}, False),
        ({"expiring_before": now + timedelta(days=1)}, True),
        ({"search": "0"}, True),
        ({"search": "BILLING 0123"}, False),
        ({"search": "nobody"}, False),
    )
    for parameters, is_full in cases:
        queries.clear()
        response = http.get("/clients", parameters)
        assert response.status_code == 200, parameters
        assert (len(response.json()["results"]) == PAGE) == is_full, parameters
        assert len(queries) <= 7, queries
        for sql, values in list(queries):
            share = work(sql, values) / through_all
            assert share < 0.5, (parameters, share, sql)
