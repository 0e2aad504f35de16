"""Rate limits on failures: per address, and per address and client.

A client that calls from its own address is not locked out by somebody who guesses at another, and
successes are not counted.

A guess at a chosen secret is counted before its hash and taken back on success. So of any number of
parallel guesses only as many as the limit reach the hash. It is counted when its turn in the queue
of slow hashes comes, so parallel logins with the right secret do not count against each other.

A generated secret is checked first: nobody guesses 256 bits, so a right one is accepted whatever
others did at the same address. Only a failure is counted, and refused over the limit.
"""

import hashlib
import math
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings

from api.credentials import BadCredentialsError
from api.throttling.address import caller, neighbourhood
from api.throttling.counters import counters
from api.throttling.slow_hashes import slow_hashes
from api.throttling.store import Counter, Full


class TooManyFailuresError(Exception):
    """Too many failures; after `wait` seconds another attempt is looked at.

    `is_first` says that this process has not raised it before for the same counter and window.
    """

    def __init__(self, *, wait: int, is_first: bool) -> None:
        super().__init__(f"Too many failures; wait {wait} s.")
        self.wait, self.is_first = wait, is_first


@contextmanager
def guard(address: str, client_ids: Sequence[str], *, is_slow: bool) -> Iterator[None]:
    """Guard a check of credentials, which is the body: it raises `BadCredentialsError` on failure.

    `client_ids` names the client of each guess that the body makes. `is_slow` says that it computes
    a slow hash. Raises `TooManyFailuresError`, `QueueFullError`.
    """
    if is_slow:
        with _counted_before(address, client_ids):
            yield
        return
    try:
        yield
    except BadCredentialsError:
        _demand_room(counters().add(_counters(address, client_ids)))
        raise


@contextmanager
def _counted_before(address: str, client_ids: Sequence[str]) -> Iterator[None]:
    """Count guesses before the body runs, and take them back unless they were wrong."""
    counted, network, queue = _counters(address, client_ids), neighbourhood(address), slow_hashes()
    _demand_room(counters().find_full(counted))
    with queue.turn(network):
        _demand_room(counters().add(counted))
        try:
            yield
        except BadCredentialsError:
            queue.note_failure(network)
            raise
        except BaseException:
            counters().take_back(counted)
            raise
        counters().take_back(counted)


def count_registration(address: str) -> None:
    """Count one registration for its address. Raises `TooManyFailuresError`."""
    limit, window = settings.REGISTRATIONS_PER_ADDRESS
    _demand_room(counters().add([Counter(f"registrations:{caller(address)}", 1, limit, window)]))


def _counters(address: str, client_ids: Sequence[str]) -> list[Counter]:
    """Return what these guesses count towards; a digest keeps keys short, whatever was sent."""
    key = f"failures:{{{caller(address)}}}"  # in braces: one slot of a Redis cluster
    limit, window = settings.FAILED_LOGINS_PER_ADDRESS
    counted = [Counter(key, len(client_ids), limit, window)]
    limit, window = settings.FAILED_LOGINS_PER_CLIENT
    for client_id, guesses in Tally(client_ids).items():
        digest = hashlib.sha256(client_id.encode()).hexdigest()
        amount = min(guesses, limit)  # both readings of one header, also where the limit is 1
        counted.append(Counter(f"{key}:{digest}", amount, limit, window))
    return counted


def _demand_room(full: Full | None) -> None:
    if full:
        wait = max(1, math.ceil(full.seconds))
        raise TooManyFailuresError(wait=wait, is_first=counters().is_first(full))
