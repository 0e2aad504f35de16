"""What happens to the service when its database goes: made to happen for real, under load."""

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import psycopg
import pytest

from api.tests.support.faults import NEED_DATABASE, NEED_NONE, RECOVERY, UNAVAILABLE, two_workers
from api.tests.support.load import Load, assert_one_rotation_wins, call, log_in
from api.tests.support.services import Network, PostgreSQL, eventually

pytestmark = [pytest.mark.fault, pytest.mark.postgres]


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
    load: Load, postgresql: PostgreSQL
) -> None:
    with load.server.running(two_workers(load.server)):
        outlast(load, postgresql.frozen(), 4.5)
    assert load.slowest(*NEED_DATABASE) < 5  # one deadline, and not two
    assert load.slowest(*NEED_NONE) < 2.5  # none


def test_network_that_carries_nothing_is_a_frozen_database(
    load: Load, network: Network, postgresql: PostgreSQL
) -> None:
    load.server.database_url = postgresql.url(port=network.port)
    with load.server.running(two_workers(load.server)):
        outlast(load, cut(network), 4.5)
    assert load.slowest(*NEED_DATABASE) < 5  # one deadline, and not two
    assert load.slowest(*NEED_NONE) < 2.5  # none


def test_answer_without_its_end_holds_up_its_caller_and_nobody_else(
    load: Load, network: Network, postgresql: PostgreSQL
) -> None:
    load.server.database_url = postgresql.url(port=network.port)
    with load.server.running(two_workers(load.server)), load.running():
        eventually(lambda: load.server.log.count("Started worker-") == 2)
        time.sleep(1)
        network.lost = 6  # bytes: PostgreSQL's ReadyForQuery
        time.sleep(1.5)
        network.lost = 0
        over = time.monotonic() + 3  # seconds: the deadline of what was asked until now
        time.sleep(3 + RECOVERY + 1)
    assert load.statuses(*NEED_NONE).keys() == {200}
    assert load.statuses(*NEED_DATABASE).keys() == {200, 503}
    assert load.statuses(*NEED_DATABASE, since=over + RECOVERY).keys() == {200}
    assert load.slowest(*NEED_DATABASE) < 5
    assert load.slowest(*NEED_NONE) < 2.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_database_that_is_gone_is_found_again_when_it_is_back(
    load: Load, postgresql: PostgreSQL, number: int
) -> None:
    with load.server.running(two_workers(load.server)):
        outlast(load, stopped(postgresql, number), 2)


def test_connections_that_died_unnoticed_cost_no_answer(load: Load, postgresql: PostgreSQL) -> None:
    with load.server.running():
        for _ in range(3):
            with load.running():
                time.sleep(0.5)
            postgresql.end_connections()
            time.sleep(0.5)  # they end after the statement has
    assert load.statuses(*NEED_DATABASE).keys() == {200}


def test_database_without_free_connections_is_unavailable_until_one_is_free(
    load: Load, postgresql: PostgreSQL
) -> None:
    with load.server.running(), ExitStack() as taken:
        with suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(postgresql.connect())
        refused = log_in(load.server, load.client_id, load.secret)
        assert (refused.status, refused.body) == (503, UNAVAILABLE)
        assert call(load.server, "/public").status == 200
        taken.close()
        time.sleep(RECOVERY)
        assert log_in(load.server, load.client_id, load.secret).status == 200


def test_service_starts_without_its_database_and_finds_it_later(
    load: Load, postgresql: PostgreSQL
) -> None:
    postgresql.stop(signal.SIGINT)
    with load.server.running():
        assert call(load.server, "/public").status == 200
        assert call(load.server, "/.well-known/jwks.json").status == 503
        assert log_in(load.server, load.client_id, load.secret).status == 503
        postgresql.start()
        time.sleep(RECOVERY)
        assert log_in(load.server, load.client_id, load.secret).status == 200
        assert call(load.server, "/readyz").status == 200


def test_row_that_somebody_locked_delays_no_login(load: Load, postgresql: PostgreSQL) -> None:
    with load.server.running(), postgresql.connect() as somebody, somebody.transaction():
        somebody.execute("SELECT * FROM auth_user FOR UPDATE")
        answer = log_in(load.server, load.client_id, load.secret)
        assert (answer.status, answer.seconds < 2.5) == (200, True)


def test_of_two_rotations_at_once_one_wins(load: Load) -> None:
    assert_one_rotation_wins(load.server, load.client_id)
