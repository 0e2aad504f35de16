"""What several workers count reaches the database, soon and however the server stops in order."""

import json
import signal
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import pytest

from api.tests.support.load import log_in
from api.tests.support.server import Server, serve
from api.tests.support.services import eventually


@contextmanager
def logins_without_pause(
    server: Server, client_id: str, secrets: Sequence[str]
) -> Iterator[list[int]]:
    """Log in from a thread for each secret, and collect the statuses of the answers."""
    stop, statuses = threading.Event(), list[int]()

    def work(secret: str) -> None:
        while not stop.is_set():
            statuses.append(log_in(server, client_id, secret).status)

    threads = [threading.Thread(target=work, args=(secret,)) for secret in secrets]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def recorded(server: Server) -> tuple[dict[str, int], int]:
    """Return the counts by outcome, and of how many retired secrets the last use is known."""
    with closing(sqlite3.connect(server.directory / "db.sqlite3")) as database:
        counts = database.execute("SELECT outcome, count FROM api_clientusage")
        used = "SELECT count(*) FROM api_retiredsecret WHERE last_used_from = '127.0.0.1'"
        return dict(counts), database.execute(used).fetchone()[0]


@pytest.mark.parametrize("how", ["serve", "reload"])
def test_server_that_stops_in_order_loses_no_count(server: Server, how: str) -> None:
    server.extra = {"GRANIAN_WORKERS": "2", "FAILED_LOGINS_PER_CLIENT": "1000000/minute"}
    server.extra |= {"FAILED_LOGINS_PER_ADDRESS": "1000000/minute"}
    made = json.loads(server.manage("createclient"))
    client_id, old = made["client_id"], made["client_secret"]
    new = json.loads(server.manage("rotatesecret", client_id, "--grace", "1h"))["client_secret"]
    with server.running(serve(server)) as process:
        with logins_without_pause(server, client_id, [new, old, "wrong"]) as statuses:
            eventually(lambda: len(statuses) > 300)
            if how == "reload":
                process.send_signal(signal.SIGHUP)
                eventually(lambda: "Stopped old worker-2" in server.log, 30)
            else:
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
        answered = {"success": statuses.count(200), "wrong secret": statuses.count(401)}
    assert recorded(server) == (answered, 1)


def test_what_clients_do_is_written_while_the_server_runs(server: Server) -> None:
    made = json.loads(server.manage("createclient"))
    with server.running():
        assert log_in(server, made["client_id"], made["client_secret"]).status == 200
        eventually(lambda: recorded(server)[0] == {"success": 1}, 15)
