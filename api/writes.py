"""Write what a request can do without. The request neither waits for other writers nor fails."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import Error, connection, transaction

T = TypeVar("T")
logger = logging.getLogger(__name__)


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
