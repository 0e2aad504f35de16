"""What a store of counters offers."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Counter(NamedTuple):
    """A counter, and what one attempt adds to it.

    It takes `limit` in a window of `window` seconds, which begins when something is first added.
    """

    key: str
    amount: int
    limit: int
    window: float


class Full(NamedTuple):
    """A counter that takes no more for so many seconds."""

    key: str
    seconds: float


class Store(Protocol):
    """Counters of failures. Each method is one atomic step, however many callers there are."""

    def find_full(self, counters: Sequence[Counter]) -> Full | None:
        """Return the counter for which `add` would be refused longest, if there is one."""

    def add(self, counters: Sequence[Counter]) -> Full | None:
        """Add to all counters; or to none, and return the one that would pass its limit."""

    def take_back(self, counters: Sequence[Counter]) -> None:
        """Take back what was added. A counter whose window has ended stays at 0."""
