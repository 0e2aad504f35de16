"""The first page of the admin, for the operator: what happens, and what soon needs attention."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from api import client_search
from api.admin import charts
from api.admin.records import format_time
from api.models import Client, RetiredSecret, SigningKey
from api.throttling.counters import counters
from api.usage import figures

SOON, LATELY = timedelta(days=30), timedelta(days=1)
AT_MOST = 10  # rows of a table
ACTIVE = {"client__is_active": True, "client__is_staff": False, "client__is_superuser": False}

admin.site.index_template = "admin/api/overview.html"


@dataclass(frozen=True, slots=True)
class Row:
    """A client, its page, and what the columns say of it, each with its column."""

    name: str
    url: str
    cells: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """Clients, and what each column says of them."""

    title: str
    columns: tuple[str, ...]
    found: Sequence[tuple[User, *tuple[str, ...]]]

    @property
    def is_full(self) -> bool:
        return len(self.found) == AT_MOST

    @property
    def rows(self) -> Iterator[Row]:
        for client, *cells in self.found:
            url = reverse("admin:api_client_change", args=(client.pk,))
            name = (
                f"{client.username} ({client.first_name})" if client.first_name else client.username
            )
            yield Row(name, url, list(zip(self.columns, cells, strict=True)))


def index(request: HttpRequest) -> HttpResponse:
    """Show the overview above Django's list of what may be managed."""
    context: dict[str, Any] = {
        "title": "Overview",
        "charts": charts.of_all(),
        "state": list(_services()),
    }
    if _may_view(request, Client):
        context["tables"] = list(_tables(timezone.now()))
    if _may_view(request, SigningKey):
        context["state"] += _signing_keys(request)
    return admin.site.index(request, context)


def _may_view(request: HttpRequest, model: type[Client | SigningKey]) -> bool:
    return admin.site.get_model_admin(model).has_view_permission(request)


def _services() -> Iterator[tuple[str, str]]:
    database: Any = connection  # either of our backends
    state = (
        "Takes no writes: logins work, revocations do not." if database.is_read_only() else "Up."
    )
    yield connection.display_name, state
    match counters().redis_answers():
        case None:
            yield "Redis", "Not configured: each process counts failures by itself."
        case True:
            yield "Redis", "Up."
        case False:
            yield "Redis", "Down: each process counts failures by itself."


def _signing_keys(request: HttpRequest) -> Iterator[tuple[str, str]]:
    rows: Any = admin.site.get_model_admin(SigningKey).get_queryset(request)  # with their state
    for key in rows.exclude(state="expired"):
        since = f"{key.algorithm} from {format_time(key.signs_from)}"
        until = f", until {format_time(key.verifies_until)}" if key.verifies_until else ""
        yield f"{key.state.capitalize()} key", since + until


def _tables(now: datetime) -> Iterator[Table]:
    failing = figures.failing_most(now - LATELY, AT_MOST)
    yield Table(
        "Clients that fail most",
        ("Failures in 24 hours",),
        [(client, f"{failures:,}") for client, failures in failing],
    )
    yield Table(
        "Previous secrets still in use",
        ("Last used", "From", "Ends"),
        [
            (old.client, _when(old.last_used_at), old.last_used_from, _when(old.expires_at))
            for old in _old_secrets(now)
        ],
    )
    yield Table(
        "Secrets and keys that expire within 30 days",
        ("What", "Expires"),
        [(client, what, _when(end)) for end, what, client in _expiring(now, now + SOON)],
    )


def _when(moment: datetime | None) -> str:
    return format_time(moment) if moment else ""


def _old_secrets(now: datetime) -> Any:
    """Select the previous secrets in use, the first to end first."""
    in_grace = RetiredSecret.objects.filter(expires_at__gt=now, replaced_by=F("client__password"))
    used = in_grace.filter(last_used_at__isnull=False, **ACTIVE)
    return used.select_related("client").order_by("expires_at")[:AT_MOST]


def _expiring(now: datetime, before: datetime) -> list[tuple[datetime, str, User]]:
    """Return the secrets and keys that expire next: the time, what it is, and its client."""
    secrets, keys = (
        rows.filter(**ACTIVE).select_related("client")[:AT_MOST]
        for rows in client_search.expiring(gt=now, lt=before)
    )
    found = [(profile.secret_expires_at, "secret", profile.client) for profile in secrets]
    found += [(key.expires_at, f"key {key}", key.client) for key in keys]
    return sorted(found, key=lambda one: one[0])[:AT_MOST]
