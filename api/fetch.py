"""Fetch a JSON document from another server, which may hang, redirect or send far too much.

One deadline covers connecting, TLS and reading, so a slow drip ends too. The name is resolved once,
and the connection goes to the address that was checked. Proxies from the environment are not used.
"""

import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpcore2
from django.conf import settings

DEADLINE = 3.0  # seconds
MAX_BYTES = 256 * 1024
TOO_SLOW = f"The server took longer than {DEADLINE:.0f} s."
# All public IPv6 addresses are in the first. Others can stand for private IPv4 addresses, and so
# can those in the second (RFC 4291 §2.4 and §2.5.5, RFC 6052 §2.1, RFC 3056 §2).
_UNICAST, _6TO4 = map(ipaddress.ip_network, ("2000::/3", "2002::/16"))
_URL = re.compile(r"[!-~]+")
_HEADERS = (
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", "authdemo"),
)
_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
    OSError,  # the name is unknown
    ValueError,  # the name or the JSON is malformed
    RecursionError,
)


class FetchError(Exception):
    """The fetch failed. The message tells a person why, and repeats nothing received."""


class Deadline:
    """The moment when a fetch must have ended."""

    def __init__(self, seconds: float = DEADLINE) -> None:
        self._ends_at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, 0 if none."""
        return max(0.0, self._ends_at - time.monotonic())

    def timeout(self) -> float:
        """Return the seconds that are left. Raises `httpcore2.ReadTimeout` if none."""
        if seconds := self.left():
            return seconds
        raise httpcore2.ReadTimeout


def check_url(url: str) -> None:
    """Refuse a URL that is not https; a local service accepts http too, for a loopback host.

    Raises `FetchError`.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise FetchError("The URL is malformed.") from None
    if not host or parts.fragment or "@" in parts.netloc or not _URL.fullmatch(url):
        raise FetchError("The URL is malformed.")
    if parts.scheme == "http" and settings.IS_LOCAL and _is_loopback(host):
        return
    if parts.scheme != "https":
        raise FetchError("The URL must begin with https://.")


def fetch_json(url: str, *, is_internal: bool, deadline: Deadline) -> dict[str, Any]:
    """Return the JSON object at a URL. Raises `FetchError`.

    An address that is not public is refused, unless the server `is_internal`.
    """
    check_url(url)
    backend = _Backend(deadline, is_internal=is_internal)
    try:
        with (
            httpcore2.ConnectionPool(_ssl_context(), network_backend=backend) as pool,
            pool.stream("GET", url, headers=_HEADERS) as response,
        ):
            if response.status != 200:
                raise FetchError(f"The server responded with status {response.status}, not 200.")
            body = b""
            for chunk in response.iter_stream():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise FetchError("The response is larger than 256 KiB.")
        document = json.loads(body)
    except httpcore2.TimeoutException:
        raise FetchError(TOO_SLOW) from None
    except _ERRORS as error:
        raise FetchError(_reason(error)) from error
    if not isinstance(document, dict):
        raise FetchError("The response is not a JSON object.")
    return document


class _Backend(httpcore2.NetworkBackend):
    """Connects to addresses that are allowed, and only until the deadline."""

    def __init__(self, deadline: Deadline, *, is_internal: bool) -> None:
        self._deadline, self._is_internal = deadline, is_internal
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        allowed = [one for one in addresses if self._is_internal or _is_allowed(one)]
        if not allowed:
            raise FetchError(
                "The server's address is not public; mark the issuer as internal to allow it."
            )
        for tries_left in range(len(allowed), 0, -1):
            try:
                stream = self._backend.connect_tcp(
                    allowed[-tries_left], port, self._deadline.timeout() / tries_left
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore2.NetworkStream):
    """A connection whose every step has only the time that is left."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.timeout())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.timeout())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.timeout())
        except httpcore2.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise FetchError("The server's certificate is not trusted.") from error
            raise
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@lru_cache(maxsize=1)
def _ssl_context() -> ssl.SSLContext:
    """Trust the authorities of the machine. Loading them takes 20 ms."""
    return httpcore2.default_ssl_context()


def _is_allowed(address: str) -> bool:
    """Tell whether an address is public; a local service accepts loopback addresses too."""
    ip = ipaddress.ip_address(address)
    if settings.IS_LOCAL and ip.is_loopback:
        return True
    if ip.version == 6 and (ip not in _UNICAST or ip in _6TO4):
        return False
    return ip.is_global and not ip.is_multicast


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    match error:
        case json.JSONDecodeError() | UnicodeDecodeError() | RecursionError():
            return "The response is not JSON."
        case httpcore2.ProtocolError() | httpcore2.ReadError():
            return "The server's response is not HTTP, or broke off."
    return "The server cannot be reached."
