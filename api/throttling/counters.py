"""Where failures are counted: in Redis for all processes together, or in memory for this one."""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from django.conf import settings

from api.breaker import Breaker
from api.throttling.memory import MemoryStore
from api.throttling.store import Counter, Full, Store

REDIS_PAUSE = 3.0  # seconds between attempts to reach a Redis that failed
logger = logging.getLogger("api.throttling")
Result = TypeVar("Result")


class Counters:
    """A `Store` that asks Redis, if there is one, and memory while Redis fails.

    The limit is then each process's own, and no login is refused because Redis is down.
    """

    def __init__(self, redis_url: str) -> None:
        self._memory, self._told = MemoryStore(), MemoryStore()
        self._breaker = Breaker(REDIS_PAUSE)
        self._redis: Store | None = None
        self._errors: tuple[type[Exception], ...] = ()
        if redis_url:
            from api.throttling import redis  # 7 MB that a process without Redis does not need

            self._redis, self._errors = redis.RedisStore(redis_url), redis.ERRORS

    def find_full(self, counters: Sequence[Counter]) -> Full | None:
        return self._ask(lambda store: store.find_full(counters))

    def add(self, counters: Sequence[Counter]) -> Full | None:
        return self._ask(lambda store: store.add(counters))

    def take_back(self, counters: Sequence[Counter]) -> None:
        self._ask(lambda store: store.take_back(counters))

    def is_first(self, full: Full) -> bool:
        """Tell whether this process asks so of a counter for the first time in its window."""
        return self._told.add([Counter(full.key, 1, limit=1, window=full.seconds)]) is None

    def _ask(self, question: Callable[[Store], Result]) -> Result:
        if self._redis and self._breaker.allows():
            try:
                answer = question(self._redis)
            except self._errors as error:
                self._breaker.trip()
                cause = type(error).__name__
                logger.error("Redis failed (%s); counting in memory until it is back.", cause)
            else:
                self._breaker.reset()
                return answer
        return question(self._memory)


@lru_cache(maxsize=1)
def counters() -> Counters:
    return Counters(settings.REDIS_URL)
