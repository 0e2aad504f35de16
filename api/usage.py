"""Record when clients and their keys were last used. No login waits for it or fails by it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db import Error, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from api.models import ClientKey, ClientProfile, WorkloadIdentity
from api.standing import ClientState, StoredIdentity, StoredKey

T = TypeVar("T")
NOT_RECORDED = "The last use of a client could not be recorded."
logger = logging.getLogger(__name__)


def mark_secret(client: ClientState) -> None:
    """Record a login with a secret, at most once an hour."""
    if client.was_used_recently and client.secret_was_used_recently:
        return
    now = timezone.now()

    def write() -> None:
        User.objects.filter(pk=client.pk).update(last_login=now)
        ClientProfile.objects.bulk_create(
            [ClientProfile(client_id=client.pk, secret_used_at=now)],
            update_conflicts=True,
            unique_fields=["client"],
            update_fields=["secret_used_at"],
        )

    unless_busy(write, NOT_RECORDED)


def mark_key(client: ClientState, key: StoredKey) -> None:
    """Record a login with a key, at most once a minute, and once an hour for the client."""
    _mark(client, key, ClientKey.objects.filter(pk=key.pk))


def mark_identity(client: ClientState, identity: StoredIdentity) -> None:
    """Record a login with a workload identity, as often as one with a key."""
    _mark(client, identity, WorkloadIdentity.objects.filter(pk=identity.pk))


def _mark(client: ClientState, used: StoredKey | StoredIdentity, rows: QuerySet[Any]) -> None:
    if client.was_used_recently and used.was_used_recently:
        return
    now = timezone.now()

    def write() -> None:
        if not client.was_used_recently:
            User.objects.filter(pk=client.pk).update(last_login=now)
        rows.update(last_used_at=now)

    unless_busy(write, NOT_RECORDED)


def unless_busy(write: Callable[[], T], warning: str) -> T | None:
    """Write in a transaction of its own. Log the warning if the database is busy or fails.

    Not a context manager, which could not skip its body if the transaction does not begin.
    """
    try:
        with fail_if_locked():
            return write()
    except Error:
        logger.warning(warning)
        return None


@contextmanager
def fail_if_locked() -> Iterator[None]:
    """Open a transaction that fails, instead of waiting for another writer."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA busy_timeout")
            (patience,) = cursor.fetchone()
            cursor.execute("PRAGMA busy_timeout = 0")
            try:
                with transaction.atomic():
                    yield
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {patience}")
        else:
            with transaction.atomic():
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
                yield
