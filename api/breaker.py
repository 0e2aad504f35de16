"""How long a neighbour that failed is left alone (the circuit breaker pattern)."""

import threading
import time


class Breaker:
    """Closed while the neighbour answers; once tripped, it lets one caller through every `pause`.

    So a database or a counter store that hangs holds up one caller at a time, and the others find
    out at once that they have to do without it.
    """

    def __init__(self, pause: float) -> None:
        self.cause = ""  # of the last failure
        self._pause = pause  # seconds
        self._retry_at = 0.0  # of `time.monotonic()`; 0 while closed
        self._lock = threading.Lock()

    def allows(self) -> bool:
        """Tell whether to try. Whoever tries says what came of it: `trip` or `reset`."""
        if not self._retry_at:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                return False
            self._retry_at = now + self._pause
            return True

    def trip(self, cause: str = "") -> None:
        self.cause = cause
        self._retry_at = time.monotonic() + self._pause

    def reset(self) -> None:
        self._retry_at = 0.0
