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
        forwarded = request.headers.get("X-Forwarded-For", "").split(",")
        try:
            return _canonical(forwarded[-settings.TRUSTED_PROXIES].strip())
        except (IndexError, ValueError):
            pass  # not what that many proxies write
    try:
        return _canonical(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return ""


def network(address: str) -> str:
    """Return what one caller can be told by: an IPv4 address, or the /64 that IPv6 hands out."""
    try:
        if ipaddress.ip_address(address).version == 6:
            return str(ipaddress.ip_network(f"{address}/64", strict=False))
    except ValueError:
        pass
    return address


def _canonical(text: str) -> str:
    """Return the one form of an address; a socket for both families shows IPv4 as `::ffff:…`."""
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)
