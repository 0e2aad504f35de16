"""A PostgreSQL server that tests may stop, with a service and a client in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.tests.support.load import Load
from api.tests.support.needs import need
from api.tests.support.server import Server
from api.tests.support.services import Network, PgBouncer, PostgreSQL


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A PostgreSQL server with the tables of the service."""
    need(PostgreSQL.binaries(), "PostgreSQL")
    postgresql = PostgreSQL()
    postgresql.create()
    Server(tmp_path_factory.mktemp("migration"), postgresql.url()).manage("migrate", "-v0")
    yield postgresql
    postgresql.remove()


@pytest.fixture
def postgresql(installed: PostgreSQL) -> PostgreSQL:
    """A PostgreSQL server that runs, whatever the test before did to it."""
    if not installed.process:
        installed.start()
    return installed


@pytest.fixture
def network(postgresql: PostgreSQL) -> Iterator[Network]:
    network = Network(postgresql.port)
    yield network
    network.close()


@pytest.fixture
def pgbouncer(postgresql: PostgreSQL) -> Iterator[PgBouncer]:
    need(PgBouncer.binary(), "PgBouncer")
    pgbouncer = PgBouncer(postgresql_port=postgresql.port)
    pgbouncer.start()
    yield pgbouncer
    pgbouncer.stop()
    shutil.rmtree(pgbouncer.directory)


@pytest.fixture
def load(tmp_path: Path, postgresql: PostgreSQL) -> Load:
    """Calls to come of a new client to a service on PostgreSQL, not yet running."""
    return Load.of_a_new_client(Server(tmp_path, postgresql.url()))
