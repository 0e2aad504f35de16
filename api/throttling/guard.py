"""Rate limits on failures: per address, and per address and client.

Only failures count. Guesses from one address do not lock a client out at another address.

A guess at a chosen secret is counted before its hash and taken back on success. So no more guesses
than the limit reach the hash, even in parallel. It is counted when its turn in the queue of slow
hashes comes, so parallel logins with the right secret do not count against each other.

A generated secret is checked first, because nobody can guess 256 bits. A correct one is always
accepted, whatever others did at the same address. Only failures are counted; over the limit they
are answered with `TooManyFailuresError`. A secret that was imported as random is accepted before it
gets here.
"""

import hashlib
import math
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.conf import settings

from api.credentials import BadCredentialsError
from api.throttling.address import caller_network, owner_network
from api.throttling.counters import counters
from api.throttling.slow_hashes import slow_hashes
from api.throttling.store import Counter, FullCounter


class TooManyFailuresError(Exception):
    """Too many failures; the next attempt is possible after `wait` seconds.

    `is_first` is true if this process has not raised it before for this counter and window.
    """

    def __init__(self, *, wait: int, is_first: bool) -> None:
        super().__init__(f"Too many failures; wait {wait} s.")
        self.wait, self.is_first = wait, is_first


@contextmanager
def guard(address: str, client_ids: Sequence[str], *, is_slow: bool) -> Iterator[None]:
    """Limit the failures of the body, which checks credentials and raises `BadCredentialsError`.

    `client_ids` has the client id of each guess in the body. `is_slow` says whether the body
    computes a slow hash. Raises `TooManyFailuresError`, `QueueFullError`.
    """
    if is_slow:
        with _counted_before(address, client_ids):
            yield
        return
    try:
        yield
    except BadCredentialsError:
        _raise_if_full(counters().add(_counters(address, client_ids)))
        raise


@contextmanager
def _counted_before(address: str, client_ids: Sequence[str]) -> Iterator[None]:
    """Count the guesses before the body runs, and take them back unless they were wrong."""
    counted, network, queue = _counters(address, client_ids), owner_network(address), slow_hashes()
    _raise_if_full(counters().find_full(counted))
    with queue.turn(network):
        _raise_if_full(counters().add(counted))
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
    key = f"registrations:{caller_network(address)}"
    _raise_if_full(counters().add([Counter(key, 1, limit, window)]))


def _counters(address: str, client_ids: Sequence[str]) -> list[Counter]:
    """Return the counters of these guesses. A digest keeps the key of a long client id short."""
    key = f"failures:{{{caller_network(address)}}}"  # braces: one slot of a Redis cluster
    limit, window = settings.FAILED_LOGINS_PER_ADDRESS
    counted = [Counter(key, min(len(client_ids), limit), limit, window)]
    limit, window = settings.FAILED_LOGINS_PER_CLIENT
    for client_id, guesses in Tally(client_ids).items():
        digest = hashlib.sha256(client_id.encode()).hexdigest()
        amount = min(guesses, limit)  # a header with two readings must pass a limit of 1
        counted.append(Counter(f"{key}:{digest}", amount, limit, window))
    return counted


def _raise_if_full(full: FullCounter | None) -> None:
    if full:
        wait = max(1, math.ceil(full.seconds))
        raise TooManyFailuresError(wait=wait, is_first=counters().is_first_report(full))
