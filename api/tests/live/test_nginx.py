"""`deploy/nginx.conf` with TLS in front of two services, over HTTP/1.1 and HTTP/2."""

import json
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from api.tests.support.curl import curl
from api.tests.support.nginx import Nginx, documented_config, make_certificate
from api.tests.support.server import Server
from api.tests.support.services import eventually

VERSIONS = ("--http1.1", "--http2")
ALONE = "server 127.0.0.1:8000;"


@dataclass
class Front:
    """Two services on one database behind nginx, and a client of theirs."""

    services: list[Server]
    nginx: Nginx
    client_id: str
    secret: str

    @property
    def url(self) -> str:
        return self.services[0].environment["PUBLIC_URL"]

    @property
    def certificate(self) -> str:
        return str(self.nginx.certificate)

    def curl(self, path: str, *arguments: str) -> tuple[int, Any]:
        return curl("--cacert", self.certificate, *arguments, f"{self.url}{path}")

    def log_in(self, version: str) -> str:
        credentials = ("--user", f"{self.client_id}:{self.secret}")
        grant = ("--data", "grant_type=client_credentials")
        status, body = self.curl("/login", version, *credentials, *grant)
        assert status == 200, body
        return str(body["access_token"])


def config(first: Server, second: Server, *, down: bool = False) -> str:
    """Return the configuration for two services; the first is taken out if it is `down`."""
    both = f"server 127.0.0.1:{first.port}{' down' * down}; server 127.0.0.1:{second.port};"
    documented, _ = documented_config()
    assert ALONE in documented
    return documented.replace(ALONE, both).replace("$host;", "$host:$server_port;")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Front]:
    first = Server.with_copy(tmp_path_factory.mktemp("first"), migrated)
    second = Server(tmp_path_factory.mktemp("second"), first.database_url)
    nginx = Nginx(
        directory=first.directory,
        config=config(first, second, down=True),
        behind=0,
        certificate=make_certificate(first.directory),
    )
    for service in (first, second):
        service.extra = {"PUBLIC_URL": f"https://localhost:{nginx.port}", "TRUSTED_PROXIES": "1"}
        service.extra |= {"DRAIN_SECONDS": "0", "GRANIAN_BLOCKING_THREADS": "8"}
    made = json.loads(first.manage("createclient", "billing"))
    with second.running(), nginx.running():
        yield Front([first, second], nginx, made["client_id"], made["client_secret"])


def serve(service: Server) -> tuple[str, ...]:
    return ("manage.py", "serve", "--port", str(service.port))


@pytest.mark.parametrize("version", VERSIONS)
def test_client_logs_in_and_calls(front: Front, version: str) -> None:
    token = front.log_in(version)
    status, private = front.curl("/private", version, "--header", f"Authorization: Bearer {token}")
    assert (status, private["iss"], private["sub"]) == (200, front.url, front.client_id)


@pytest.mark.parametrize("version", VERSIONS)
def test_large_token_reaches_the_service(front: Front, version: str) -> None:
    header = f"Authorization: Bearer {'a' * 8 * 1024}"
    status, body = front.curl("/private", version, "--header", header)
    assert (status, body["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For: 192.0.2.1",
        "X_Forwarded_For: 192.0.2.1",
        "X-Forwarded-For: 192.0.2.1, 192.0.2.2",
        "Forwarded: for=192.0.2.1;proto=http",
        "X-Forwarded-Proto: http",
        "X_Forwarded_Proto: http",
        "X-Forwarded-Host: evil.example",
        "X_Forwarded_Host: evil.example",
    ],
)
def test_forged_header_changes_nothing(front: Front, version: str, header: str) -> None:
    who = f"{version} {header}"
    wrong = json.dumps({"client_id": who, "client_secret": "wrong"})
    sent = ("--header", header, "--json", wrong)
    status, body = front.curl("/login", version, *sent)
    assert (status, body["error"]) == (401, "invalid_client")
    assert f'login_failed client="{who}" address="127.0.0.1"' in front.services[1].log
    assert front.curl("/", version, "--header", header)[1]["jwks"].startswith(front.url)


def test_slow_bodies_delay_nobody(front: Front) -> None:
    unfinished = (
        f"POST /login HTTP/1.1\r\nHost: localhost:{front.nginx.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    trust = ssl.create_default_context(cafile=front.certificate)
    with ExitStack() as callers:
        for _ in range(40):
            plain = socket.create_connection(("127.0.0.1", front.nginx.port))
            caller = callers.enter_context(trust.wrap_socket(plain, server_hostname="localhost"))
            caller.sendall(unfinished.encode())
        assert front.curl("/livez") == (200, {"status": "ok"})
        assert front.log_in("--http2")


def test_service_is_replaced_without_a_lost_request(front: Front) -> None:
    """It is taken out of nginx first. So no request is on its way to it when it stops."""
    first, second = front.services
    answers: Counter[tuple[str, int]] = Counter()
    stop = threading.Event()

    def work() -> None:
        with requests.Session() as session:
            session.trust_env, session.verify = False, front.certificate
            # nginx closes idle connections when it reloads, perhaps just as a request is sent.
            session.headers["Connection"] = "close"
            while not stop.is_set():
                form = {"grant_type": "client_credentials"}
                credentials = (front.client_id, front.secret)
                login = session.post(f"{front.url}/login", form, auth=credentials, timeout=20)
                answers["login", login.status_code] += 1
                bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
                call = session.get(f"{front.url}/private", headers=bearer, timeout=20)
                answers["call", call.status_code] += 1

    def served(service: Server, more: int) -> None:
        """Wait until a service has served more logins."""
        before = service.log.count("token_issued")
        eventually(lambda: service.log.count("token_issued") >= before + more, 30)

    workers = [threading.Thread(target=work) for _ in range(3)]
    with ExitStack() as until_replaced, ExitStack() as successor:
        process = until_replaced.enter_context(first.running(serve(first)))
        front.nginx.reload(config(first, second))
        for worker in workers:
            worker.start()
        served(first, 10)
        front.nginx.reload(config(first, second, down=True))
        until_replaced.close()
        assert process.returncode == 0
        served(second, 10)
        successor.enter_context(first.running(serve(first)))
        front.nginx.reload(config(first, second))
        served(first, 10)
        stop.set()
        for worker in workers:
            worker.join()
        front.nginx.reload(config(first, second, down=True))
    assert answers.keys() == {("login", 200), ("call", 200)}


def test_client_id_in_a_path_may_be_a_url(front: Front) -> None:
    client_id = "https://app.example.com//b"
    front.services[0].manage("createclient", client_id)
    manager = json.loads(front.services[0].manage("createclient", "--scope", "clients:read"))
    credentials = ("--user", f"{manager['client_id']}:{manager['client_secret']}")
    _, login = front.curl("/login", *credentials, "--data", "grant_type=client_credentials")
    token = ("--header", f"Authorization: Bearer {login['access_token']}")
    once = quote(client_id, safe="")
    for version in VERSIONS:
        for path in (once, quote(once)):
            status, shown = front.curl(f"/clients/{path}", version, *token)
            assert (status, shown["client_id"]) == (200, client_id)
