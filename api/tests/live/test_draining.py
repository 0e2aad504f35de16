"""`manage.py serve` behind a load balancer that asks `/readyz`: SIGTERM loses no request."""

import itertools
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api import health
from api.management.commands.serve import drain_on_sigterm
from api.tests.support.load import Answer, call, log_in
from api.tests.support.server import Server, serve
from api.tests.support.services import children, eventually

DRAINING = {
    "error": "temporarily_unavailable",
    "error_description": "The service is draining: it answers, and is about to stop.",
}


class Balancer:
    """Calls two services in turn, as long as `/readyz` of each says that it is ready."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.ready = list(servers)
        self.answers: list[Answer] = []

    @contextmanager
    def running(self, client_id: str, secret: str) -> Iterator[None]:
        stop = threading.Event()
        turns = itertools.count()

        def poll() -> None:
            while not stop.wait(0.05):
                ready = [one for one in self.servers if call(one, "/readyz").status == 200]
                self.ready = ready or self.ready

        def log_in_without_pause() -> None:
            while not stop.is_set():
                ready = self.ready
                server = ready[next(turns) % len(ready)]
                self.answers.append(log_in(server, client_id, secret))

        threads = [threading.Thread(target=poll)]
        threads += [threading.Thread(target=log_in_without_pause) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@pytest.fixture
def pair(server: Server, tmp_path: Path) -> list[Server]:
    """Two services, not yet running, on one database."""
    (tmp_path / "other").mkdir()
    pair = [server, Server(tmp_path / "other", server.database_url)]
    for one in pair:
        one.extra = {"GRANIAN_WORKERS": "2", "DRAIN_SECONDS": "4", "PUBLIC_URL": server.url}
    return pair


def test_sigterm_behind_a_load_balancer_loses_no_request(pair: list[Server]) -> None:
    made = json.loads(pair[0].manage("createclient"))
    balancer = Balancer(pair)
    with (
        pair[1].running(serve(pair[1])),
        pair[0].running(serve(pair[0])) as process,
        balancer.running(made["client_id"], made["client_secret"]),
    ):
        eventually(lambda: len(balancer.answers) > 20)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: balancer.ready == [pair[1]])
        refused = call(pair[0], "/readyz")
        assert (refused.status, refused.body) == (503, DRAINING)
        still = log_in(pair[0], made["client_id"], made["client_secret"])
        assert (still.status, call(pair[0], "/livez").status) == (200, 200)
        assert process.wait(30) == 0
    assert Counter(answer.status for answer in balancer.answers).keys() == {200}


@pytest.mark.parametrize(
    ("seconds", "signals"),
    [("0", [signal.SIGTERM]), ("600", [signal.SIGTERM] * 2), ("600", [signal.SIGINT])],
    ids=["no draining", "second SIGTERM", "SIGINT"],
)
def test_server_stops_at_once_if_told_to(
    server: Server, seconds: str, signals: list[signal.Signals]
) -> None:
    server.extra = {"DRAIN_SECONDS": seconds}
    with server.running(serve(server)) as process:
        for number in signals[:-1]:
            process.send_signal(number)
            eventually(lambda: call(server, "/readyz").status == 503)
        process.send_signal(signals[-1])
        assert process.wait(30) == 0


def test_reload_drains_nothing(server: Server) -> None:
    """The old worker stops while its successor serves, so the machine stays ready."""
    server.extra = {"DRAIN_SECONDS": "600"}
    with server.running(serve(server)) as process:
        before = children(process.pid)
        process.send_signal(signal.SIGHUP)
        eventually(lambda: len(now := children(process.pid)) == 1 and now != before, 30)
        assert call(server, "/readyz").status == 200
        process.send_signal(signal.SIGINT)  # or it would drain for 600 seconds
        assert process.wait(30) == 0


def test_worker_that_has_just_been_forked_starts_no_draining(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "_draining", bytearray(1))
    before: Any = signal.getsignal(signal.SIGTERM)
    drain_on_sigterm()
    inherited: Any = signal.signal(signal.SIGTERM, before)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    inherited(signal.SIGTERM, None)
    assert not health.is_draining()
