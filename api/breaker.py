"""A circuit breaker: stop calling a service that fails, and retry now and then."""

import threading
import time


class Breaker:
    """Closed while the service works. Once tripped, it lets one caller through every `pause`.

    So a database or a Redis that hangs holds up one caller at a time. The others fail at once.
    """

    def __init__(self, pause: float) -> None:
        self.cause = ""  # of the last failure
        self._pause = pause  # seconds
        self._retry_at = 0.0  # of `time.monotonic()`; 0 while closed
        self._lock = threading.Lock()

    @property
    def is_closed(self) -> bool:
        return not self._retry_at

    def allows(self) -> bool:
        """Tell whether to call the service. Afterwards the caller must call `trip` or `reset`."""
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
