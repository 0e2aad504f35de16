"""Browsers: the token cookie, the CSRF check, and the refusal of cross-site requests."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from api.exceptions import AccessDenied, CSRFFailed, body
from api.tokens import IssuedToken

# Characters of a token that a cookie can hold. Browsers drop one of more than 4096 bytes, and its
# name and attributes need up to 250.
MAX_COOKIE_TOKEN = 3840
OWN_SITE = {"same-origin", "none"}  # `none`: the person used a bookmark or typed the address


def refuse_other_sites(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: refuse unsafe requests from pages of other sites.

    Such a page could make its visitor's browser fail to log in many times a second. That would lock
    out everybody at the visitor's address. Programs do not send `Sec-Fetch-Site`.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        site = request.META.get("HTTP_SEC_FETCH_SITE", "none")
        if site in OWN_SITE or request.method in SAFE_METHODS:
            return get_response(request)
        error = AccessDenied("Requests from pages of other sites are refused.")
        return JsonResponse(body(error), status=error.status_code)

    return middleware


class _CSRFCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def enforce_csrf(request: Request) -> None:
    """Require Django's CSRF token for unsafe methods. Raises `CSRFFailed`.

    Our parsers read the body first, because Django's parsers would accept bodies that we refuse.
    """
    if request.method not in SAFE_METHODS:
        request.data  # noqa: B018 (parses the body)
    check = _CSRFCheck(lambda _request: None)  # type: ignore[arg-type]
    check.process_request(request._request)
    if check.process_view(request._request, enforce_csrf, (), {}):  # type: ignore[arg-type]
        raise CSRFFailed


def fits_cookie(token: IssuedToken) -> bool:
    """Tell whether a browser can keep a token. One with many scopes is too long."""
    return len(token.text) <= MAX_COOKIE_TOKEN


def remember_token(response: HttpResponseBase, token: IssuedToken) -> None:
    """Set the token cookie. It lasts as long as the token, and no script can read it.

    If the token does not fit, delete the cookie: it may hold the token of another client.
    """
    if not fits_cookie(token):
        forget_token(response)
        return
    response.set_cookie(
        settings.ACCESS_TOKEN_COOKIE,
        token.text,
        max_age=token.expires_in,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Strict",
    )


def forget_token(response: HttpResponseBase) -> None:
    response.delete_cookie(
        settings.ACCESS_TOKEN_COOKIE, path=settings.SESSION_COOKIE_PATH, samesite="Strict"
    )
