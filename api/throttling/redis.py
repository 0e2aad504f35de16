"""Counters in Redis, shared by all processes. Imported only if `REDIS_URL` is set.

Each operation is a script, because Redis runs a script atomically.
"""

import ssl
from collections.abc import Sequence

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from api.throttling.redis_url import connect
from api.throttling.store import Counter, FullCounter

ERRORS = (RedisError, UnicodeError)  # UnicodeError: a label of the host name is too long
_LASTING = (
    *(AuthenticationError, AuthorizationError, NoPermissionError),
    *(MovedError, ClusterCrossSlotError),
)
_LASTING_TEXTS = (
    *("DB index is out of range", "SELECT is not allowed", "unknown command"),
    "The user executing the script can't run this command",  # Redis 7.0's NOPERM in a script
)
PREFIX = "authdemo:"

# KEYS are the counters. ARGV has the amount, the limit and the window in ms of each. Returns the
# index, from 1, of the counter that stays full longest, and for how many ms; or 0 and 0.
_FIND_FULL = """
local full, wait = 0, 0
for i, key in ipairs(KEYS) do
    local amount, limit, window = ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i]
    if (tonumber(redis.call('GET', key)) or 0) + amount > tonumber(limit) then
        local left = redis.call('PTTL', key)
        left = left > 0 and left or tonumber(window)
        if left > wait then full, wait = i, left end
    end
end
"""
_ADD = f"""{_FIND_FULL}
if full == 0 then
    for i, key in ipairs(KEYS) do
        local amount = ARGV[3 * i - 2]
        if redis.call('INCRBY', key, amount) == tonumber(amount) then
            redis.call('PEXPIRE', key, ARGV[3 * i])
        end
    end
end
return {{full, wait}}
"""
_TAKE_BACK = """
for i, key in ipairs(KEYS) do
    local count = tonumber(redis.call('GET', key)) or 0
    if count > 0 then redis.call('DECRBY', key, math.min(count, ARGV[3 * i - 2])) end
end
"""


class RedisStore:
    """Counters that all processes share. Each method raises `ERRORS`."""

    def __init__(self, url: str) -> None:
        redis = connect(url)
        self.close = redis.close
        self._find_full = redis.register_script(f"{_FIND_FULL} return {{full, wait}}")
        self._add = redis.register_script(_ADD)
        self._take_back = redis.register_script(_TAKE_BACK)

    def find_full(self, counters: Sequence[Counter]) -> FullCounter | None:
        return _full(self._find_full(*_arguments(counters)), counters)

    def add(self, counters: Sequence[Counter]) -> FullCounter | None:
        return _full(self._add(*_arguments(counters)), counters)

    def take_back(self, counters: Sequence[Counter]) -> None:
        self._take_back(*_arguments(counters))


def is_lasting(error: Exception) -> bool:
    """Tell whether an error of `ERRORS` lasts until somebody changes `REDIS_URL`, or Redis."""
    if isinstance(error, ResponseError) and str(error).startswith(_LASTING_TEXTS):
        return True
    cause = error.__context__  # redis-py raises a ConnectionError for a certificate that is wrong
    return isinstance(error, _LASTING) or isinstance(cause, ssl.SSLCertVerificationError)


def _arguments(counters: Sequence[Counter]) -> tuple[list[str], list[int]]:
    keys = [PREFIX + counter.key for counter in counters]
    return keys, [n for c in counters for n in (c.amount, c.limit, int(c.window * 1000))]


def _full(answer: tuple[int, int], counters: Sequence[Counter]) -> FullCounter | None:
    number, milliseconds = answer
    return FullCounter(counters[number - 1].key, milliseconds / 1000) if number else None
