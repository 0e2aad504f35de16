"""Counters in the memory of one process."""

import threading
from collections.abc import Sequence
from time import monotonic

from api.throttling.store import Counter, FullCounter

SWEEP_INTERVAL = 10.0  # seconds


class MemoryStore:
    """Counters of this process. It keeps no more than the failures of one window.

    It uses the monotonic clock: a wall clock that is set back would lock clients out.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, tuple[int, float]] = {}  # count and end of the window
        self._sweep_at = 0.0

    def find_full(self, counters: Sequence[Counter]) -> FullCounter | None:
        with self._lock:
            return self._find_full(counters, monotonic())

    def add(self, counters: Sequence[Counter]) -> FullCounter | None:
        with self._lock:
            now = monotonic()
            self._sweep(now)
            full = self._find_full(counters, now)
            if full is None:
                for key, amount, _, window in counters:
                    count, ends_at = self._read(key, now)
                    self._counts[key] = count + amount, ends_at or now + window
            return full

    def take_back(self, counters: Sequence[Counter]) -> None:
        with self._lock:
            now = monotonic()
            for key, amount, *_ in counters:
                count, ends_at = self._read(key, now)
                if count:
                    self._counts[key] = max(0, count - amount), ends_at

    def _read(self, key: str, now: float) -> tuple[int, float]:
        count, ends_at = self._counts.get(key, (0, 0.0))
        return (count, ends_at) if ends_at > now else (0, 0.0)

    def _find_full(self, counters: Sequence[Counter], now: float) -> FullCounter | None:
        found = []
        for key, amount, limit, window in counters:
            count, ends_at = self._read(key, now)
            if count + amount > limit:
                found.append(FullCounter(key, ends_at - now if ends_at else window))
        return max(found, key=lambda full: full.seconds, default=None)

    def _sweep(self, now: float) -> None:
        """Drop the counters whose window has ended."""
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_INTERVAL
            self._counts = {key: kept for key, kept in self._counts.items() if kept[1] > now}
