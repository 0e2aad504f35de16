"""Collect in memory what clients do, and add it to the database every `INTERVAL` seconds.

So no request waits for these writes or fails by them. The first event starts a thread that writes.
It outlives the main thread for a last write, so a process that ends in order loses nothing.
`atexit` would not do: the workers of granian are processes of `multiprocessing`, which skip it.
"""

import logging
import os
import threading
import time

from django.db import Error, connection

from api.credentials import Login
from api.models import ClientUsage
from api.standing import ClientState
from api.usage import store
from api.usage.batch import Batch, Use

INTERVAL = 10.0  # seconds
LAST_ATTEMPTS = 3  # if the last write fails, each of three seconds at most
logger = logging.getLogger("api.usage")


class Collector:
    """What this process has seen and not yet written."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self.pending = Batch()
        self._thread: threading.Thread | None = None

    def count_login(self, login: Login) -> None:
        """Count a login, and note that its credential was used."""
        now = int(time.time())
        use = Use(login.client.pk, login.credential, login.secret_hash)
        with self._lock:
            fits = self.pending.count(login.client.pk, now // 3600, ClientUsage.SUCCESS)
            fits &= self.pending.use(use, now // 60, login.address)
        self._end_event(fits=fits)

    def count_failure(self, client: ClientState | None, client_id: str, reason: str) -> None:
        """Count a login that failed. Without a `client`, the database was not asked for it.

        The work is the same for an unknown client.
        """
        self._count(client_id if client is None else client.pk, reason)

    def count_throttled(self, client_id: str) -> None:
        self._count(client_id, ClientUsage.THROTTLED)

    def _count(self, client: int | str, outcome: str) -> None:
        with self._lock:
            fits = self.pending.count(client, int(time.time()) // 3600, outcome)
        self._end_event(fits=fits)

    def _end_event(self, *, fits: bool) -> None:
        if not fits:
            logger.warning("Too many clients at once: the usage of some is not recorded.")
        if self._thread is None:
            self.start()

    def start(self) -> None:
        """Start the thread that writes, if there is none."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._flush_regularly, name="usage")
                self._thread.daemon = False
                self._thread.start()

    def _flush_regularly(self) -> None:
        main = threading.main_thread()
        try:
            while main.is_alive():
                main.join(INTERVAL)
                self.flush()
                connection.close()
            for _ in range(LAST_ATTEMPTS):
                self.flush()
        except Exception:  # a fault of ours, which Python logs
            self._thread = None  # the next event starts another
            raise

    def flush(self) -> bool:
        """Write what was collected, and tell whether it worked. If not, keep it."""
        with self._lock:
            batch, self.pending = self.pending, Batch()
        if not batch:
            return True
        try:
            store.write(batch)
        except Error as error:
            logger.warning("Usage is not recorded yet: %s", str(error).partition("\n")[0])
            with self._lock:
                self.pending, newer = batch, self.pending
                self.pending.add(newer)
            return False
        return True


collector = Collector()
os.register_at_fork(after_in_child=collector.reset)  # the parent writes what it collected
