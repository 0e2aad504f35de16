"""What lies between the service and PostgreSQL, and how PostgreSQL is set up, made real."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.tests.support.faults import KINDS, UNAVAILABLE, two_workers
from api.tests.support.load import Load, call, log_in, revoke, visit
from api.tests.support.server import Server
from api.tests.support.services import Network, PgBouncer, PostgreSQL, eventually

pytestmark = [pytest.mark.fault, pytest.mark.postgres]
# A list, and forms whose choices Django reads by cursors of their own.
VISIT_ADMIN = """
from django.contrib.auth.models import User
from django.test import Client
browser = Client(HTTP_HOST="localhost")
staff = {"username": "staff", "is_staff": True, "is_superuser": True}
browser.force_login(User.objects.get_or_create(**staff)[0])
paths = ("/admin/api/client/", "/admin/api/client/add/", "/admin/auth/group/add/")
print({browser.get(path).status_code for path in paths * 10})
"""
# Whatever a database may be set to, but for what its users rely on, such as `search_path`.
SETTINGS = {
    "DateStyle": "German",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-3",
    "standard_conforming_strings": "off",
}


def assert_everything_works(load: Load) -> None:
    """Log in, call, write, and use the admin and the commands."""
    token = log_in(load.server, load.client_id, load.secret).body["access_token"]
    assert visit(load.server, token).status == 200
    assert revoke(load, token) == 200
    assert visit(load.server, token).status == 401
    assert call(load.server, "/readyz").status == 200
    assert call(load.server, "/register", {"Content-Type": "application/json"}, "{}").status == 201
    assert load.server.shell(VISIT_ADMIN) == "{200}"
    load.server.manage("rotatesecret", load.client_id, "--grace", "1h")
    assert log_in(load.server, load.client_id, load.secret).status == 200  # in its grace period


# PgBouncer, whose sessions end with each transaction


def test_pgbouncer_in_transaction_mode(
    load: Load, pgbouncer: PgBouncer, postgresql: PostgreSQL
) -> None:
    load.server.database_url = postgresql.url(port=pgbouncer.port)
    load.server.manage("migrate", "--verbosity", "0")
    with load.server.running(two_workers(load.server)):
        with load.running(threads=4):
            eventually(lambda: load.server.log.count("Started worker-") == 2)
            time.sleep(1)
            assert_everything_works(load)
        assert load.statuses(*KINDS).keys() == {200}


def test_session_behind_pgbouncer_that_ends_costs_no_answer(
    load: Load, pgbouncer: PgBouncer, postgresql: PostgreSQL
) -> None:
    load.server.database_url = postgresql.url(port=pgbouncer.port)
    with load.server.running(two_workers(load.server)), load.running():
        for _ in range(12):
            time.sleep(0.3)
            postgresql.end_connections(1)
    assert load.statuses(*KINDS).keys() == {200}


def test_restart_of_pgbouncer_between_two_requests_costs_no_answer(
    load: Load, pgbouncer: PgBouncer, postgresql: PostgreSQL
) -> None:
    load.server.database_url = postgresql.url(port=pgbouncer.port)
    with load.server.running():
        for _ in range(3):
            with load.running():
                time.sleep(0.5)
            pgbouncer.stop()
            pgbouncer.start()
    assert load.statuses(*KINDS).keys() == {200}


# Connections that died


@pytest.mark.parametrize(("patience", "times"), [(0.1, 14), (0.5, 5)])
def test_idle_connections_that_are_reset_cost_no_answer(
    load: Load, network: Network, postgresql: PostgreSQL, patience: float, times: int
) -> None:
    """The reset comes when something is sent; to look at the connection before shows nothing."""
    load.server.database_url = postgresql.url(port=network.port)
    network.patience = patience
    with load.server.running():
        token = log_in(load.server, load.client_id, load.secret).body["access_token"]
        for _ in range(times):
            time.sleep(patience + 0.1)
            assert log_in(load.server, load.client_id, load.secret).status == 200
            time.sleep(patience + 0.1)
            assert visit(load.server, token).status == 200


def test_idle_connections_that_are_reset_cost_no_write(
    load: Load, network: Network, postgresql: PostgreSQL
) -> None:
    load.server.database_url = postgresql.url(port=network.port)
    network.patience = 0.5
    with load.server.running():
        for _ in range(5):
            time.sleep(0.6)
            headers = {"Content-Type": "application/json"}
            assert call(load.server, "/register", headers, "{}").status == 201
            time.sleep(0.6)
            assert call(load.server, "/readyz").status == 200
            time.sleep(0.6)
            cookie = {"Cookie": f"sessionid={'s' * 32}"}
            assert call(load.server, "/admin/", cookie).status == 302  # which reads the session


def test_connections_that_end_while_they_are_in_use_cost_no_answer(
    load: Load, postgresql: PostgreSQL
) -> None:
    with load.server.running(), load.running():
        for _ in range(8):
            time.sleep(0.5)  # the repetition must have a connection that lives
            postgresql.end_connections()
    assert load.statuses(*KINDS).keys() == {200}


def test_table_that_is_altered_costs_no_answer(load: Load, postgresql: PostgreSQL) -> None:
    with load.server.running(two_workers(load.server)), load.running():
        for length in (129, 128):
            time.sleep(1)
            postgresql.execute(f"ALTER TABLE auth_user ALTER password TYPE varchar({length})")
        time.sleep(1)
    assert load.statuses(*KINDS).keys() == {200}


# Settings of the database


@pytest.fixture
def _unusual_settings(postgresql: PostgreSQL) -> Iterator[None]:
    for name, value in SETTINGS.items():
        postgresql.execute(f"ALTER DATABASE authdemo SET {name} = '{value}'")
    yield
    postgresql.execute("ALTER DATABASE authdemo RESET ALL")


@pytest.mark.usefixtures("_unusual_settings")
def test_settings_of_the_database_change_nothing(load: Load) -> None:
    with load.server.running():
        assert_everything_works(load)


@pytest.mark.usefixtures("_unusual_settings")
def test_settings_of_the_database_change_nothing_behind_pgbouncer(
    load: Load, pgbouncer: PgBouncer, postgresql: PostgreSQL
) -> None:
    load.server.database_url = postgresql.url(port=pgbouncer.port)
    with load.server.running(two_workers(load.server)):
        with load.running():
            time.sleep(1)
        assert load.statuses(*KINDS).keys() == {200}
        assert_everything_works(load)


def test_client_id_that_the_database_cannot_hold_is_an_unknown_client(
    tmp_path: Path, postgresql: PostgreSQL
) -> None:
    create = "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    postgresql.execute(create)
    server = Server(tmp_path, postgresql.url(database="latin"))
    server.manage("migrate", "--verbosity", "0")
    load = Load.of_a_new_client(server)
    with server.running():
        answer = log_in(server, "中", load.secret)
        assert (answer.status, answer.body["error"]) == (401, "invalid_client")
        assert_everything_works(load)
    with pytest.raises(AssertionError, match=r"api\.W003"):
        server.manage("check", "--database", "default", "--fail-level", "WARNING")


# What the log and the commands say


@pytest.mark.parametrize(
    ("database", "user", "cause"),
    [
        ("nodb", "root", 'database "nodb" does not exist'),
        ("authdemo", "guarded:hunter2", 'password authentication failed for user "guarded"'),
    ],
    ids=["no database", "wrong password"],
)
def test_cause_is_named_and_the_password_is_not(
    load: Load, postgresql: PostgreSQL, database: str, user: str, cause: str
) -> None:
    server = load.server
    server.database_url = postgresql.url(user=user, database=database)
    told = f"connection failed: .*FATAL:  {cause}"
    with server.running():
        for _ in range(5):
            answer = log_in(server, load.client_id, load.secret)
            assert (answer.status, answer.body) == (503, UNAVAILABLE)
        lines = [line for line in server.log.splitlines() if "unavailable" in line]
        assert lines
        assert all(re.search(told, line) for line in lines)
    with pytest.raises(AssertionError, match=told) as failure:
        server.manage("migrate")
    assert len(str(failure.value).splitlines()) == 1
    assert "hunter2" not in f"{server.log} {failure.value}"


@pytest.mark.parametrize("kind", ["PostgreSQL", "SQLite"])
def test_of_two_migrations_at_once_one_waits(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    if kind == "PostgreSQL":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        postgresql.execute("CREATE DATABASE new")
        url = postgresql.url(database="new")
    server = Server(tmp_path, url)
    with ThreadPoolExecutor() as threads:
        outputs = list(threads.map(lambda _: server.manage("migrate"), range(3)))
    assert sum("No migrations to apply" in output for output in outputs) == 2
