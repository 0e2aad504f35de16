"""What happens to the service when its database goes: made to happen for real, under load."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from api.tests.support.load import Load, assert_one_rotation_wins, call, log_in
from api.tests.support.needs import need
from api.tests.support.server import GRANIAN, Server
from api.tests.support.services import Network, PostgreSQL, eventually

pytestmark = [pytest.mark.fault, pytest.mark.postgres]
NEED_DATABASE = ("login", "private")
NEED_NONE = ("public", "livez", "jwks")
UNAVAILABLE = {
    "error": "temporarily_unavailable",
    "error_description": "The service is temporarily unavailable; try again shortly.",
}
RECOVERY = 2  # seconds


@pytest.fixture(scope="module")
def installed() -> Iterator[PostgreSQL]:
    need(PostgreSQL.binaries(), "PostgreSQL")
    postgresql = PostgreSQL()
    postgresql.create()
    yield postgresql
    postgresql.stop(signal.SIGINT)
    shutil.rmtree(postgresql.directory)


@pytest.fixture
def postgresql(installed: PostgreSQL) -> PostgreSQL:
    """A PostgreSQL server that runs, whatever the test before did to it."""
    if not installed.process:
        installed.start()
    return installed


@pytest.fixture(scope="module")
def client(installed: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The credentials of a client in the database."""
    server = Server(tmp_path_factory.mktemp("migration"), installed.url())
    server.manage("migrate", "--verbosity", "0")
    created: dict[str, str] = json.loads(server.manage("createclient", "foo"))
    return created


@pytest.fixture
def network(postgresql: PostgreSQL) -> Iterator[Network]:
    network = Network(postgresql.port)
    yield network
    network.close()


@pytest.fixture
def service(tmp_path: Path, postgresql: PostgreSQL, client: dict[str, str]) -> Server:
    return Server(tmp_path, postgresql.url())


def load(service: Server, client: dict[str, str]) -> Load:
    return Load(service, client["client_id"], client["client_secret"])


def workers(service: Server) -> tuple[str, ...]:
    return (*GRANIAN, "--port", str(service.port), "--workers", "2", "--respawn-failed-workers")


def assert_only_the_database_was_missed(load: Load, failed: float, back: float) -> None:
    """Demand 200 before and after, 200 or 503 between, and 200 where no database is needed.

    `failed` and `back` are when the fault began and ended.
    """
    load_ended = load.answers[-1][0]
    assert load_ended > back + RECOVERY
    assert load.statuses(*NEED_NONE).keys() == {200}
    assert load.statuses(*NEED_DATABASE, until=failed).keys() == {200}
    assert load.statuses(*NEED_DATABASE).keys() == {200, 503}
    assert load.statuses(*NEED_DATABASE, since=back + RECOVERY).keys() == {200}
    refused = [answer for _, _, answer in load.answers if answer.status == 503]
    assert all(answer.body == UNAVAILABLE for answer in refused)
    assert all(answer.headers["retry-after"] == "2" for answer in refused)


@contextmanager
def stopped(postgresql: PostgreSQL, number: int) -> Iterator[None]:
    postgresql.stop(number)
    yield
    postgresql.start()


@contextmanager
def cut(network: Network) -> Iterator[None]:
    network.is_cut = True
    yield
    network.is_cut = False


def outlast(load: Load, fault: AbstractContextManager[None], seconds: float) -> None:
    """Call through a fault of so many seconds, from just before until after the recovery."""
    with load.running():
        eventually(lambda: load.server.log.count("Started worker-") == 2)
        time.sleep(1)  # so that both workers have the keys
        failed = time.monotonic()
        with fault:
            time.sleep(seconds)
            for path in ("/readyz", "/admin/"):
                answer = call(load.server, path, {"Cookie": f"sessionid={'s' * 32}"})
                assert (answer.status, answer.body) == (503, UNAVAILABLE), path
        back = time.monotonic()
        time.sleep(RECOVERY + 1)
    print(load.summary())  # noqa: T201 (pytest shows it with -s, or when the test fails)
    assert_only_the_database_was_missed(load, failed, back)


