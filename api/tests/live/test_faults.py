"""What happens to the service when a file, a process or a caller fails: for real, under load."""

import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from api.claims import LIFETIME
from api.tests.support.faults import (
    KINDS,
    NEED_DATABASE,
    NEED_NONE,
    RECOVERY,
    UNAVAILABLE,
    two_workers,
)
from api.tests.support.load import Load, assert_one_rotation_wins, call, log_in, revoke, visit
from api.tests.support.needs import need
from api.tests.support.server import GRANIAN, Server
from api.tests.support.services import children, eventually

pytestmark = pytest.mark.fault
THREADS = 2  # for each of them


OTHER_CLOCK = """
import os
from datetime import datetime, timedelta
import time_machine
seconds = int(os.environ["SECONDS"])
time_machine.travel(datetime.now().astimezone() + timedelta(seconds=seconds)).start()
from authdemo.wsgi import application
"""


@pytest.fixture
def load(server: Server) -> Load:
    """Calls to come of a new client, whose first login is not noted yet."""
    return Load.of_a_new_client(server)


def database(server: Server) -> Path:
    return server.directory / "db.sqlite3"


# SQLite


def test_long_writer_delays_no_login_and_no_verification(server: Server, load: Load) -> None:
    with server.running(two_workers(server)), closing(sqlite3.connect(database(server))) as writer:
        writer.isolation_level = None
        writer.execute("BEGIN IMMEDIATE")
        with load.running():
            time.sleep(2)
        assert load.statuses(*NEED_DATABASE).keys() == {200}
        assert load.slowest(*NEED_DATABASE) < 2.5  # a writer waits for three seconds
        assert revoke(load, load.token) == 503  # it has to write, and says that it could not
        writer.execute("ROLLBACK")
        assert revoke(load, load.token) == 200
        assert visit(server, load.token).status == 401


def test_database_that_was_removed_is_not_made_anew_and_is_found_when_it_is_back(
    server: Server, load: Load
) -> None:
    file, away = database(server), server.directory / "away"
    with server.running(two_workers(server)), load.running():
        time.sleep(1)
        removed = time.monotonic()
        file.rename(away)
        time.sleep(2)
        assert not file.exists()
        assert call(server, "/readyz").body == UNAVAILABLE
        back = time.monotonic()
        away.rename(file)
        time.sleep(RECOVERY + 1)
    assert load.statuses(*NEED_NONE).keys() == {200}
    assert load.statuses(*NEED_DATABASE, until=removed).keys() == {200}
    assert load.statuses(*NEED_DATABASE).keys() == {200, 503}
    assert load.statuses(*NEED_DATABASE, since=back + RECOVERY).keys() == {200}


def test_full_disk_stops_what_writes_and_nothing_else(server: Server, load: Load) -> None:
    infinite = resource.RLIM_INFINITY
    with server.running(two_workers(server)) as process:
        processes = [process.pid, *children(process.pid)]
        with load.running():
            time.sleep(0.5)
            for pid in processes:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, infinite))
            assert revoke(load, load.token) == 503
            time.sleep(1)
            for pid in processes:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (infinite, infinite))
        assert load.statuses(*KINDS).keys() == {200}
        assert revoke(load, load.token) == 200


def read_only_workers(server: Server) -> tuple[str, ...]:
    """Return how to serve as somebody whom the modes of files stop, which root is not."""
    if os.getuid() != 0:
        return two_workers(server)
    need(shutil.which("setpriv"), "setpriv")
    powerless = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", sys.executable)
    execute = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
    return ("-c", execute, *powerless, *two_workers(server))


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    paths = [*server.directory.glob("db.sqlite3*"), server.directory]
    modes = [path.stat().st_mode for path in paths]
    for path, mode in zip(paths, modes, strict=True):
        path.chmod(mode & 0o555)
    yield
    for path, mode in zip(paths, modes, strict=True):
        path.chmod(mode)


def test_read_only_database_serves_what_only_reads(server: Server, load: Load) -> None:
    with closing(sqlite3.connect(database(server))) as somebody:
        somebody.execute("SELECT * FROM auth_user")  # keeps the write-ahead log in being
        with read_only(server), server.running(read_only_workers(server)):
            with load.running():
                time.sleep(0.5)
            assert load.statuses(*KINDS).keys() == {200}
            assert revoke(load, load.token) == 503
            assert call(server, "/readyz").body == UNAVAILABLE


def test_database_that_cannot_be_opened_is_found_when_it_can_be(server: Server, load: Load) -> None:
    """SQLite cannot open a write-ahead log where it may not write and nobody has one open."""
    with server.running(read_only_workers(server)):
        with read_only(server):
            assert log_in(server, load.client_id, load.secret).body == UNAVAILABLE
            assert call(server, "/public").status == 200
        assert log_in(server, load.client_id, load.secret).status == 200


REBUILD = """
CREATE TABLE wider AS SELECT *, 'more' AS more FROM auth_user;
DROP TABLE auth_user;
ALTER TABLE wider RENAME TO auth_user;
"""


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("ALTER TABLE auth_user ADD COLUMN more text;", id="new column"),
        pytest.param(f"BEGIN;{REBUILD}COMMIT;", id="new table"),
        pytest.param("VACUUM;", id="vacuum"),
    ],
)
def test_database_that_is_altered_costs_no_answer(server: Server, load: Load, change: str) -> None:
    with server.running(two_workers(server)), load.running():
        eventually(lambda: server.log.count("Started worker-") == 2)
        time.sleep(0.5)
        with closing(sqlite3.connect(database(server), timeout=10)) as somebody:
            somebody.executescript(change)
        time.sleep(0.5)
    assert load.statuses(*KINDS).keys() == {200}


