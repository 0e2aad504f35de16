"""A public service on granian, called as proxies and load balancers call it."""

import http.client
from collections.abc import Mapping

import pytest

from api.tests.support.load import call
from api.tests.support.server import Server

NAME = "auth.example.com"


@pytest.fixture
def public(server: Server) -> Server:
    server.extra = {
        "PUBLIC_URL": f"https://{NAME}",
        "ALLOWED_HOSTS": "auth.internal",
        "TRUSTED_PROXIES": "1",
        "GRANIAN_BLOCKING_THREADS": "8",
    }
    return server


def status(server: Server, path: str, headers: Mapping[str, str]) -> int:
    return call(server, path, headers).status


@pytest.mark.parametrize("prefix", ["", "/auth"])
def test_public_service_behind_a_proxy(public: Server, prefix: str) -> None:
    public.extra["PUBLIC_URL"] += prefix
    page = f"{prefix}/public"
    with public.running():
        for path in ("/livez", "/readyz", f"{prefix}/readyz"):
            for host in ("10.0.0.7:8000", "evil.example", "localhost"):
                assert status(public, path, {"Host": host}) == 200
        for scheme in ("https", "HTTPS", "Https"):
            for host in (NAME, "auth.internal"):
                headers = {"Host": host, "X-Forwarded-Proto": scheme}
                assert status(public, page, headers) == 200
        for host in ("evil.example", "other.example", "evil.example"):
            headers = {"Host": host, "X-Forwarded-Proto": "https"}
            assert status(public, page, headers) == 400
        for _ in range(3):
            assert status(public, page, {"Host": NAME}) == 301
    for host in ("evil.example", "other.example"):
        assert public.log.count(f"Invalid HTTP_HOST header: '{host}'") == 1
    assert public.log.count("TRUSTED_PROXIES is 1, but no X-Forwarded-Proto came.") == 1


def test_address_comes_in_several_lines_and_with_a_port(public: Server) -> None:
    forwarded = {
        "203.0.113.9": ["192.0.2.66", "203.0.113.9:41000"],
        "2001:db8::7": ["é", '"[2001:db8::7]:443"'],
    }
    with public.running():
        for lines in forwarded.values():
            connection = http.client.HTTPConnection("localhost", public.port, timeout=10)
            connection.putrequest("POST", "/login", skip_host=True)
            body = b'{"client_id": "foo", "client_secret": "wrong"}'
            for name, value in {
                "Host": NAME,
                "X-Forwarded-Proto": "https",
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
            }.items():
                connection.putheader(name, value)
            for line in lines:
                connection.putheader("X-Forwarded-For", line)
            connection.endheaders(body)
            assert connection.getresponse().status == 401
            connection.close()
    for address in forwarded:
        assert f'login_failed client="foo" address="{address}"' in public.log
