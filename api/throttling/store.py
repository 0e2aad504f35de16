"""The interface of a store of counters."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Counter(NamedTuple):
    """A counter, and the amount that one attempt adds to it.

    It may reach `limit` within `window` seconds; the first addition starts the window.
    """

    key: str
    amount: int
    limit: int
    window: float


class FullCounter(NamedTuple):
    """The key of a counter at its limit, and for how many more seconds."""

    key: str
    seconds: float


class Store(Protocol):
    """Counters of failures. Each method is atomic."""

    def find_full(self, counters: Sequence[Counter]) -> FullCounter | None:
        """Return the counter that `add` would exceed, or the one that stays full longest."""

    def add(self, counters: Sequence[Counter]) -> FullCounter | None:
        """Add to all counters. If one would exceed its limit, add to none and return that one."""

    def take_back(self, counters: Sequence[Counter]) -> None:
        """Subtract what was added, but never below 0 or after the window has ended."""
