"""Fetching from other servers: what is accepted, when it ends, and where it may connect."""

import datetime
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api import fetch
from api.fetch import TOO_SLOW, Deadline, FetchError, check_url, fetch_json
from api.tests.support.raw_server import Answer, RawServer, drip, hang, respond

OK = b"HTTP/1.1 200 OK\r\n"
NOT_JSON = "The response is not JSON."
NOT_PUBLIC = "The server's address is not public; mark the issuer as internal to allow it."


def outcome(url: str, *, is_internal: bool = False, seconds: float = 30) -> dict[str, Any] | str:
    """Return the document, or the sentence that says why there is none."""
    try:
        return fetch_json(url, is_internal=is_internal, deadline=Deadline(seconds))
    except FetchError as error:
        return str(error)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(respond(b'{"a": 1}'), {"a": 1}, id="an object"),
        pytest.param(respond(b"[1]"), "The response is not a JSON object.", id="an array"),
        pytest.param(respond(b"<html>"), NOT_JSON, id="HTML"),
        pytest.param(respond(b'"\xff"'), NOT_JSON, id="not UTF-8"),
        pytest.param(respond(b"[" * 100_000), NOT_JSON, id="nested too deep"),
        pytest.param(
            respond(b'{"a":"' + b"x" * 5_000_000 + b'"}'),
            "The response is larger than 256 KiB.",
            id="5 MB",
        ),
        pytest.param(
            drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
            "The response is larger than 256 KiB.",
            id="endless chunks",
        ),
        pytest.param(
            respond(b"{}", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
            "The server responded with status 302, not 200.",
            id="a redirect",
        ),
        pytest.param(
            respond(b"{}", "500 Oops"), "The server responded with status 500, not 200.", id="500"
        ),
        pytest.param(
            lambda near, ended: near.sendall(b"SSH-2.0-OpenSSH\r\n"),
            "The server's response is not HTTP, or broke off.",
            id="not HTTP",
        ),
        pytest.param(
            lambda near, ended: near.sendall(OK + b"Content-Length: 9\r\n\r\n{"),
            "The server's response is not HTTP, or broke off.",
            id="broken off",
        ),
    ],
)
def test_only_a_small_json_object_is_accepted(
    answer: Answer, expected: dict[str, Any] | str
) -> None:
    with RawServer(answer).running() as server:
        assert outcome(server.url) == expected
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hang, id="hangs"),
        pytest.param(drip(OK + b"X-Slow: "), id="headers drip"),
        pytest.param(drip(OK + b"Content-Length: 99999\r\n\r\n"), id="body drips"),
        pytest.param(drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), id="endless early hints"),
    ],
)
def test_one_deadline_covers_every_step(answer: Answer) -> None:
    with RawServer(answer).running() as server:
        assert outcome(server.url, seconds=0.5) == TOO_SLOW


def test_an_unreachable_server_is_named_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert outcome(f"http://127.0.0.1:{port}/") == "The server cannot be reached."
    assert outcome("https://no-such-host.invalid/") == "The server cannot be reached."
    assert outcome(f"https://{'x' * 64}.example/") == "The server cannot be reached."


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://issuer.example", id="http"),
        pytest.param("http://localhost.issuer.example", id="not quite localhost"),
        pytest.param("http://10.0.0.1", id="http to a private address"),
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("ftp://issuer.example", id="ftp"),
        pytest.param("//issuer.example", id="no scheme"),
        pytest.param("https://", id="no host"),
        pytest.param("https://user:word@issuer.example", id="credentials"),
        pytest.param("https://issuer.example#there", id="a fragment"),
        pytest.param("https://issuer.example:port", id="a port that is none"),
        pytest.param("https://[::1", id="a broken IPv6 address"),
        pytest.param("https://issuér.example", id="not ASCII"),
        pytest.param("https://issuer.example/a b", id="a space"),
        pytest.param("https://issuer.example/\r\nX: y", id="a header in the path"),
    ],
)
def test_only_https_urls_are_fetched(url: str) -> None:
    with pytest.raises(FetchError, match=r"The URL (is malformed|must begin with https://)\."):
        check_url(url)


def test_http_is_good_only_for_loopback_and_only_while_local(settings: Any) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        check_url(f"http://{host}:8000")
    settings.IS_LOCAL = False
    with pytest.raises(FetchError, match="must begin with https"):
        check_url("http://localhost:8000")


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that says to which addresses every name resolves, one list per lookup."""
    lookups: list[str] = []
    real = socket.getaddrinfo

    def set_answers(*answers: list[str]) -> list[str]:
        left = list(answers)

        def getaddrinfo(host: str, port: int, *more: Any, **options: Any) -> list[Any]:
            if not host.endswith(".example"):
                return real(host, port, *more, **options)
            lookups.append(host)
            addresses = left.pop(0) if len(left) > 1 else left[0]
            family = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
            return [
                (kind, socket.SOCK_STREAM, 6, "", (one, port))
                for kind, one in zip(family, addresses, strict=True)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return lookups

    return set_answers


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254"),
        *("0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1", "ff02::1"),  # noqa: S104
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fe80::1%lo"),
        *("::ffff:100.100.100.200", "::ffff:0:a00:1", "::a00:1", "64:ff9b:1::a00:1", "fec0::1"),
    ],
)
def test_an_address_that_is_not_public_is_refused(
    address: str, resolve: Callable[..., list[str]], settings: Any
) -> None:
    settings.IS_LOCAL = False
    resolve([address])
    assert outcome("https://issuer.example/") == NOT_PUBLIC


def test_a_name_is_resolved_once_so_it_cannot_change_after_the_check(
    resolve: Callable[..., list[str]], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.IS_LOCAL = False
    public = ["8.8.8.8", "2606:4700::1111"]
    connected: list[Any] = []

    def connect(address: Any, *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    lookups = resolve(["127.0.0.1", "192.0.2.255", "203.0.113.7", *public], ["127.0.0.1"])
    assert outcome("https://issuer.example/") == "The server cannot be reached."
    assert (lookups, connected) == (["issuer.example"], [(one, 443) for one in public])


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(respond(b"{}")).running() as server, RawServer(hang).running() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert outcome(server.url) == {}
    assert proxy.requests == []


@pytest.fixture
def certified(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of `issuer.example`, and the context of a server that has it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("issuer.example")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer.example")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    file, encoding = tmp_path / "issuer.pem", serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(encoding) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


@pytest.mark.parametrize(
    ("host", "is_trusted", "expected"),
    [
        ("issuer.example", True, {}),
        ("issuer.example", False, "The server's certificate is not trusted."),
        ("other.example", True, "The server's certificate is not trusted."),
    ],
)
def test_the_certificate_must_be_trusted_and_name_the_host(
    host: str,
    is_trusted: bool,
    expected: dict[str, Any] | str,
    certified: tuple[Path, ssl.SSLContext],
    resolve: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, context = certified
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    fetch._ssl_context.cache_clear()
    resolve(["127.0.0.1"])
    with RawServer(respond(b"{}"), tls=context).running() as server:
        assert outcome(f"https://{host}:{server.port}/", is_internal=True) == expected
    fetch._ssl_context.cache_clear()
