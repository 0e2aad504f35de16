"""Requests as a server hands them over, before Django makes anything of them."""

import codecs
import http.client
import io
import json
import socket
from ast import literal_eval
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit
from wsgiref.util import setup_testing_defaults

import pytest
import requests
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.dispatch import Signal
from django.utils.http import parse_header_parameters
from pytest_django import Settings

from api.tests.support.server import Server, Service
from authdemo.sanitise import sanitise
from authdemo.wsgi import application

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Body(io.BytesIO):
    """A request body that notes how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.fixture(autouse=True)
def _test_transaction_outlives_the_request() -> Iterator[None]:
    """Keep the connection that holds the test's transaction, as Django's own test client does."""
    request_started.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)


def respond(path: str, start_response: Any = lambda _status, _headers: None, **environ: Any) -> Any:
    environ |= {"PATH_INFO": path, "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    return application(environ, start_response)


def send(method: str, path: str, **environ: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON body of an answer."""
    statuses: list[str] = []
    environ["REQUEST_METHOD"] = method
    answer = respond(path, lambda status, _headers: statuses.append(status), **environ)
    return int(statuses[0].split()[0]), json.loads(b"".join(answer))


def test_answer_is_whole_and_closed_when_the_server_gets_it() -> None:
    finished = []
    with receiving(request_finished, lambda **_: finished.append(True)):
        assert respond("/public") == [b'{"message":"Welcome to the public area :)"}']
        assert finished == [True]


def test_file_is_handed_over_piece_by_piece() -> None:
    with closing(respond("/static/api/pages.css")) as response:
        assert not isinstance(response, list)
        assert b"".join(response)


@pytest.mark.parametrize(("debug", "more"), [("false", set()), ("true", {"reset_queries"})])
def test_request_is_begun_and_ended_with_nothing_in_vain(
    server: Server, debug: str, more: set[str]
) -> None:
    server.extra = {"DEBUG": debug}
    code = "import authdemo.wsgi; from api.tests.test_wsgi import receivers; print(receivers())"
    found = literal_eval(server.manage("shell", "--no-imports", "-c", code))
    assert found == {"close_old_connections", *more}


def test_tests_run_in_a_process_like_the_one_that_serves() -> None:
    assert receivers() <= {"close_old_connections"}


def receivers() -> set[str]:
    """Return the names of the functions that are called at the begin and the end of a request."""
    connected = [*request_started.receivers, *request_finished.receivers]
    return {receiver.__name__ for _, reference, *_ in connected if (receiver := reference())}


@contextmanager
def receiving(signal: Signal, receiver: Callable[..., None]) -> Iterator[None]:
    signal.connect(receiver)
    yield
    signal.disconnect(receiver)


@pytest.mark.parametrize(
    "parameter",
    [
        pytest.param("charset=utf-16", id="utf-16"),
        pytest.param("charset=utf-7", id="utf-7"),
        pytest.param("charset=ISO-8859-1", id="latin-1"),
        pytest.param("charset=windows-1252", id="windows-1252"),
        pytest.param("charset=rot13", id="rot13"),
        pytest.param("charset=bz2", id="bz2"),
        pytest.param("charset=idna", id="idna"),
        pytest.param("charset=utf-9", id="unknown"),
        pytest.param("charset=", id="empty"),
        pytest.param("charset=\xff", id="not-ascii"),
        pytest.param("charset=a\0b", id="nul"),
        pytest.param('charset="utf-8;x"', id="quoted-semicolon"),
        pytest.param('charset="utf-8', id="unfinished-quote"),
        pytest.param('x="a;charset=rot13"', id="hidden-in-a-quote"),
        pytest.param("charset = rot13", id="spaces"),
        pytest.param("x*=bogus''%41", id="rfc-2231"),
        pytest.param("charset*=rot13''%41", id="rfc-2231-charset"),
    ],
)
@pytest.mark.parametrize("media_type", [JSON, FORM])
def test_parameters_of_the_content_type_are_ignored(
    credentials: dict[str, str], media_type: str, parameter: str
) -> None:
    content_type = f"{media_type}; {parameter}"
    form = {"grant_type": "client_credentials", **credentials}
    body = (json.dumps(form) if media_type == JSON else urlencode(form)).encode()
    sent = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    assert send("POST", "/login", CONTENT_TYPE=content_type, **sent)[0] == 200
    status, _ = send("GET", "/public", CONTENT_TYPE=content_type, QUERY_STRING="a=%ff")
    assert status == 200


@pytest.mark.django_db
@pytest.mark.parametrize("media_type", [JSON, FORM])
def test_body_that_is_not_utf_8_is_400_whatever_charset_it_names(media_type: str) -> None:
    body = b'{"client_id": "\xfc"}' if media_type == JSON else b"client_id=%FC"
    sent = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    answer = send("POST", "/login", CONTENT_TYPE=f"{media_type}; charset=ISO-8859-1", **sent)
    description = "The request body is not UTF-8."
    assert answer == (400, {"error": "invalid_request", "error_description": description})


