"""The queue of slow hashes, so that no number of guesses takes the threads of other requests.

A process computes one slow hash at a time. Few requests wait for it, and few of one network.
Networks that guessed wrongly a short while ago come last, and make room for the others.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic

from django.conf import settings

MAX_OF_ONE_NETWORK = 2  # requests that wait
MAX_REMEMBERED = 4096  # networks that failed; the oldest is forgotten first
FAILURE_MEMORY = 60.0  # seconds


class QueueFullError(Exception):
    """Too many requests wait for a slow hash, or one that did made room for another."""


@dataclass(eq=False, slots=True)
class _Request:
    network: str
    is_pushed_out: bool = False


class SlowHashQueue:
    """Whose turn it is. `size` is how many may wait."""

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
            self._changed.wait_for(lambda: request.is_pushed_out or self._is_next(request))
            if request.is_pushed_out:
                raise QueueFullError
            self._waiting.remove(request)
            self._is_busy = True
        try:
            yield
        finally:
            with self._changed:
                self._is_busy = False
                self._changed.notify_all()

    def note_failure(self, network: str) -> None:
        """Remember that a guess from a network was wrong."""
        with self._changed:
            self._failed_at[network] = monotonic()
            self._failed_at.move_to_end(network)
            if len(self._failed_at) > MAX_REMEMBERED:
                self._failed_at.popitem(last=False)

    def _has_failed(self, request: _Request) -> bool:
        failed_at = self._failed_at.get(request.network)
        return failed_at is not None and monotonic() - failed_at < FAILURE_MEMORY

    def _enqueue(self, request: _Request) -> None:
        """Let a request wait, in the place of one that has failed if the queue is full."""
        if sum(other.network == request.network for other in self._waiting) >= MAX_OF_ONE_NETWORK:
            raise QueueFullError
        if len(self._waiting) >= self._size:
            last_failed = next(filter(self._has_failed, reversed(self._waiting)), None)
            if last_failed is None or self._has_failed(request):
                raise QueueFullError
            self._waiting.remove(last_failed)
            last_failed.is_pushed_out = True
            self._changed.notify_all()
        self._waiting.append(request)

    def _is_next(self, request: _Request) -> bool:
        """Tell whether it is a request's turn: first come, first served, those that failed last."""
        first = min(self._waiting, key=self._has_failed)
        return not self._is_busy and first is request


@lru_cache(maxsize=1)
def slow_hashes() -> SlowHashQueue:
    return SlowHashQueue(settings.SLOW_HASH_QUEUE)
