"""The nginx of `docs/deploy.md`, in front of the service."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from api.tests.support.docs import DOCS, blocks
from api.tests.support.load import call, log_in
from api.tests.support.needs import need
from api.tests.support.responses import bearer
from api.tests.support.server import Server, free_port
from api.tokens import MAX_LENGTH

TLS = ("listen 443 ssl;", "ssl_certificate /", "ssl_certificate_key /")
FRAME = """
daemon off; pid {directory}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    {documented}
}}
"""


@pytest.fixture
def front(server: Server) -> Iterator[Server]:
    """The service behind nginx, without TLS; its port is nginx's."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    need(nginx, "nginx")
    (documented,) = blocks("nginx", (DOCS / "deploy.md").read_text())
    port = free_port()
    lines = [line for line in documented.splitlines() if not line.strip().startswith(TLS)]
    documented = "\n".join(lines).replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    documented = documented.replace("server_name", f"listen 127.0.0.1:{port};\n    server_name")
    config = server.directory / "nginx.conf"
    config.write_text(FRAME.format(directory=server.directory, documented=documented))
    server.extra = {"TRUSTED_PROXIES": "1", "GRANIAN_BLOCKING_THREADS": "8"}
    with server.running():
        process = subprocess.Popen([str(nginx), "-c", str(config)])
        try:
            time.sleep(0.5)
            yield Server(server.directory, server.database_url, port)
        finally:
            process.terminate()
            process.wait(10)


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
