"""Counters of what failed, in Redis for all processes together, or in memory for this one."""

import logging
import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings

from api.breaker import Breaker

STORE_PAUSE = 3.0  # seconds between attempts to reach a counter store that failed
SWEEP_INTERVAL = 10.0  # seconds
LOG_INTERVAL = 60.0  # seconds
logger = logging.getLogger(__name__)


class MemoryStorage:
    """Counters of this process, with the part of the `limits` interface that is needed here.

    The library's own loses counts when two threads begin one counter at the same time, and starts
    a thread for most operations. What this one holds is bounded by the failures of one window.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}  # with when it expires
        self._sweep_at = 0.0

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        with self._lock:
            if now >= self._sweep_at:
                self._sweep_at = now + SWEEP_INTERVAL
                self._counts = {k: v for k, v in self._counts.items() if v[1] > now}
            count, expires_at = self._counts.get(key, (0, 0.0))
            if expires_at <= now:
                count, expires_at = 0, now + expiry
            self._counts[key] = count + amount, expires_at
            return count + amount

    def get(self, key: str) -> int:
        count, expires_at = self._counts.get(key, (0, 0.0))
        return count if expires_at > time.time() else 0

    def get_all(self, keys: Sequence[str]) -> list[int]:
        return [self.get(key) for key in keys]

    def get_expiry(self, key: str) -> float:
        return self._counts.get(key, (0, 0.0))[1]


class Counters:
    """Counters shared by all processes through Redis, or this process's own in memory.

    When Redis fails, memory stands in for it: the limit is then each process's own, and a login is
    never refused because the counter store is down.
    """

    def __init__(self, redis_url: str) -> None:
        self._memory = MemoryStorage()
        self._redis: Any = None
        if redis_url:
            from api.throttling import (
                redis as shared_counters,  # 10 MB that a process without Redis has no need of
            )

            self._redis = shared_counters.connect(redis_url)
            self._errors = shared_counters.ERRORS
        self._breaker = Breaker(STORE_PAUSE)
        self._log_at = 0.0  # of `time.monotonic()`

    def add(self, key: str, amount: int, expiry: int) -> int:
        """Add to a counter, which expires that many seconds after it was begun."""
        return int(self._call("incr", key, expiry, amount))

    def get(self, *keys: str) -> list[int]:
        counts: list[int] = self._call("get_all", keys)
        return counts

    def expires_in(self, key: str) -> float:
        """Return how many seconds a counter still counts, at most half a second too many."""
        rounding = 0.5 if self._redis else 0.0  # Redis gives the nearest second
        return float(self._call("get_expiry", key)) - time.time() + rounding

    def _call(self, method: str, *args: Any) -> Any:
        if self._redis and self._breaker.allows():
            try:
                result = getattr(self._redis, method)(*args)
            except self._errors as error:
                self._breaker.trip()
                self._log(type(error).__name__)
            else:
                self._breaker.reset()
                return result
        return getattr(self._memory, method)(*args)

    def _log(self, cause: str) -> None:
        now = time.monotonic()
        if now >= self._log_at:
            self._log_at = now + LOG_INTERVAL
            logger.error("Redis failed (%s); counting in memory until it is back.", cause)


@lru_cache(maxsize=1)
def counters() -> Counters:
    return Counters(settings.REDIS_URL)
