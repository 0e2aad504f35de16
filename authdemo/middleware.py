"""Middleware that costs the API nothing, or next to it."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.http.response import ResponseHeaders
from django.middleware import csrf

ADMIN = "/admin/"
KNOWN_HOSTS = 64  # forms of our names, with a port or in capitals, that are remembered


def known_host(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse a Host header that is none of ours, at every path.

    Of all that Django's CommonMiddleware does this is what is of use here; and a header that passed
    once need not be taken apart again.
    """
    known: set[str] = set()

    def middleware(request: HttpRequest) -> HttpResponseBase:
        host = request.META.get("HTTP_HOST", "")
        if not host or host not in known:
            request.get_host()  # raises DisallowedHost
            if len(known) < KNOWN_HOSTS:
                known.add(host)
        return get_response(request)

    return middleware


def admin_middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Give the admin its sessions, users and messages, and the rest of the site none of them."""
    for_admin: Any = get_response
    for layer in (MessageMiddleware, AuthenticationMiddleware, SessionMiddleware):
        for_admin = layer(for_admin)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        respond = for_admin if request.path_info.startswith(ADMIN) else get_response
        response: HttpResponseBase = respond(request)
        return response

    return middleware


class CsrfViewMiddleware(csrf.CsrfViewMiddleware):
    """Django's; it reads and sets its cookie only where a form may be, in the admin and on pages.

    Its check is made of every view that is not exempt, and fails where the cookie was not read. The
    API's views are exempt, and make the check themselves where a browser's cookie counts.
    """

    def __call__(self, request: HttpRequest) -> Any:
        accepts_page = "text/" in request.META.get("HTTP_ACCEPT", "").lower()
        if accepts_page or request.path_info.startswith(ADMIN):
            return super().__call__(request)
        return self.get_response(request)


def security_headers(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Send the same few headers with everything: pages, admin, JSON and static files.

    They are constants, so they are put where Django keeps the headers of a response as they are
    kept there, and not examined and converted one by one for each answer.
    """
    constants = ResponseHeaders(settings.SECURITY_HEADERS)._store

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers._store.update(constants)
        return response

    return middleware


def no_store(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Let no cache keep a response, unless its view says for how long (RFC 6749 §5.1)."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
            response.headers["Pragma"] = "no-cache"
        return response

    return middleware
