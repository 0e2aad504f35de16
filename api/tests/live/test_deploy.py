"""The nginx of `docs/deploy.md`, in front of the service."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from api.tests.support.load import call, log_in
from api.tests.support.nginx import Nginx, documented_config
from api.tests.support.server import Server


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
