"""The nginx of `docs/deploy.md`, in front of the service."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from api.tests.support.load import call, log_in
from api.tests.support.nginx import Nginx, documented_config
from api.tests.support.responses import bearer
from api.tests.support.server import Server
from api.tokens import MAX_LENGTH


@pytest.fixture
def front(server: Server) -> Iterator[Server]:
    """The service behind nginx, without TLS; its port is nginx's."""
    config, _ = documented_config()
    nginx = Nginx(directory=server.directory, config=config, behind=server.port)
    server.extra = {"TRUSTED_PROXIES": "1", "GRANIAN_BLOCKING_THREADS": "8"}
    with server.running(), nginx.running():
        yield Server(server.directory, server.database_url, nginx.port)


def test_caller_chooses_no_address(front: Server) -> None:
    forged = [
        {"X-Forwarded-For": f"192.0.2.{number}", "X_Forwarded_For": f"198.51.100.{number}"}
        for number in range(11)
    ]
    statuses = [log_in(front, "foo", "wrong", headers).status for headers in forged]
    assert statuses == [401] * 10 + [429]


def test_longest_token_passes(front: Server) -> None:
    scopes = [f"a-scope-with-{number:08}" for number in range(260)]
    options = [part for scope in scopes for part in ("--scope", scope)]
    made = json.loads(front.manage("createclient", "many", *options))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    while len(scopes) > 200:
        body = made | {"grant_type": "client_credentials", "scope": " ".join(scopes)}
        login = call(front, "/login", form, urlencode(body))
        if login.status == 200:
            break
        assert login.body["error"] == "invalid_scope"
        scopes.pop()
    assert len(login.body["access_token"]) > MAX_LENGTH - 60
    assert call(front, "/private", bearer(login.body["access_token"])).status == 200


def test_slow_bodies_delay_nobody(front: Server) -> None:
    unfinished = (
        f"POST /login HTTP/1.1\r\nHost: localhost:{front.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    with ExitStack() as callers:
        for _ in range(40):
            caller = callers.enter_context(socket.create_connection(("127.0.0.1", front.port)))
            caller.sendall(unfinished.encode())
        time.sleep(0.5)
        answer = call(front, "/livez")
    assert answer.status == 200
    assert answer.seconds < 1
