"""Which address a request comes from."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the IP address of the caller, or `""` for a Unix socket.

    Each proxy appends the address that called it. So with n trusted proxies the n-th entry from the
    right of X-Forwarded-For is true, and all to the left of it is the caller's own word.
    """
    if settings.TRUSTED_PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        try:
            return _canonical(forwarded[-settings.TRUSTED_PROXIES].strip())
        except (IndexError, ValueError):
            pass  # not what that many proxies write
    try:
        return _canonical(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return ""


def caller(address: str) -> str:
    """Return what one caller can be told by: an IPv4 address, or the /64 that IPv6 hands out."""
    return _network(address, ipv4=32, ipv6=64)


def neighbourhood(address: str) -> str:
    """Return the network of one owner: the /24 of an IPv4 address, the /48 of IPv6."""
    return _network(address, ipv4=24, ipv6=48)


def _network(address: str, *, ipv4: int, ipv6: int) -> str:
    """Return the network of an address with that many bits; `""` for a Unix socket."""
    if not address:
        return ""
    bits = ipv6 if ":" in address else ipv4
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def _canonical(text: str) -> str:
    """Return the one form of an address; a socket for both families shows IPv4 as `::ffff:…`."""
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)
