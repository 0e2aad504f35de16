"""Middleware that costs the API nothing, or next to it."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase

ADMIN = "/admin/"


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


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Send the one policy with everything: pages, admin, JSON and static files.

    A constant header costs an API call less than a microsecond; django-csp, which can vary its
    policy by request, builds it anew for each response.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY
        return response

    return middleware
