"""Readiness: whether the service can work. Operators also learn why not, from `/metrics`."""

import mmap
import platform
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any

import django
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Q
from django.utils import timezone
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric

from api import keys
from api.models import ClientKey, ClientProfile
from api.throttling.counters import counters

EXPIRING_WITHIN = (7, 30)  # days
# Shared memory: granian forks its workers from the process that gets the signal.
_draining = mmap.mmap(-1, 1)


class DrainingError(Exception):
    """The service is about to stop. The message tells the caller."""


class NotMigratedError(Exception):
    """The database lacks migrations that this code needs."""


class ReadOnlyDatabaseError(Exception):
    """The database takes no writes: logins work, revocations do not."""


def check_readiness() -> None:
    """Check the database, its migrations and the signing key, and that nothing is draining.

    A Redis that fails is only logged. Raises `DrainingError`, `ReadOnlyDatabaseError`,
    `NotMigratedError`, `NoSigningKeyError` or a database error.
    """
    if is_draining():
        raise DrainingError("The service is draining: it answers, and is about to stop.")
    counters().redis_answers()  # logins go on without it
    database: Any = connection  # either of our backends
    if database.is_read_only():
        raise ReadOnlyDatabaseError("The database is read-only.")
    _check_migrations()
    keys.signing_key()


def start_draining() -> None:
    """Make `check_readiness` fail from now on, in this process and its workers."""
    _draining[0] = 1


def is_draining() -> bool:
    return bool(_draining[0])


@lru_cache(maxsize=1)
def _check_migrations() -> None:
    """Check the migrations. Success is cached: they stay applied. Raises `NotMigratedError`."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotMigratedError("The database lacks migrations; run `manage.py migrate`.")


def state() -> Iterator[Metric]:
    """Yield the state of the service for `/metrics`: what it depends on, its key, its versions."""
    yield GaugeMetricFamily(
        "authdemo_database_up", "Whether the database answers.", value=_database_answers()
    )
    redis_answers = counters().redis_answers()
    if redis_answers is not None:
        yield GaugeMetricFamily("authdemo_redis_up", "Whether Redis answers.", value=redis_answers)
    try:
        age = timezone.now() - keys.signing_key().signs_from
    except (keys.NoSigningKeyError, DatabaseError, InterfaceError):
        pass
    else:
        yield GaugeMetricFamily(
            "authdemo_signing_key_age_seconds",
            "How long the current key has been signing.",
            value=age.total_seconds(),
        )
    yield _expiring()
    versions = {"python": platform.python_version(), "django": django.get_version()}
    yield InfoMetricFamily("authdemo_build", "What the service runs on.", value=versions)


def _expiring() -> Metric:
    """Count what is good now and expires soon; nothing if the database fails."""
    shown = GaugeMetricFamily(
        "authdemo_credentials_expiring",
        "Secrets and keys of clients that expire within so many days.",
        labels=("kind", "days"),
    )
    now = timezone.now()
    ends = {str(days): now + timedelta(days=days) for days in EXPIRING_WITHIN}
    for kind, model, column in (
        ("secret", ClientProfile, "secret_expires_at"),
        ("key", ClientKey, "expires_at"),
    ):
        soon = model.objects.filter(**{f"{column}__gt": now, f"{column}__lte": max(ends.values())})
        by_days = {
            days: Count(column, filter=Q(**{f"{column}__lte": end})) for days, end in ends.items()
        }
        try:
            counts = soon.aggregate(**by_days)
        except (DatabaseError, InterfaceError):
            break
        for days, count in counts.items():
            shown.add_metric((kind, days), count)
    return shown


def _database_answers() -> bool:
    database: Any = connection
    try:
        database.fetch_rows("SELECT 1", {})
    except (DatabaseError, InterfaceError):
        return False
    return True
