"""How many failures are too many.

Only failures count, per address and per address-and-client: a client that calls from its own
address is not locked out by somebody who guesses at another, and a correct login is never refused
for the number of correct ones before it.

The limit holds for attempts at the same time as well. An attempt takes a place among those in
flight before any slow hash is computed, and it is admitted while failures and places together are
within the limit; so of two hundred parallel guesses only as many as the limit reach the hash. An
attempt that finds all places taken waits for the outcome of those before it. The places of a
process that was killed run out with their lease.
"""

import hashlib
import ipaddress
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest

from api.exceptions import InvalidClient, SlowDown, Unavailable
from api.throttling.counters import counters

LEASE = 5  # seconds; longer than an attempt takes, the deadline of a frozen database included
PATIENCE = 2 * LEASE  # seconds an attempt waits for places before it to be left, or to run out
POLL = 0.02  # seconds; a slow hash takes about as long


def client_address(request: HttpRequest) -> str:
    """Return the address a request came from.

    Each proxy appends the address that called it, so with n trusted proxies the n-th entry from the
    right of X-Forwarded-For is true, and everything to the left of it is the caller's own word.
    """
    if settings.TRUSTED_PROXIES:
        forwarded = request.headers.get("X-Forwarded-For", "").split(",")
        try:
            return _canonical(forwarded[-settings.TRUSTED_PROXIES].strip())
        except (IndexError, ValueError):
            pass  # not what that many proxies write
    try:
        return _canonical(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return ""  # a Unix socket


@lru_cache(maxsize=1024)
def _canonical(text: str) -> str:
    """Return the one form of an address; a socket for both families shows IPv4 as `::ffff:…`."""
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)


class Bucket(NamedTuple):
    """One limit on one key: failures in the window, and places of attempts in flight.

    Places are counted by the lease period in which they were taken, and those of the periods
    beside the current one count as well: so none is missed where clocks differ a little, and what
    a killed process never left is forgotten.
    """

    limit: int
    window: int  # seconds
    key: str

    @property
    def failures(self) -> int:
        return counters().get(self.failures_key)[0]

    @property
    def failures_key(self) -> str:
        return f"failures/{self.key}"

    @property
    def wait(self) -> float:
        """How many seconds the failures still count; rounding makes it no longer than they can."""
        return min(self.window, counters().expires_in(self.failures_key))

    def fail(self, guesses: int = 1) -> int:
        return counters().add(self.failures_key, guesses, self.window)

    def take_place(self, period: int) -> int:
        """Take a place, and return how many are taken."""
        taken = self._add_place(period, 1)
        return taken + sum(counters().get(self._places(period - 1), self._places(period + 1)))

    def has_room(self, period: int) -> bool:
        periods = (period - 1, period, period + 1)
        counted = counters().get(self.failures_key, *map(self._places, periods))
        return sum(counted) < self.limit

    def leave_place(self, period: int) -> None:
        self._add_place(period, -1)

    def _add_place(self, period: int, amount: int) -> int:
        return counters().add(self._places(period), amount, 3 * LEASE)

    def _places(self, period: int) -> str:
        return f"places/{period}/{self.key}"


@contextmanager
def attempt(
    request: HttpRequest, client_ids: Iterable[str], *, costly: bool, guesses: int = 1
) -> Iterator[None]:
    """Guard one login: the body of the `with` raises `InvalidClient` if it fails.

    Raises `SlowDown` before the body runs where there were too many failures. `costly` says that
    the body computes a slow hash. One that does not is no guess that could succeed, so it takes no
    place beforehand; its failure is counted all the same, and not told where it is one too many.
    `guesses` is how many secrets the body tries.
    """
    network = _network(client_address(request))
    digests = (hashlib.sha256(client_id.encode()).hexdigest() for client_id in client_ids)
    buckets = [Bucket(*settings.FAILED_LOGINS_PER_ADDRESS, network)]
    buckets += [Bucket(*settings.FAILED_LOGINS_PER_CLIENT, f"{network}/{one}") for one in digests]
    _refuse(_full(buckets))
    period = _take_places(buckets) if costly else None
    try:
        yield
    except InvalidClient:
        _refuse([bucket for bucket in buckets if bucket.fail(guesses) > bucket.limit])
        raise
    finally:
        if period is not None:
            for bucket in buckets:
                bucket.leave_place(period)


def count_registration(request: HttpRequest) -> None:
    """Count one registration for its address. Raises `SlowDown`."""
    network = _network(client_address(request))
    bucket = Bucket(*settings.REGISTRATIONS_PER_ADDRESS, f"registrations/{network}")
    _refuse(_full([bucket]) or ([bucket] if bucket.fail() > bucket.limit else []))


def _full(buckets: list[Bucket]) -> list[Bucket]:
    """Return the buckets whose failures have reached the limit, asked for all at once."""
    counts = counters().get(*(bucket.failures_key for bucket in buckets))
    return [bucket for bucket, count in zip(buckets, counts, strict=True) if count >= bucket.limit]


def _refuse(full: list[Bucket]) -> None:
    if full:
        raise SlowDown(max(bucket.wait for bucket in full))


def _take_places(buckets: list[Bucket]) -> int:
    """Wait until failures and attempts in flight are together within every limit.

    A failure is counted before its place is left, and places are read before failures, so that the
    sum is never too small. Who has to wait looks for room and takes nothing: many who took places
    only to give them back would see no room but each other's. Returns the lease period in which
    the places were taken.
    """
    deadline = time.monotonic() + PATIENCE
    while not _try_places(buckets, period := _period()):
        while True:
            if time.monotonic() > deadline:
                raise Unavailable
            time.sleep(POLL)
            _refuse(_full(buckets))
            if all(bucket.has_room(_period()) for bucket in buckets):
                break
    return period


def _try_places(buckets: list[Bucket], period: int) -> bool:
    for number, bucket in enumerate(buckets, 1):
        if bucket.take_place(period) + bucket.failures > bucket.limit:
            for taken in buckets[:number]:
                taken.leave_place(period)
            return False
    return True


def _period() -> int:
    return int(time.time() // LEASE)


@lru_cache(maxsize=1024)
def _network(address: str) -> str:
    """Return what one caller can be told by: an IPv4 address, or the /64 that IPv6 hands out."""
    try:
        if ipaddress.ip_address(address).version == 6:
            return str(ipaddress.ip_network(f"{address}/64", strict=False))
    except ValueError:
        pass
    return address