def test_frozen_database_costs_its_callers_three_seconds_and_the_others_nothing(
    service: Server, client: dict[str, str], postgresql: PostgreSQL
) -> None:
    with service.running(workers(service)):
        calls = load(service, client)
        outlast(calls, postgresql.frozen(), 4.5)
    assert calls.slowest(*NEED_DATABASE) < 5  # one deadline, and not two
    assert calls.slowest(*NEED_NONE) < 2.5  # none


def test_network_that_carries_nothing_is_a_frozen_database(
    service: Server, client: dict[str, str], network: Network, postgresql: PostgreSQL
) -> None:
    service.database_url = postgresql.url(network.port)
    with service.running(workers(service)):
        calls = load(service, client)
        outlast(calls, cut(network), 4.5)
    assert calls.slowest(*NEED_DATABASE) < 5  # one deadline, and not two
    assert calls.slowest(*NEED_NONE) < 2.5  # none


def test_answer_without_its_end_holds_up_its_caller_and_nobody_else(
    service: Server, client: dict[str, str], network: Network, postgresql: PostgreSQL
) -> None:
    service.database_url = postgresql.url(network.port)
    calls = load(service, client)
    with service.running(workers(service)), calls.running():
        eventually(lambda: service.log.count("Started worker-") == 2)
        time.sleep(1)
        network.lost = 6  # bytes: PostgreSQL's ReadyForQuery
        time.sleep(1.5)
        network.lost = 0
        over = time.monotonic() + 3  # seconds: the deadline of what was asked until now
        time.sleep(3 + RECOVERY + 1)
    assert calls.statuses(*NEED_NONE).keys() == {200}
    assert calls.statuses(*NEED_DATABASE).keys() == {200, 503}
    assert calls.statuses(*NEED_DATABASE, since=over + RECOVERY).keys() == {200}
    assert calls.slowest(*NEED_DATABASE) < 5
    assert calls.slowest(*NEED_NONE) < 2.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_database_that_is_gone_is_found_again_when_it_is_back(
    service: Server, client: dict[str, str], postgresql: PostgreSQL, number: int
) -> None:
    with service.running(workers(service)):
        outlast(load(service, client), stopped(postgresql, number), 2)


def test_connections_that_died_unnoticed_cost_no_answer(
    service: Server, client: dict[str, str], postgresql: PostgreSQL
) -> None:
    with service.running():
        calls = load(service, client)
        for _ in range(3):
            with calls.running():
                time.sleep(0.5)
            postgresql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'authdemo' AND pid <> pg_backend_pid()"
            )
            time.sleep(0.5)  # they end after the statement has
    assert calls.statuses(*NEED_DATABASE).keys() == {200}


def test_database_without_free_connections_is_unavailable_until_one_is_free(
    service: Server, client: dict[str, str], postgresql: PostgreSQL
) -> None:
    with service.running(), ExitStack() as taken:
        with suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(postgresql.connect())
        refused = log_in(service, client["client_id"], client["client_secret"])
        assert (refused.status, refused.body) == (503, UNAVAILABLE)
        assert call(service, "/public").status == 200
        taken.close()
        time.sleep(RECOVERY)
        assert log_in(service, client["client_id"], client["client_secret"]).status == 200


def test_service_starts_without_its_database_and_finds_it_later(
    service: Server, client: dict[str, str], postgresql: PostgreSQL
) -> None:
    postgresql.stop(signal.SIGINT)
    with service.running():
        assert call(service, "/public").status == 200
        assert call(service, "/.well-known/jwks.json").status == 503
        assert log_in(service, client["client_id"], client["client_secret"]).status == 503
        postgresql.start()
        time.sleep(RECOVERY)
        assert log_in(service, client["client_id"], client["client_secret"]).status == 200
        assert call(service, "/readyz").status == 200


def test_row_that_somebody_locked_delays_no_login(
    service: Server, client: dict[str, str], postgresql: PostgreSQL
) -> None:
    postgresql.execute("UPDATE auth_user SET last_login = NULL")  # so that a login would note it
    with service.running(), postgresql.connect() as somebody, somebody.transaction():
        somebody.execute("SELECT * FROM auth_user FOR UPDATE")
        answer = log_in(service, client["client_id"], client["client_secret"])
        assert (answer.status, answer.seconds < 2.5) == (200, True)


def test_of_two_rotations_at_once_one_wins(service: Server, postgresql: PostgreSQL) -> None:
    service.manage("createclient", "bar")
    assert_one_rotation_wins(service, "bar")
