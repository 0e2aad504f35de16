"""Read usage: of a client, of all clients, and of those that fail most."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet, Sum

from api.models import Client, ClientUsage, UsageTotal


@dataclass(frozen=True, slots=True)
class HourOfUsage:
    """How often something happened in the hour that begins at `hour`: see `ClientUsage`."""

    hour: datetime
    outcome: str
    count: int


class FailingClient(NamedTuple):
    """A client, and how often its logins failed or were throttled."""

    client: User
    failures: int


def of_client(client: User, begin: datetime, end: datetime) -> list[HourOfUsage]:
    """Return the usage of a client in the hours that begin between two times, the oldest first."""
    return _read(ClientUsage.objects.filter(client_id=client.pk), begin, end)


def of_all(begin: datetime, end: datetime) -> list[HourOfUsage]:
    """Return the usage of all clients, unknown and deleted ones included, as `of_client` does."""
    return _read(UsageTotal.objects.all(), begin, end)


def _read(
    rows: QuerySet[ClientUsage] | QuerySet[UsageTotal], begin: datetime, end: datetime
) -> list[HourOfUsage]:
    within = rows.filter(hour__gte=begin, hour__lt=end).order_by("hour", "outcome")
    return [HourOfUsage(*row) for row in within.values_list("hour", "outcome", "count")]


def failing_most(since: datetime, at_most: int) -> list[FailingClient]:
    """Return the clients with the most failures since then, the worst first."""
    failures = ClientUsage.objects.filter(~Q(outcome=ClientUsage.SUCCESS), hour__gte=since)
    # `+ 0`: SQLite would go through all rows, ever, to find them in the order of the clients.
    worst = failures.values(failing=F("client_id") + 0).annotate(failures=Sum("count"))
    counts = dict(
        worst.order_by("-failures", "failing").values_list("failing", "failures")[:at_most]
    )
    clients: Iterable[Client] = Client.objects.filter(pk__in=counts)
    found = [FailingClient(client, counts[client.pk]) for client in clients]
    return sorted(found, key=lambda one: (-one.failures, one.client.pk))