def test_database_without_a_write_ahead_log_works(server: Server, load: Load) -> None:
    with closing(sqlite3.connect(database(server))) as somebody:
        somebody.execute("PRAGMA journal_mode = DELETE")
    with server.running():
        token = log_in(server, load.client_id, load.secret).body["access_token"]
        assert visit(server, token).status == 200
        assert revoke(load, token) == 200
        assert visit(server, token).status == 401


def test_encoding_that_django_cannot_read_is_warned_of(tmp_path: Path) -> None:
    server = Server(tmp_path, f"sqlite:///{tmp_path}/db.sqlite3")
    with closing(sqlite3.connect(database(server))) as new:
        new.executescript("PRAGMA encoding = 'UTF-16'; CREATE TABLE one (two)")
    with pytest.raises(AssertionError, match=r"api\.W003"):
        server.manage("check", "--database", "default", "--fail-level", "WARNING")


# Processes


def test_worker_that_is_killed_loses_its_own_requests_only(server: Server, load: Load) -> None:
    with server.running(two_workers(server)) as process:
        before = children(process.pid)
        with load.running():
            time.sleep(1)
            os.kill(before[-1], signal.SIGKILL)
            killed = time.monotonic()
            # The killed process is still a child until granian has waited for it.
            eventually(lambda: len(set(children(process.pid)) - {before[-1]}) == len(before))
            time.sleep(RECOVERY + 1)
    print(load.summary())  # noqa: T201 (pytest shows it with -s, or when the test fails)
    assert load.statuses(*KINDS).keys() <= {0, 200}
    assert load.statuses(*KINDS)[0] <= THREADS * len(KINDS)  # one call in flight a thread
    assert load.statuses(*KINDS, since=killed + RECOVERY).keys() == {200}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["stop", "reload"])
def test_request_in_flight_is_finished(server: Server, load: Load, number: int) -> None:
    body = json.dumps({"client_id": load.client_id, "client_secret": load.secret}).encode()
    head = (
        f"POST /login HTTP/1.1\r\nHost: localhost:{server.port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with server.running(two_workers(server)) as process:
        with socket.create_connection(("localhost", server.port)) as caller:
            caller.sendall(head.encode() + body[:10])
            time.sleep(0.3)
            process.send_signal(number)
            time.sleep(1)
            caller.sendall(body[10:])
            assert caller.makefile().readline() == "HTTP/1.1 200 OK\n"
        if number == signal.SIGTERM:
            assert process.wait(10) == 0


def test_reload_loses_no_more_than_connections_that_were_not_accepted_yet(
    server: Server, load: Load
) -> None:
    """The kernel gives each worker a queue of its own, and resets what is in it at its end."""
    with server.running(two_workers(server)) as process:
        before = set(children(process.pid))
        with load.running(THREADS):
            time.sleep(0.5)
            process.send_signal(signal.SIGHUP)
            eventually(lambda: len(set(children(process.pid)) - before) == 2, 30)
            reloaded = time.monotonic()
            time.sleep(RECOVERY + 1)
    assert load.statuses(*KINDS).keys() <= {0, 200}
    assert load.statuses(*KINDS)[0] <= THREADS * len(KINDS)
    assert load.statuses(*KINDS, since=reloaded + RECOVERY).keys() == {200}


@pytest.mark.parametrize("unfinished", ["head", "body"])
def test_callers_that_never_finish_delay_nobody(server: Server, unfinished: str) -> None:
    parts = {
        "head": "POST /login HTTP/1.1\r\nHost: ",
        "body": f"POST /login HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    }
    with server.running(two_workers(server)), ExitStack() as callers:
        for _ in range(100):
            caller = socket.create_connection(("localhost", server.port))
            callers.enter_context(caller)
            caller.sendall(parts[unfinished].encode())
        time.sleep(0.2)
        answers = [call(server, "/public") for _ in range(20)]
        assert {answer.status for answer in answers} == {200}
        assert max(answer.seconds for answer in answers) < 3


@pytest.mark.parametrize("seconds", [-5, 5])
def test_clocks_that_differ_by_five_seconds_refuse_no_token(
    server: Server, load: Load, tmp_path: Path, seconds: int
) -> None:
    other = Server(tmp_path, server.database_url, extra={"PUBLIC_URL": server.url})
    other.extra |= {"SECONDS": str(seconds), "PYTHONPATH": str(tmp_path)}
    (tmp_path / "other_clock.py").write_text(OTHER_CLOCK)
    arguments = [part.replace("authdemo.wsgi:", "other_clock:") for part in GRANIAN]
    with server.running(), other.running((*arguments, "--port", str(other.port))):
        for issuer, verifier in ((server, other), (other, server)):
            answer = log_in(issuer, load.client_id, load.secret)
            assert answer.body["expires_in"] == LIFETIME
            assert visit(verifier, answer.body["access_token"]).status == 200


def test_of_two_rotations_at_once_one_wins(server: Server, load: Load) -> None:
    assert_one_rotation_wins(server, load.client_id)
