"""What most tests need: a client, a token, and counters and keys that start afresh."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from playwright.sync_api import Browser, Page
from redis import Redis
from rest_framework.test import APIClient

from api import keys, token_backend, tokens
from api.credentials import check, create_client
from api.models import Client
from api.tests.support.chromium import chromium, watched_page
from api.tests.support.server import Server, Service
from api.throttling import counters, slow_hashes
from api.usage.collector import Collector, collector
from authdemo import wsgi  # noqa: F401 (what it does to a process counts in tests too)
from authdemo.logs import OnceAMinuteFilter


@pytest.fixture(autouse=True)
def _fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process remembers is forgotten before each test.

    Django's test tools connect again what `authdemo.wsgi` disconnected. Usage is written when a
    test says so: a thread would not see the test's transaction.
    """
    collector.reset()
    monkeypatch.setattr(Collector, "start", lambda self: None)
    request_started.disconnect(reset_queries)
    request_finished.disconnect(close_old_connections)
    keys.forget()
    token_backend.forget()
    counters.counters.cache_clear()
    slow_hashes.slow_hashes.cache_clear()
    if settings.REDIS_URL:
        Redis.from_url(settings.REDIS_URL).flushdb()
    for name in (*settings.REPETITIVE_LOGGERS, *settings.QUOTING_LOGGERS):
        for one in logging.getLogger(name).filters:
            if isinstance(one, OnceAMinuteFilter):
                one.forget()
    yield
    keys.forget()


@pytest.fixture
def http() -> APIClient:
    return APIClient()


@pytest.fixture
def credentials(db: None) -> dict[str, str]:
    """The credentials of a client with the scopes `read` and `write`."""
    client, secret = create_client("reporting", name="Reporting", scopes=["read", "write"])
    return {"client_id": client.username, "client_secret": secret}


@pytest.fixture
def client_row(credentials: dict[str, str]) -> Client:
    return Client.objects.get(username=credentials["client_id"])


@pytest.fixture
def get_token(http: APIClient, credentials: dict[str, str]) -> Callable[[], str]:
    """Return a function that logs in and returns the access token."""

    def login() -> str:
        response = http.post("/login", credentials, format="json")
        assert response.status_code == 200, response.data
        return str(response.data["access_token"])

    return login


@pytest.fixture
def token_with(credentials: dict[str, str]) -> Callable[..., str]:
    """Return a function that issues a token with these scopes, whichever the client has."""

    def issue(*scopes: str) -> str:
        login = check(credentials["client_id"], credentials["client_secret"], address="192.0.2.1")
        return tokens.issue(login, scopes).text

    return issue


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database as `migrate` leaves it, of which servers get copies."""
    database = tmp_path_factory.mktemp("migrated") / "db.sqlite3"
    Server(database.parent, f"sqlite:///{database}").manage("migrate", "--verbosity", "0")
    return database


@pytest.fixture
def server(tmp_path: Path, migrated: Path) -> Server:
    """A service with a migrated SQLite database of its own, not yet running."""
    return Server.with_copy(tmp_path, migrated)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Service]:
    """A server that runs as long as the module's tests, and lets them fail to log in."""
    server = Server.with_copy(tmp_path_factory.mktemp("service"), migrated)
    server.extra = {"FAILED_LOGINS_PER_CLIENT": "1000/minute"}
    # Form-urlencoded, this id is another: clients that don't encode have to be understood.
    made = json.loads(server.manage("createclient", "a@b+c", "--scope", "read"))
    with server.running():
        yield Service(server.url, made["client_id"], made["client_secret"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium, and no longer than a module: Django takes Playwright's event loop for its own."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a fresh profile; the test fails for anything that `watched_page` complains of."""
    with watched_page(browser) as page:
        yield page
