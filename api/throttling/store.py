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
    window: int


class Store(Protocol):
    """Counters of failures. Each method is one atomic step, however many callers there are."""

    def wait(self, counters: Sequence[Counter]) -> float:
        """Return for how many seconds `add` would be refused; 0 if it would not."""

    def add(self, counters: Sequence[Counter]) -> float:
        """Add to all counters and return 0.

        If one of them would pass its limit, add to none and return for how many seconds.
        """

    def take_back(self, counters: Sequence[Counter]) -> None:
        """Take back what was added. A counter whose window has ended stays at 0."""
