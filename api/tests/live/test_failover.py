"""A PostgreSQL server that takes no more writes, and the one that replaces it, made real."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.tests.support.faults import KINDS, UNAVAILABLE, two_workers
from api.tests.support.load import Load, call, log_in, revoke, visit
from api.tests.support.services import PostgreSQL, eventually

pytestmark = [pytest.mark.fault, pytest.mark.postgres]
SOON = 10  # seconds after which every thread of every worker uses the primary


@pytest.fixture
def primary(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """A copy of the usual server, as a primary of its own."""
    copy = postgresql.standby()
    copy.promote()
    yield copy
    copy.remove()


@pytest.fixture
def standby(primary: PostgreSQL) -> Iterator[PostgreSQL]:
    standby = primary.standby()
    yield standby
    standby.remove()


def become_read_only(postgresql: PostgreSQL) -> None:
    postgresql.set("default_transaction_read_only", "on")


def write(load: Load) -> int:
    """Revoke a token, which writes to the database, and return the status."""
    return revoke(load, get_token(load))


def get_token(load: Load) -> str:
    return str(log_in(load.server, load.client_id, load.secret).body["access_token"])


def ready(load: Load) -> bool:
    answer = call(load.server, "/readyz")
    assert answer.status == 200 or answer.body == UNAVAILABLE
    return answer.status == 200


def deactivate(postgresql: PostgreSQL, load: Load) -> None:
    with postgresql.connect() as connection:
        sql = "UPDATE auth_user SET is_active = false WHERE username = %s"
        connection.execute(sql, [load.client_id])


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(become_read_only, id="read-only"),
        pytest.param(lambda primary: primary.stop(signal.SIGINT), id="gone"),
    ],
)
def test_primary_is_left_for_the_promoted_standby_while_logins_go_on(
    load: Load, primary: PostgreSQL, standby: PostgreSQL, fail: Callable[[PostgreSQL], None]
) -> None:
    server = load.server
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    server.database_url = f"postgres://root@{hosts}/authdemo?target_session_attrs=read-write"
    server.extra["GRANIAN_BLOCKING_THREADS"] = "8"  # PostgreSQL has 40 connections
    load, other = Load.of_a_new_client(server), Load.of_a_new_client(server)
    with server.running(two_workers(server)), load.running(), ThreadPoolExecutor(16) as threads:
        eventually(lambda: server.log.count("Started worker-") == 2)
        time.sleep(1)  # so that both workers have the keys, and the standby has the clients
        token = get_token(other)
        assert (write(load), ready(load)) == (200, True)
        fail(primary)
        eventually(lambda: (write(load), ready(load)) == (503, False))
        standby.promote()
        deactivate(standby, other)
        promoted = time.monotonic()

        def statuses() -> set[int]:
            """Return what many calls at once are answered, by every thread."""
            calls = [threads.submit(visit, server, token) for _ in range(64)]
            return {call.result().status for call in calls}

        eventually(lambda: statuses() == {401}, SOON)
        eventually(lambda: (write(load), ready(load)) == (200, True), SOON)
        assert time.monotonic() - promoted < SOON
    print(load.summary())  # noqa: T201 (pytest shows it with -s, or when the test fails)
    assert load.statuses(*KINDS).keys() == {200}


@pytest.mark.parametrize(
    ("query", "is_ready"),
    [
        pytest.param("", False, id="unintended"),
        pytest.param("?target_session_attrs=any", True, id="intended"),
    ],
)
def test_read_only_server_is_ready_only_if_the_url_accepts_one(
    load: Load, postgresql: PostgreSQL, query: str, is_ready: bool
) -> None:
    load.server.database_url += query
    with load.server.running():
        assert (write(load), ready(load)) == (200, True)
        become_read_only(postgresql)
        try:
            eventually(lambda: write(load) == 503)
            assert ready(load) is is_ready
            token = get_token(load)
            assert visit(load.server, token).status == 200
        finally:
            postgresql.set("default_transaction_read_only", "off")
        eventually(lambda: (write(load), ready(load)) == (200, True), SOON)
