"""Counters in Redis, for all processes together; loaded only where there is a Redis."""

from collections.abc import Sequence
from typing import Any

from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

TIMEOUT = 0.5  # seconds
ERRORS = RedisError


class SharedStorage(RedisStorage):
    """The counters of the `limits` library in Redis, of which several can be read at once.

    Each login reads two, and a round trip costs more than everything else that guards it.
    """

    def get_all(self, keys: Sequence[str]) -> list[int]:
        found: Any = self.storage.mget([self.prefixed_key(key) for key in keys])
        return [int(count or 0) for count in found]


def connect(url: str) -> SharedStorage:
    """Return the counters of a Redis, to which nothing is sent yet. Raises `ERRORS` when used."""
    return SharedStorage(
        url,
        socket_timeout=TIMEOUT,
        socket_connect_timeout=TIMEOUT,
        # Once more for a connection that a restart left dead, and not where Redis hangs.
        retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),  # type: ignore[arg-type]
    )
