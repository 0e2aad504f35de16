"""The address of a request, and the networks it belongs to."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the IP address of the caller, or `""` for a Unix socket.

    Each proxy appends the address of its caller to X-Forwarded-For. So with n trusted proxies the
    n-th entry from the right is true. The caller may have invented everything to the left of it.
    """
    if settings.TRUSTED_PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        try:
            return _canonical(forwarded[-settings.TRUSTED_PROXIES].strip())
        except (IndexError, ValueError):
            pass  # the header lacks entries, or one is no address
    try:
        return _canonical(request.META.get("REMOTE_ADDR", ""))
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


def _canonical(text: str) -> str:
    """Normalise an address: a socket for both families shows IPv4 as `::ffff:…`."""
    address = ipaddress.ip_address(text)
    return str(getattr(address, "ipv4_mapped", None) or address)
