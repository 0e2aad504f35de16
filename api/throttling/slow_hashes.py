"""The queue for slow hashes, which keeps guesses from using up the threads of other requests.

A process computes one slow hash at a time. Only a few requests may wait for it, and only a few of
one network. Networks with a recent failure come last, and leave a full queue for the others.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic

from django.conf import settings

from api import metrics

MAX_PER_NETWORK = 2  # waiting requests
MAX_FAILED_NETWORKS = 4096  # the oldest is dropped first
FAILURE_MEMORY = 60.0  # seconds that a failure counts


class QueueFullError(Exception):
    """Too many requests wait for a slow hash, or this one was evicted for another."""


@dataclass(eq=False, slots=True)
class _Request:
    network: str
    is_called: bool = False
    is_evicted: bool = False


class SlowHashQueue:
    """Lets one request at a time compute a slow hash, while at most `size` others wait."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._is_busy = False
        self._waiting: list[_Request] = []
        self._failed_at: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def turn(self, network: str) -> Iterator[None]:
        """Wait for a turn, and hold it while the body runs. Raises `QueueFullError`."""
        with self._changed:
            request = _Request(network)
            self._enqueue(request)
            if not self._is_busy:
                self._call_next()
            self._changed.wait_for(lambda: request.is_called or request.is_evicted)
        if request.is_evicted:
            raise QueueFullError
        try:
            yield
        finally:
            with self._changed:
                self._is_busy = False
                self._call_next()

    def note_failure(self, network: str) -> None:
        """Remember that a guess from a network was wrong."""
        with self._changed:
            self._failed_at[network] = monotonic()
            self._failed_at.move_to_end(network)
            if len(self._failed_at) > MAX_FAILED_NETWORKS:
                self._failed_at.popitem(last=False)

    def _has_failed(self, request: _Request) -> bool:
        failed_at = self._failed_at.get(request.network)
        return failed_at is not None and monotonic() - failed_at < FAILURE_MEMORY

    def _enqueue(self, request: _Request) -> None:
        """Add a request. If the queue is full, evict one whose network has failed."""
        if sum(other.network == request.network for other in self._waiting) >= MAX_PER_NETWORK:
            raise QueueFullError
        if len(self._waiting) >= self._size:
            last_failed = next(filter(self._has_failed, reversed(self._waiting)), None)
            if last_failed is None or self._has_failed(request):
                raise QueueFullError
            self._waiting.remove(last_failed)
            last_failed.is_evicted = True
            self._changed.notify_all()
        self._waiting.append(request)
        metrics.show_queue(len(self._waiting))

    def _call_next(self) -> None:
        """Give the turn to the next request: in order, but networks that failed come last.

        Only this decides, or two requests could each see the other as the next.
        """
        if self._waiting:
            request = min(self._waiting, key=self._has_failed)
            self._waiting.remove(request)
            metrics.show_queue(len(self._waiting))
            self._is_busy = request.is_called = True
            self._changed.notify_all()


@lru_cache(maxsize=1)
def slow_hashes() -> SlowHashQueue:
    return SlowHashQueue(settings.SLOW_HASH_QUEUE)
