"""Count in Redis, shared by all processes, or in the memory of this process."""

import logging
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from django.conf import settings

from api.breaker import Breaker
from api.throttling.memory import MemoryStore
from api.throttling.store import Counter, FullCounter, Store

REDIS_PAUSE = 3.0  # seconds between attempts to reach a Redis that failed
logger = logging.getLogger("api.throttling")
Result = TypeVar("Result")


class Counters:
    """A `Store` that uses Redis if configured, and memory while Redis fails.

    No login is refused because Redis is down, full, read-only or misconfigured. Meanwhile each
    process has a limit of its own.
    """

    def __init__(self, redis_url: str) -> None:
        self._memory, self._reported = MemoryStore(), MemoryStore()
        self._breaker = Breaker(REDIS_PAUSE)
        self._redis: Store | None = None
        self._errors: tuple[type[Exception], ...] = ()
        self._is_lasting: Callable[[Exception], bool] = bool
        if redis_url:
            from api.throttling import redis  # 7 MB, only if needed

            self._redis, self._errors = redis.RedisStore(redis_url), redis.ERRORS
            self._is_lasting = redis.is_lasting

    def find_full(self, counters: Sequence[Counter]) -> FullCounter | None:
        return self._run(lambda store: store.find_full(counters))

    def add(self, counters: Sequence[Counter]) -> FullCounter | None:
        return self._run(lambda store: store.add(counters))

    def take_back(self, counters: Sequence[Counter]) -> None:
        self._run(lambda store: store.take_back(counters))

    def is_first_report(self, full: FullCounter) -> bool:
        """Tell whether this is the first call for a counter in its window, in this process."""
        return self._reported.add([Counter(full.key, 1, limit=1, window=full.seconds)]) is None

    def redis_answers(self) -> bool | None:
        """Tell whether Redis counts; `None` if none is configured. Logs why it does not."""
        if self._redis is None:
            return None
        self.add(probe())
        return self._breaker.is_closed

    def _run(self, operation: Callable[[Store], Result]) -> Result:
        if self._redis and self._breaker.allows():
            try:
                result = operation(self._redis)
            except self._errors as error:
                self._breaker.trip()
                self._log(error)
            else:
                self._breaker.reset()
                return result
        return operation(self._memory)

    def _log(self, error: Exception) -> None:
        cause = type(error).__name__
        if self._is_lasting(error):
            text = "Redis refuses us (%s: %s); counting in memory until that is changed."
            logger.warning(text, cause, error)
        else:
            logger.error("Redis failed (%s); counting in memory until it is back.", cause)


def probe() -> list[Counter]:
    """Return a counter that limits nobody, in any slot of a Redis cluster."""
    return [Counter(f"probe:{secrets.token_hex(8)}", 1, limit=1, window=1)]


@lru_cache(maxsize=1)
def counters() -> Counters:
    return Counters(settings.REDIS_URL)
