"""The operator's page and the charts: what happens, what needs attention, and who may see it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection, connections
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from api import client_keys, clients, public_keys
from api.admin import charts
from api.credentials import create_client
from api.models import Client, ClientKey, ClientProfile, ClientUsage, RetiredSecret, UsageTotal
from api.tests.support.assertions import KeyPair
from api.tests.test_client_list import work
from api.throttling.counters import Counters
from api.usage.figures import HourOfUsage

NOW = datetime(2026, 5, 1, 12, 34, 56, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LISTS = (
    "Clients that fail most",
    "Previous secrets still in use",
    "Secrets and keys that expire within 30 days",
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def sign_in() -> Callable[..., Browser]:
    """Return a function that signs in staff with these permissions, or a superuser."""

    def make(*codenames: str, is_superuser: bool = False) -> Browser:
        user = User.objects.create_user("boss", is_staff=True, is_superuser=is_superuser)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        browser = Browser()
        browser.force_login(user)
        return browser

    return make


@pytest.fixture
def admin(sign_in: Callable[..., Browser]) -> Browser:
    return sign_in(is_superuser=True)


def use(client: Client | None, hours_ago: int, outcome: str, count: int) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - hours_ago * HOUR
    if client:
        ClientUsage.objects.create(client=client, hour=hour, outcome=outcome, count=count)
    total, _ = UsageTotal.objects.get_or_create(hour=hour, outcome=outcome, defaults={"count": 0})
    total.count += count
    total.save()


def tables(page: str) -> dict[str, list[list[str]]]:
    """Return the cells of each table by its heading."""
    found = {}
    parts = re.split(r"<h[23][^>]*>(.*?)</h[23]>", page, flags=re.DOTALL)[1:]
    for title, part in zip(parts[::2], parts[1::2], strict=True):
        rows = re.findall(r"<tr>(.*?)</tr>", part, re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
        found[title] = [[unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row] for row in cells]
    return found


def test_figures_of_the_last_day_and_week_are_shown_with_the_reasons(
    sign_in: Callable[..., Browser],
) -> None:
    client, _ = create_client("reporting")
    other, _ = create_client("other")
    with time_machine.travel(NOW, tick=False):
        admin = sign_in(is_superuser=True)
        use(client, 0, "success", 1234)
        use(client, 1, "wrong secret", 3)
        use(client, 1, "throttled", 2)
        use(other, 23, "success", 1)
        use(other, 24, "success", 10)
        use(None, 24, "unknown client", 7)
        use(other, 24 * 7, "success", 100)
        page = admin.get("/admin/").content.decode()
        of_client = admin.get(f"/admin/api/client/{client.pk}/change/").content.decode()
    day, week = (tables(page)[title] for title in ("Last 24 hours", "Last 7 days"))
    assert day[:3] == [
        ["From (UTC)", "Logins", "Failures", "Throttled"],
        ["01 May 12:00", "1,234", "0", "0"],
        ["01 May 11:00", "0", "3", "2"],
    ]
    assert day[-1] == ["30 Apr 13:00", "1", "0", "0"]
    assert week[1:5] == [
        ["01 May 12:00", "1,234", "0", "0"],
        ["01 May 06:00", "0", "3", "2"],
        ["01 May 00:00", "0", "0", "0"],
        ["30 Apr 18:00", "0", "0", "0"],
    ]
    assert ["30 Apr 12:00", "11", "7", "0"] in week
    assert len(week) == 1 + 6 * 4 + 3  # none that has not begun
    assert "Reasons: wrong secret: 3<" in page
    assert "Reasons: unknown client: 7; wrong secret: 3<" in page
    assert tables(of_client)["Last 7 days"][1:3] == week[1:3]
    assert "unknown client" not in of_client


def test_small_numbers_can_be_seen_beside_large_ones_and_no_bar_leaves_its_panel() -> None:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    rows = [
        HourOfUsage(now - hours * HOUR, outcome, count)
        for hours, counts in ((0, (1, 9999)), (1, (5000, 5000)), (2, (1, 1)))
        for outcome, count in zip(("wrong secret", "throttled"), counts, strict=True)
    ]
    for chart in charts.draw(rows):
        _, failures = chart.panels
        assert failures.bars
        for bar in failures.bars:
            assert bar.height >= charts.MIN_HEIGHT
            assert 0 <= bar.y <= charts.HEIGHT - bar.height
            assert 0 <= bar.x <= chart.width - charts.WIDTH + charts.GAP


def test_what_needs_attention_is_listed_with_links_and_nothing_else(admin: Browser) -> None:
    now = timezone.now()
    made = {name: create_client(name)[0] for name in ("one", "two", "three", "off")}
    Client.objects.filter(username="off").update(is_active=False)
    Client.objects.filter(username="one").update(first_name="<Billing>")
    for name, hours in (("one", 1), ("two", 2), ("off", 1)):
        client = made[name]
        clients.rotate_secret(client, grace=timedelta(hours=hours))
        RetiredSecret.objects.filter(pk=client.pk).update(last_used_at=now, last_used_from="::1")
        (key,) = client_keys.add(client, public_keys.read(KeyPair.generate().public_pem))
        ClientKey.objects.filter(pk=key.pk).update(expires_at=now + hours * DAY, name="laptop")
        ClientProfile.objects.update_or_create(
            client_id=client.pk, defaults={"secret_expires_at": now + (27 + 2 * hours) * DAY}
        )
    unused = made["three"]
    clients.rotate_secret(unused, grace=HOUR)
    RetiredSecret.objects.filter(pk=made["two"].pk).update(expires_at=now - HOUR)
    use(made["one"], 1, "wrong secret", 2)
    use(made["two"], 1, "throttled", 1500)
    use(made["two"], 24, "wrong secret", 1)
    use(made["three"], 0, "success", 1)
    use(made["three"], 25, "wrong secret", 1)
    page = admin.get("/admin/").content.decode()
    found, when = tables(page), "{:%Y-%m-%d %H:%M} UTC".format
    named = "one (<Billing>)"
    assert [found[title][1:] for title in LISTS] == [
        [["two", "1,500"], [named, "2"]],
        [[named, when(now), "::1", when(now + HOUR)]],
        [
            [named, "key laptop", when(now + DAY)],
            ["two", "key laptop", when(now + 2 * DAY)],
            [named, "secret", when(now + 29 * DAY)],
        ],
    ]
    assert f'<a href="/admin/api/client/{made["two"].pk}/change/">two</a>' in page


@pytest.mark.parametrize(
    ("permissions", "sees_clients", "sees_keys"),
    [((), False, False), (["view_client"], True, False), (["view_signingkey"], False, True)],
    ids=["none", "clients", "keys"],
)
def test_staff_see_what_they_may_view(
    permissions: list[str],
    sees_clients: bool,
    sees_keys: bool,
    sign_in: Callable[..., Browser],
    client_row: Client,
) -> None:
    use(client_row, 0, "wrong secret", 5)
    page = sign_in(*permissions).get("/admin/").content.decode()
    assert ("reporting" in page) == sees_clients
    assert [title in page for title in LISTS] == [sees_clients] * 3
    assert ("Signing key</th>" in page) == sees_keys
    assert tables(page)["Last 24 hours"][1][2] == "5"
    assert page.count("<p>None.</p>") == (2 if sees_clients else 0)


@pytest.mark.parametrize(
    ("redis_answers", "expected"),
    [
        pytest.param(None, "Not configured: each process counts failures by itself.", id="none"),
        pytest.param(True, "Up.", id="up"),
        pytest.param(False, "Down: each process counts failures by itself.", id="down"),
    ],
)
def test_state_of_the_service_is_shown(
    redis_answers: bool | None,
    expected: str,
    sign_in: Callable[..., Browser],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Counters, "redis_answers", lambda self: redis_answers)
    admin, name = sign_in(is_superuser=True), connection.display_name
    page = admin.get("/admin/").content.decode()
    (database, redis, key) = tables(page)["State"]
    assert (database, redis) == ([name, "Up."], ["Redis", expected])
    assert key[0] == "Signing key"
    assert key[1].startswith("ES256 from ")
    monkeypatch.setattr(connections["default"], "is_read_only", lambda: True)
    page = admin.get("/admin/").content.decode()
    assert tables(page)["State"][0] == [
        name,
        "Takes no writes: logins work, revocations do not.",
    ]


def test_overview_does_not_look_through_all_usage(admin: Browser) -> None:
    now = timezone.now()
    made = Client.objects.bulk_create(Client(username=f"client-{each}") for each in range(100))
    for outcome in ("success", "wrong secret"):
        ClientUsage.objects.bulk_create(
            ClientUsage(client=client, hour=now - hours * HOUR, outcome=outcome, count=1)
            for hours in range(0, 2000, 20)
            for client in made
        )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # which does so by itself; SQLite does not
            cursor.execute("ANALYZE api_clientusage")
    all_rows = work("SELECT COUNT(*) FROM api_clientusage WHERE count > %s", [1])
    seen: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note), CaptureQueriesContext(connection):
        page = admin.get("/admin/").content.decode()
    assert len(tables(page)[LISTS[0]]) == 1 + 10
    about_usage = [query for query in seen if "api_clientusage" in query[0]]
    assert len(about_usage) == 1
    assert work(*about_usage[0]) < 0.2 * all_rows
