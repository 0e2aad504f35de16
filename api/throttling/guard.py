"""Rate limits on failures: per address, and per address and client.

A client that calls from its own address is not locked out by somebody who guesses at another, and
successes are not counted.

A guess at a chosen secret is counted before its hash and taken back on success. So of any number of
parallel guesses only as many as the limit reach the hash. A process computes one slow hash at a
time; a guess is counted when its turn comes, so parallel logins with the right secret do not count
against each other.

A generated secret is checked first: nobody guesses 256 bits, so a right one is accepted whatever
others did at the same address. Only a failure is counted, and refused over the limit.
"""

import hashlib
import math
import threading
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings

from api.credentials import BadCredentialsError
from api.throttling.address import network
from api.throttling.counters import counters
from api.throttling.store import Counter

_slow_turn = threading.Lock()


class TooManyFailuresError(Exception):
    """Too many failures; after `wait` seconds another attempt is looked at."""

    def __init__(self, wait: float) -> None:
        self.wait = max(1, math.ceil(wait))
        super().__init__(f"Too many failures; wait {self.wait} s.")


@contextmanager
def guard(address: str, client_ids: Sequence[str], *, is_slow: bool) -> Iterator[None]:
    """Guard a check of credentials, which is the body: it raises `BadCredentialsError` on failure.

    `client_ids` names the client of each guess that the body makes. `is_slow` says that it computes
    a slow hash. Raises `TooManyFailuresError`.
    """
    if not is_slow:
        try:
            yield
        except BadCredentialsError:
            _demand(counters().add(_counters(address, client_ids)))
            raise
        return
    counted = _counters(address, client_ids)
    _demand(counters().wait(counted))
    with _slow_turn:
        _demand(counters().add(counted))
        failed = False
        try:
            yield
        except BadCredentialsError:
            failed = True
            raise
        finally:
            if not failed:
                counters().take_back(counted)


def count_registration(address: str) -> None:
    """Count one registration for its address. Raises `TooManyFailuresError`."""
    limit, window = settings.REGISTRATIONS_PER_ADDRESS
    key = f"registrations:{network(address)}"
    _demand(counters().add([Counter(key, amount=1, limit=limit, window=window)]))


def _counters(address: str, client_ids: Sequence[str]) -> list[Counter]:
    """Return what these guesses count towards; a digest keeps keys short, whatever was sent."""
    caller = f"failures:{{{network(address)}}}"
    limit, window = settings.FAILED_LOGINS_PER_ADDRESS
    counted = [Counter(caller, len(client_ids), limit, window)]
    limit, window = settings.FAILED_LOGINS_PER_CLIENT
    for client_id, guesses in Tally(client_ids).items():
        digest = hashlib.sha256(client_id.encode()).hexdigest()
        amount = min(guesses, limit)  # both readings of one header, also where the limit is 1
        counted.append(Counter(f"{caller}:{digest}", amount, limit, window))
    return counted


def _demand(wait: float) -> None:
    if wait:
        raise TooManyFailuresError(wait)