@pytest.mark.django_db
def test_long_content_type_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(value: str) -> Any:
        assert ";" not in value, "Django's parser takes time with the square of the length."
        return parse_header_parameters(value)

    for module in ("django.http.request", "rest_framework.utils.mediatypes"):
        monkeypatch.setattr(f"{module}.parse_header_parameters", parse)
    body = {"wsgi.input": io.BytesIO(b"{}"), "CONTENT_LENGTH": "2"}
    assert send("POST", "/login", CONTENT_TYPE=JSON + ";" * 250, **body)[0] == 400


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https", "HTTPS, http", " HTTPS "])
def test_scheme_that_a_proxy_names_is_read_in_any_case(settings: Settings, scheme: str) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    environ: dict[str, Any] = {"HTTP_X_FORWARDED_PROTO": scheme}
    setup_testing_defaults(environ)
    sanitise(environ)
    assert WSGIRequest(environ).is_secure()


@pytest.fixture
def looked_up() -> Iterator[list[str]]:
    """The names that Python knows no codec of: it searches its files for each, and keeps it."""
    names: list[str] = []
    search = names.append
    codecs.register(search)
    yield names
    codecs.unregister(search)


PART = b"--b\r\nContent-Disposition: form-data; name=a; x*=made-up''a\r\n\r\n\r\n--b--\r\n"


@pytest.mark.parametrize("path", ["/livez", "/login", "/docs", "/admin/login/", "/nowhere"])
@pytest.mark.parametrize(
    ("header", "value"),
    [
        pytest.param("HTTP_ACCEPT", "text/html, a/b;x*=made-up''a", id="accept"),
        pytest.param("HTTP_ACCEPT", "text/html;q=1;x*0*=made-up''a, a/b", id="accept-continued"),
        pytest.param("CONTENT_TYPE", f"{JSON};charset=made-up", id="charset"),
        pytest.param("CONTENT_TYPE", f"{JSON};x*=made-up''a", id="content-type"),
        pytest.param("HTTP_CONTENT_TYPE", f"{JSON};charset*=made-up''a", id="underscore"),
        pytest.param("CONTENT_TYPE", "multipart/form-data; boundary=b", id="part"),
    ],
)
@pytest.mark.django_db
def test_no_codec_of_a_caller_is_looked_up(
    looked_up: list[str], path: str, header: str, value: str
) -> None:
    sent = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": io.BytesIO(PART),
        "CONTENT_LENGTH": str(len(PART)),
    }
    sent |= {"HTTP_COOKIE": f"csrftoken={'a' * 32}", header: value}
    respond(path, **sent)
    assert looked_up == []


