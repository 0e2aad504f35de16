"""How many failures are too many.

Only failures count, per address and per address-and-client: a client that calls from its own
address is not locked out by somebody who guesses at another, and a correct login is never refused
for the number of correct ones before it.

The limit holds for attempts at the same time as well. An attempt takes a place among those in
flight before any slow hash is computed, and it is admitted while failures and places together are
within the limit; so of two hundred parallel guesses only as many as the limit reach the hash. An
attempt that finds all places taken waits for the outcome of those before it.
"""

import hashlib
import ipaddress
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from limits import parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage

from api.exceptions import InvalidClient, SlowDown

PATIENCE = 2.0  # seconds an attempt waits for those before it
POLL = 0.01  # seconds
STORE_RETRY = 5.0  # seconds for which a counter store that failed is left alone
STORE_TIMEOUT = 0.25  # seconds
LOG_INTERVAL = 60.0  # seconds
logger = logging.getLogger(__name__)


def client_address(request: HttpRequest) -> str:
    """Return the address a request came from.

    Each proxy appends the address that called it, so with n trusted proxies the n-th entry from the
    right of X-Forwarded-For is true, and everything to the left of it is the caller's own word.
    """
    if settings.TRUSTED_PROXIES:
        forwarded = request.headers.get("X-Forwarded-For", "").split(",")
        try:
            return str(ipaddress.ip_address(forwarded[-settings.TRUSTED_PROXIES].strip()))
        except (IndexError, ValueError):
            pass  # not what that many proxies write
    return str(request.META.get("REMOTE_ADDR", ""))


class Counters:
    """Counters shared by all processes through Redis, or this process's own in memory.

    When Redis fails, memory stands in for it: the limit is then each process's own, and a login is
    never refused because the counter store is down.
    """

    def __init__(self, redis_url: str) -> None:
        self._memory = MemoryStorage()
        self._redis = None
        if redis_url:
            self._redis = RedisStorage(
                redis_url,
                wrap_exceptions=True,
                socket_timeout=STORE_TIMEOUT,
                socket_connect_timeout=STORE_TIMEOUT,
            )
        self._retry_at = self._log_at = 0.0  # of `time.monotonic()`

    def add(self, key: str, amount: int, expiry: int) -> int:
        """Add to a counter, which starts to expire, in seconds, when it leaves zero."""
        return int(self._call("incr", key, expiry, amount))

    def get(self, key: str) -> int:
        return int(self._call("get", key))

    def expires_in(self, key: str) -> float:
        return float(self._call("get_expiry", key)) - time.time()

    def _call(self, method: str, *args: Any) -> Any:
        now = time.monotonic()
        if self._redis and now >= self._retry_at:
            try:
                return getattr(self._redis, method)(*args)
            except StorageError as error:
                self._retry_at = now + STORE_RETRY
                if now >= self._log_at:
                    self._log_at = now + LOG_INTERVAL
                    cause = type(error.storage_error).__name__
                    logger.error("Redis failed (%s); counting in memory until it is back.", cause)
        return getattr(self._memory, method)(*args)


@lru_cache(maxsize=1)
def counters() -> Counters:
    return Counters(settings.REDIS_URL)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit on one key: failures in the window, and places of attempts in flight."""

    rate: str
    key: str

    @property
    def limit(self) -> int:
        return int(_parse(self.rate).amount)

    @property
    def failures(self) -> int:
        return counters().get(f"failures/{self.key}")

    def fail(self) -> int:
        return self._add("failures", 1)

    def take_place(self) -> int:
        return self._add("places", 1)

    def leave_place(self) -> None:
        self._add("places", -1)

    def refuse_if_full(self) -> None:
        if self.failures >= self.limit:
            raise SlowDown(counters().expires_in(f"failures/{self.key}"))

    def _add(self, kind: str, amount: int) -> int:
        return counters().add(f"{kind}/{self.key}", amount, _parse(self.rate).get_expiry())


_parse = lru_cache(maxsize=16)(parse)


@contextmanager
def attempt(request: HttpRequest, client_ids: Iterable[str], *, costly: bool) -> Iterator[None]:
    """Guard one login: the body of the `with` raises `InvalidClient` if it fails.

    Raises `SlowDown` before the body runs where there were too many failures. `costly` says that
    the body computes a slow hash. One that does not is no guess that could succeed, so it takes no
    place beforehand; its failure is counted all the same, and not told where it is one too many.
    """
    network = _network(client_address(request))
    digests = (hashlib.sha256(client_id.encode()).hexdigest() for client_id in client_ids)
    buckets = [Bucket(settings.FAILED_LOGINS_PER_ADDRESS, network)]
    buckets += [Bucket(settings.FAILED_LOGINS_PER_CLIENT, f"{network}/{one}") for one in digests]
    for bucket in buckets:
        bucket.refuse_if_full()
    if costly:
        _take_places(buckets)
    try:
        yield
    except InvalidClient:
        for bucket in buckets:
            if bucket.fail() > bucket.limit:
                raise SlowDown(counters().expires_in(f"failures/{bucket.key}")) from None
        raise
    finally:
        if costly:
            for bucket in buckets:
                bucket.leave_place()


def count_registration(request: HttpRequest) -> None:
    """Count one registration for its address. Raises `SlowDown`."""
    network = _network(client_address(request))
    bucket = Bucket(settings.REGISTRATIONS_PER_ADDRESS, f"registrations/{network}")
    bucket.refuse_if_full()
    if bucket.fail() > bucket.limit:
        raise SlowDown(counters().expires_in(f"failures/{bucket.key}"))


def _take_places(buckets: list[Bucket]) -> None:
    """Wait until failures and attempts in flight are together within every limit.

    A failure is counted before its place is left, and places are read before failures, so that the
    sum is never too small.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        taken = []
        for bucket in buckets:
            taken.append(bucket)
            if bucket.take_place() + bucket.failures > bucket.limit:
                break
        else:
            return
        for bucket in taken:
            bucket.leave_place()
        for bucket in buckets:
            bucket.refuse_if_full()
        if time.monotonic() > deadline:
            raise SlowDown(1)
        time.sleep(POLL)


@lru_cache(maxsize=1024)
def _network(address: str) -> str:
    """Return what one caller can be told by: an IPv4 address, or the /64 that IPv6 hands out."""
    try:
        if ipaddress.ip_address(address).version == 6:
            return str(ipaddress.ip_network(f"{address}/64", strict=False))
    except ValueError:
        pass
    return address
