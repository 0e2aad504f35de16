"""The nginx of `deploy/nginx.conf`, in front of the service."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlencode

import pytest
import requests

from api.tests.support.load import call, log_in
from api.tests.support.nginx import Nginx, documented_config
from api.tests.support.responses import bearer
from api.tests.support.server import PROJECT, Server
from api.token_backend import MAX_LENGTH


@contextmanager
def behind_nginx(server: Server, change: tuple[str, str] = ("", "")) -> Iterator[Server]:
    """Yield the service behind nginx, without TLS; its port is nginx's.

    `change` is a text of the documented configuration, and what stands in its place.
    """
    config, _ = documented_config()
    old, new = change
    assert old in config
    config = config.replace(old, new, 1)
    nginx = Nginx(directory=server.directory, config=config, behind=server.port)
    server.extra = {"TRUSTED_PROXIES": "1", "GRANIAN_BLOCKING_THREADS": "8"}
    with server.running(), nginx.running():
        yield Server(server.directory, server.database_url, nginx.port)


@pytest.fixture
def front(server: Server) -> Iterator[Server]:
    with behind_nginx(server) as front:
        yield front


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


def test_token_that_is_not_ascii_is_a_bad_token(front: Server) -> None:
    answer = call(front, "/private", {"Authorization": "Bearer é"})
    assert (answer.status, answer.body["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param("theme=blå; access_token={}", id="before"),
        pytest.param("access_token={}; theme=blå", id="behind"),
        pytest.param("blå=1;access_token={};b=\xc3\xa5; c=é", id="several, no spaces"),
        pytest.param("a=1; access_token={}; b=2", id="ASCII"),
    ],
)
def test_cookie_that_is_not_ascii_signs_nobody_out(front: Server, cookie: str) -> None:
    made = json.loads(front.manage("createclient"))
    token = log_in(front, made["client_id"], made["client_secret"]).body["access_token"]
    answer = call(front, "/private", {"Cookie": cookie.format(token)})
    assert (answer.status, answer.body.get("sub")) == (200, made["client_id"])


def test_cookie_that_is_not_ascii_keeps_nobody_out_of_the_admin(front: Server) -> None:
    front.shell("User.objects.create_superuser('boss', password='the right one')")
    form = {"username": "boss", "password": "the right one", "csrfmiddlewaretoken": "a" * 32}
    signed_in = requests.post(
        f"{front.url}/admin/login/?next=/admin/",
        form,
        headers={"Cookie": f"theme=blå; csrftoken={'a' * 32}"},
        allow_redirects=False,
        timeout=10,
    )
    session = signed_in.cookies["sessionid"]
    headers = {"Cookie": f"theme=blå; sessionid={session}; ü=1"}
    assert call(front, "/admin/", headers).status == 200


def test_caller_behind_a_load_balancer_and_nginx_is_counted(server: Server) -> None:
    real_ip = "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; real_ip_recursive on;"
    with behind_nginx(server, ("server_name", f"{real_ip} server_name")) as front:
        sent = {"X-Forwarded-For": "é, 198.51.100.7"}
        assert log_in(front, "foo", "wrong", sent).status == 401
    assert 'login_failed client="foo" address="198.51.100.7"' in server.log


APPENDING = ("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for")


def test_what_granian_loses_is_refused_and_never_counted_for_the_proxy(server: Server) -> None:
    with behind_nginx(server, APPENDING) as front:
        for number in range(12):
            refused = log_in(front, "foo", "wrong", {"X-Forwarded-For": f"é{number}"})
            assert (refused.status, refused.body["error"]) == (400, "invalid_request")
        assert log_in(front, "foo", "wrong", {"X-Forwarded-For": "203.0.113.66"}).status == 401
    assert server.log.count("X-Forwarded-For from '127.0.0.1' has no address at place 1") == 1
    assert server.log.count('login_failed client="foo" address="127.0.0.1"') == 1


def test_health_check_of_the_container_fails_unless_the_service_is_ready(server: Server) -> None:
    containerfile = (PROJECT / "deploy" / "Containerfile").read_text()
    (code,) = re.findall(r'^HEALTHCHECK .*"-c", \\\n +"(.*)"\]$', containerfile, re.MULTILINE)
    assert "127.0.0.1:8000/" in code
    check = [sys.executable, "-c", code.replace("8000", str(server.port))]

    def is_healthy() -> bool:
        return subprocess.run(check, check=False, capture_output=True).returncode == 0

    assert not is_healthy()
    with server.running():
        assert is_healthy()
        server.shell("from api.models import SigningKey; SigningKey.objects.all().delete()")
    with server.running():
        assert not is_healthy()