@pytest.mark.django_db
def test_no_cookie_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python before 3.11.10 parses backslashes in a quoted value in quadratic time."""
    parsed = []

    def parse_cookie(header: str) -> dict[str, str]:
        parsed.append(header)
        return {}

    monkeypatch.setattr("django.core.handlers.wsgi.parse_cookie", parse_cookie)
    respond("/admin/login/", HTTP_COOKIE='theme=dark; sessionid="\\\\a\\""')
    assert parsed == ['theme=dark; sessionid="a""']


LONG = f"http://localhost/{'x' * 100_000}"


@pytest.mark.parametrize(
    ("path", "sent", "url"),
    [
        pytest.param("/admin/login/", {"HTTP_ORIGIN": LONG}, LONG, id="origin"),
        pytest.param("/admin/login/", {"HTTP_REFERER": LONG}, LONG, id="referer"),
        pytest.param("/docs", {"QUERY_STRING": LONG}, f"///docs?{LONG}", id="query"),
    ],
)
@pytest.mark.django_db
def test_no_long_url_of_a_caller_is_kept(path: str, sent: dict[str, str], url: str) -> None:
    kept: Any = urlsplit
    kept.cache_clear()
    sent |= {"wsgi.url_scheme": "https", "HTTP_ACCEPT": "text/html"}
    respond(path, REQUEST_METHOD="GET" if path == "/docs" else "POST", **sent)
    hits = kept.cache_info().hits
    kept(url)  # remembers the last 128 that it was given
    assert kept.cache_info().hits == hits


@pytest.mark.django_db
@pytest.mark.parametrize("length", ["10000000", "9" * 5000])
def test_upload_is_read_no_further_than_64_kib(length: str) -> None:
    body = Body(b"--x\r\n" + b" " * 10_000_000)
    form = {"CONTENT_TYPE": "multipart/form-data; boundary=x", "CONTENT_LENGTH": length}
    environ = {"wsgi.input": body, "REQUEST_METHOD": "POST", "PATH_INFO": "/admin/login/", **form}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    application(environ, lambda status, _headers: statuses.append(status))
    assert statuses[0].split()[0] in {"400", "403"}
    assert body.taken <= 64 * 1024 + 1


def test_body_of_unknown_length_is_read(credentials: dict[str, str]) -> None:
    sent = {"wsgi.input": io.BytesIO(json.dumps(credentials).encode())}
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert send("POST", "/login", CONTENT_TYPE=JSON, **sent, **chunked)[0] == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login", "/register", "/introspect", "/revoke"])
@pytest.mark.parametrize(
    "length",
    [{"CONTENT_LENGTH": "10000000"}, {"wsgi.input_terminated": True}],
    ids=["known", "unknown"],
)
def test_body_of_10_mb_is_413_and_read_no_further_than_64_kib(
    path: str, length: dict[str, Any]
) -> None:
    body = Body(b" " * 10_000_000)
    description = "The request body is larger than 64 KiB."
    answer = send("POST", path, CONTENT_TYPE=JSON, **{"wsgi.input": body}, **length)
    assert answer == (413, {"error": "invalid_request", "error_description": description})
    assert body.taken == 64 * 1024 + 1


@pytest.mark.django_db
@pytest.mark.parametrize("length", ["-1", "x", "", "1e3", "99999999999999999999"])
def test_length_that_is_none_or_a_lie_is_400(length: str) -> None:
    sent = {"wsgi.input": io.BytesIO(b"{"), "CONTENT_LENGTH": length}
    status, body = send("POST", "/login", CONTENT_TYPE=JSON, **sent)
    assert (status, body["error"]) == (400, "invalid_request")


# What the real server lets through


def raw(service: Service, head: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """Send bytes, say no more, and return the status and the body of the answer."""
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("localhost", port), timeout=10) as connection:
        connection.sendall(head + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n" + body)
        with closing(http.client.HTTPResponse(connection)) as response:
            response.begin()
            return response.status, response.read()


@pytest.mark.parametrize("way", ["known", "chunked"])
def test_10_mb_are_refused(service: Service, way: str) -> None:
    data = b" " * 10_000_000
    body = iter([data]) if way == "chunked" else data
    headers = {"Content-Type": "application/json"}
    try:
        response = requests.post(f"{service.url}/login", body, headers=headers, timeout=10)
    except requests.ConnectionError:
        pass  # the server answered and hung up before it was all sent, as it may
    else:
        description = "The request body is larger than 64 KiB."
        expected = {"error": "invalid_request", "error_description": description}
        assert (response.status_code, response.json()) == (413, expected)
    assert requests.get(f"{service.url}/public", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("head", "body", "statuses"),
    [
        pytest.param(
            b"POST /login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: -1",
            b"",
            {400},
            id="negative-length",
        ),
        pytest.param(
            b"POST /login HTTP/1.1\r\nContent-Type: application/json; x*=bogus''%41\r\n"
            b"Content-Length: 2",
            b"{}",
            {400},
            id="malformed-media-type",
        ),
        pytest.param(
            b"GET /private?a=%ff HTTP/1.1\r\nContent-Type: text/plain; charset=rot13",
            b"",
            {403},
            id="codec-that-is-no-charset",
        ),
        pytest.param(
            b"GET /private HTTP/1.1\r\nAuthorization: Bearer " + b"a" * 1_000_000,
            b"",
            {401, 431},
            id="1-MB-token",
        ),
        pytest.param(
            b"GET /private HTTP/1.1\r\nAuthorization: Bearer " + b"a" * 100_000,
            b"",
            {401, 431},
            id="100-kB-token",
        ),
        pytest.param(
            b"GET /private HTTP/1.1\r\nAuthorization: Bearer \xff\xfe",
            b"",
            {401},
            id="not-ascii",
        ),
        pytest.param(b"GET /%00%ff%c0 HTTP/1.1", b"", {404}, id="path-not-utf-8"),
        pytest.param(b"GET //login HTTP/1.1", b"", {404}, id="double-slash"),
        pytest.param(b"GET /public?%00=%ff&&;= HTTP/1.1", b"", {200}, id="query-not-utf-8"),
        pytest.param(b"BREW /public HTTP/1.1", b"", {405}, id="unknown-method"),
        pytest.param(b"GET /public HTTP/1.1\r\nHost: evil.example", b"", {400}, id="two-hosts"),
        pytest.param(b"GET http://evil.example/public HTTP/1.1", b"", {200, 400}, id="absolute"),
        pytest.param(b"OPTIONS * HTTP/1.1", b"", {200, 400, 404}, id="asterisk"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", b"", {400}, id="tls"),
    ],
)
def test_strange_request_is_never_an_error_of_ours(
    service: Service, head: bytes, body: bytes, statuses: set[int]
) -> None:
    assert raw(service, head, body)[0] in statuses
    assert requests.get(f"{service.url}/public", timeout=5).status_code == 200
