"""Keep the list of a million clients fast, on both databases.

It counts only the rows that can be paged through. Each filter and order has an index that returns
the rows in the order of the list (migration 0002).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import SimpleListFilter
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from api.client_search import (
    MAX_FOUND,
    last_expired,
    next_to_expire,
    with_resource,
    with_scope,
)
from api.models import Client, Resource, ResourceGrant, Scope

MAX_LISTED = MAX_FOUND  # rows that can be paged through; beyond them, search
MAX_NAMED = 50  # clients that a page names beside a link to the list


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Stops counting at `MAX_LISTED`: a full count of a large table is slow."""

    @cached_property
    def count(self) -> int:
        listed: Any = self.object_list[:MAX_LISTED]
        return int(listed.count())

    @property
    def is_truncated(self) -> bool:
        return self.count == MAX_LISTED


class ScopeFilter(SimpleListFilter):
    title = parameter_name = "scope"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(scope.name, scope.name) for scope in Scope.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> QuerySet[Client]:
        if self.value() is None:
            return queryset
        named = (scope for scope in Scope.objects.all() if scope.name == self.value())
        return with_scope(queryset, next(named, None))


class ResourceFilter(SimpleListFilter):
    title, parameter_name = "API", "api"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(resource.pk), str(resource)) for resource in Resource.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> QuerySet[Client]:
        if self.value() is None:
            return queryset
        chosen = (one for one in Resource.objects.all() if str(one.pk) == self.value())
        return with_resource(queryset, next(chosen, None))


class LastUsedFilter(SimpleListFilter):
    title, parameter_name = "last used", "last_used"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("day", "In the past 24 hours"),
            ("month", "In the past 30 days"),
            ("before", "More than 30 days ago"),
            ("never", "Never"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> QuerySet[Client]:
        now = timezone.now()
        match self.value():
            case "day":
                return queryset.filter(last_login__gte=now - timedelta(days=1))
            case "month":
                return queryset.filter(last_login__gte=now - timedelta(days=30))
            case "before":
                return queryset.filter(last_login__lt=now - timedelta(days=30))
            case "never":
                return queryset.filter(last_login=None)
        return queryset


class ExpiryFilter(SimpleListFilter):
    title, parameter_name = "expiry of secrets and keys", "expires"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("week", "Within 7 days"),
            ("month", "Within 30 days"),
            ("past", "Expired"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> QuerySet[Client]:
        now = timezone.now()
        match self.value():
            case "week":
                return next_to_expire(queryset, now + timedelta(days=7))
            case "month":
                return next_to_expire(queryset, now + timedelta(days=30))
            case "past":
                return last_expired(queryset)
        return queryset


def ordering(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Return the order of the list: newest first, or by last use if filtered by it."""
    return ("-last_login", "-pk") if LastUsedFilter.parameter_name in parameters else ("-pk",)


def members(scope: Scope) -> QuerySet[Any, tuple[int, str]]:
    """Return key and id of the clients with a scope, newest first, as an index has them."""
    rows = User.groups.through.objects.filter(group=scope.pk)
    clients = rows.filter(user__is_staff=False, user__is_superuser=False)
    return clients.order_by("-user_id").values_list("user_id", "user__username")


def grantees(resource: Resource) -> QuerySet[Any, tuple[int, str]]:
    """Return key and id of the clients that may call an API, newest first."""
    rows = ResourceGrant.objects.filter(resource=resource)
    return rows.order_by("-client_id").values_list("client_id", "client__username")


def count(clients: QuerySet[Any, Any]) -> str:
    """Return "1 client", or "1,000 or more clients": a full count of many is slow."""
    number = clients[:MAX_LISTED].count()
    if number == MAX_LISTED:
        return f"{number:,} or more clients"
    return f"{number} client{'' if number == 1 else 's'}"


def links(clients: QuerySet[Any, tuple[int, str]], **query: Any) -> SafeString:
    """Return links to the newest of some clients, and to the list of all, which `query` filters."""
    newest = list(clients[: MAX_NAMED + 1])
    named = format_html_join(
        ", ",
        '<a href="{}">{}</a>',
        (
            (reverse("admin:api_client_change", args=[pk]), client_id)
            for pk, client_id in newest[:MAX_NAMED]
        ),
    )
    if len(newest) <= MAX_NAMED:
        return named or SafeString("none")
    return format_html('{} and <a href="{}">others</a>', named, list_url(**query))


def list_url(**query: Any) -> str:
    """Return the URL of the list of clients that a filter selects."""
    return f"{reverse('admin:api_client_changelist')}?{urlencode(query)}"
