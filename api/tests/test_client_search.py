"""Clients are found by each condition, and by several at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from api import client_search
from api.client_search import find_clients, search
from api.clients import restrict
from api.credentials import create_client
from api.models import Client, ClientProfile
from api.resources import create_resource, set_grants

pytestmark = pytest.mark.django_db
NOW = timezone.now()
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def clients() -> None:
    """One client for each condition, and one for none."""
    reports = create_resource("https://reports.example.com")
    create_client("plain", name="Plain")
    create_client("scoped", scopes=["read"])
    set_grants(create_client("granted")[0], [reports])
    create_client("inactive")
    User.objects.filter(username="inactive").update(is_active=False)
    User.objects.update(last_login=NOW)
    create_client("unused")
    User.objects.filter(username="unused").update(date_joined=NOW - 3 * DAY)
    create_client("new")
    for client_id, days in (("expiring", 2), ("expired", -2), ("later", 20)):
        client, _ = create_client(client_id)
        restrict(client, "client_secret_basic")
        ClientProfile.objects.filter(client_id=client.pk).update(secret_expires_at=NOW + days * DAY)
    User.objects.create_superuser("staff", password="irrelevant")


@pytest.mark.parametrize("most", [0, client_search.MAX_FOUND], ids=["common", "narrow"])
@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"active": False}, {"inactive"}),
        ({"scope": "read"}, {"scoped"}),
        ({"scope": "rea"}, set()),
        ({"scope": "nobody's"}, set()),
        ({"resource": "https://nobody.example.com"}, set()),
        ({"resource": "https://reports.example.com/"}, {"granted"}),
        ({"unused_since": NOW - 2 * DAY}, {"unused"}),
        ({"expiring_before": NOW + 7 * DAY}, {"expiring"}),
        ({"active": True, "expiring_before": NOW + 30 * DAY}, {"expiring", "later"}),
    ],
)
def test_each_condition_narrows_the_selection(
    monkeypatch: pytest.MonkeyPatch, conditions: Any, found: set[str], most: int
) -> None:
    monkeypatch.setattr(client_search, "MAX_FOUND", most)
    assert {client.username for client in find_clients(**conditions)} == found


def found(text: str) -> list[str]:
    return sorted(search(Client.objects.all(), text).values_list("username", flat=True))


def test_words_follow_the_name_however_it_is_written() -> None:
    User.objects.bulk_create(User(username=f"bulk-{n}", first_name="Blue heron") for n in (1, 2))
    assert found("heron") == ["bulk-1", "bulk-2"]
    User.objects.filter(username="bulk-1").update(first_name="Red kite")
    assert (found("heron"), found("kite")) == (["bulk-2"], ["bulk-1"])
    one = Client.objects.get(username="bulk-2")
    one.first_name = "White stork"
    one.save()
    assert (found("heron"), found("stork")) == ([], ["bulk-2"])
    User.objects.filter(username__startswith="bulk").delete()
    assert (found("kite"), found("stork")) == ([], [])


def test_search_keeps_to_the_selection() -> None:
    create_client("other", name="Plain too", scopes=["read"])
    selected = search(find_clients(scope="read"), "plain")
    assert [client.username for client in selected] == ["other"]


def test_no_condition_selects_all_clients_but_staff() -> None:
    assert find_clients().count() == 9
