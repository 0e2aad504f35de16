"""Check where the service is, and what its names, its proxies and its browsers are told."""

from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.core import checks
from django.urls import is_valid_path


@checks.register(checks.Tags.security)
def check_public_url(**_kwargs: Any) -> list[checks.CheckMessage]:
    if settings.IS_LOCAL or settings.PUBLIC_URL.startswith("https://"):
        return []
    return [
        checks.Error(
            "PUBLIC_URL is http: secrets and tokens would cross the network in the clear.",
            hint="Serve over https, and set PUBLIC_URL to the https address.",
            id="api.E002",
        )
    ]


@checks.register(checks.Tags.urls)
def check_path(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse a path that the service has too: nobody could tell whether a proxy cut it off."""
    path = settings.FORCE_SCRIPT_NAME or ""
    static = f"{path}/".startswith(settings.STATIC_URL.removeprefix(path))
    if not path or not (static or is_valid_path(path) or is_valid_path(f"{path}/")):
        return []
    return [
        checks.Error(
            f"PUBLIC_URL ends in {path}, which is also a path of the service.",
            hint="Give PUBLIC_URL another path, such as /auth.",
            id="api.E008",
        )
    ]


@checks.register(checks.Tags.security, deploy=True)
def check_local(**_kwargs: Any) -> list[checks.CheckMessage]:
    if not settings.IS_LOCAL:
        return []
    return [
        checks.Warning(
            f"PUBLIC_URL is {settings.PUBLIC_URL}, so this service is for this machine only.",
            hint="Set PUBLIC_URL to the https address of the service, and SECRET_KEY. Redirects to "
            "https, secure cookies and HSTS follow from it, so what Django says of them below is "
            "settled too.",
            id="api.W008",
        )
    ]


@checks.register(checks.Tags.security)
def check_host_patterns(**_kwargs: Any) -> list[checks.CheckMessage]:
    return [
        checks.Error(
            f"ALLOWED_HOSTS has the pattern {host!r}, so links name a host that a caller makes up.",
            hint="List each name of the service in ALLOWED_HOSTS.",
            id="api.E009",
        )
        for host in settings.ALLOWED_HOSTS
        if host.startswith(("*", "."))
    ]


@checks.register(checks.Tags.security, deploy=True)
def check_hosts(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of a proxy that sends its own name for ours, if somebody has allowed that name."""
    own = [host for host in settings.ALLOWED_HOSTS if is_this_machine(host.strip("[]"))]
    if settings.IS_LOCAL or not own:
        return []
    return [
        checks.Warning(
            f"ALLOWED_HOSTS has {own[0]}, so a proxy that does not pass on Host goes unnoticed, "
            "and links lead to the caller's own machine.",
            hint="Let the proxy pass on Host (in nginx: proxy_set_header Host $host), and remove "
            f"{own[0]} from ALLOWED_HOSTS. Health checks need no name.",
            id="api.W009",
        )
    ]


@checks.register(checks.Tags.security)
def check_debug(**_kwargs: Any) -> list[checks.CheckMessage]:
    if settings.IS_LOCAL or not settings.DEBUG:
        return []
    return [
        checks.Error(
            "DEBUG is on in public: error pages would show settings and requests.",
            hint="Do not set DEBUG.",
            id="api.E003",
        )
    ]


@checks.register(checks.Tags.security)
def check_cookies(**_kwargs: Any) -> list[checks.CheckMessage]:
    if not settings.IS_HTTPS or (settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE):
        return []
    return [
        checks.Error(
            "The session or the CSRF cookie would be sent over http too.",
            hint="Set SESSION_COOKIE_SECURE and CSRF_COOKIE_SECURE to True.",
            id="api.E005",
        )
    ]


@checks.register(checks.Tags.security, deploy=True)
def check_trusted_proxies(**_kwargs: Any) -> list[checks.CheckMessage]:
    if settings.TRUSTED_PROXIES or not settings.SECURE_SSL_REDIRECT:
        return []
    return [
        checks.Warning(
            "PUBLIC_URL is https and TRUSTED_PROXIES is 0: behind a proxy that speaks TLS, every "
            "request is redirected for ever, and all callers share one rate limit.",
            hint="Set TRUSTED_PROXIES to the number of proxies in front. 0 is right only if the "
            "server itself speaks TLS.",
            id="api.W007",
        )
    ]


def is_this_machine(host: str) -> bool:
    """Tell whether a host is a loopback address or, for a database, a socket."""
    if not host or host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
