"""Middleware that the API does not pay for."""

from collections.abc import Callable
from typing import Any

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
