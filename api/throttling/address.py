"""The address of a request, and the networks it belongs to."""

import ipaddress
import logging
import re
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest

# Some proxies add the port of their caller, and brackets, quotes or spaces.
ENTRY = re.compile(
    r""""?(?:
        \[(?P<bracketed>[^\]]*)\](?::\d{1,5})?
        | (?P<ipv4>[\d.]+):\d{1,5}
        | (?P<plain>[^"\s]*)
    )"?""",
    re.VERBOSE | re.ASCII,
)
logger = logging.getLogger("api.throttling")


class UnusableAddressError(BadRequest):
    """A trusted proxy's X-Forwarded-For does not tell who calls. The message is for the caller.

    Counting for the proxy's own address would let one caller lock out all others.
    """


def client_address(request: HttpRequest) -> str:
    """Return the IP address of the caller, or `""` for a Unix socket.

    Each proxy appends the address of its caller to X-Forwarded-For. So with n trusted proxies the
    n-th entry from the right is true. The caller may have invented everything to the left of it.
    Raises `UnusableAddressError`.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
        if forwarded is not None:
            return _forwarded(forwarded, peer)
        logger.warning(
            "%r sent no X-Forwarded-For, but TRUSTED_PROXIES is %d. "
            "All who call through it share one rate limit.",
            *(peer, settings.TRUSTED_PROXIES),
        )
    try:
        return _canonical(peer)
    except ValueError:
        return ""


def caller_network(address: str) -> str:
    """Return the network of one caller: an IPv4 address, or the /64 of an IPv6 address."""
    return _network(address, ipv4=32, ipv6=64)


def owner_network(address: str) -> str:
    """Return the network of one owner: the /24 of an IPv4, or the /48 of an IPv6 address."""
    return _network(address, ipv4=24, ipv6=48)


def _network(address: str, *, ipv4: int, ipv6: int) -> str:
    """Return the network with that prefix length, or `""` for a Unix socket."""
    if not address:
        return ""
    bits = ipv6 if ":" in address else ipv4
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def _forwarded(header: str, peer: str) -> str:
    """Return the address in the header. Raises `UnusableAddressError`.

    Empty entries count: granian hands a line that is not ASCII over as an empty one. Without it, an
    entry that the caller invented could move to the n-th place.
    """
    try:
        entry = ENTRY.fullmatch(header.split(",")[-settings.TRUSTED_PROXIES].strip(" \t"))
        return _canonical(entry[entry.lastgroup or 0] if entry else "")
    except (IndexError, ValueError):
        logger.warning(
            "X-Forwarded-For from %r has no address at place %d from the right, as TRUSTED_PROXIES "
            "demands. Such requests get 400.",
            *(peer, settings.TRUSTED_PROXIES),
        )
        raise UnusableAddressError("The X-Forwarded-For header is not usable.") from None


def _canonical(text: str) -> str:
    """Normalise an address: no zone, and IPv4 where a socket for both shows it as `::ffff:…`.

    Raises `ValueError`.
    """
    return _without_zone(text.partition("%")[0])


@lru_cache(maxsize=1024)
def _without_zone(text: str) -> str:
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)
