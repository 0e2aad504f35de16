"""Browsers: the token cookie, the CSRF check, and what pages of other sites may do."""

import re
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from api.exceptions import AccessDenied, CSRFFailed, body
from api.negotiation import is_navigation
from api.tokens import IssuedToken

# How long the cookie outlives its token, so that pages can say that it has expired.
KEPT_EXPIRED = 24 * 60 * 60  # seconds
# Characters of a token that a cookie can hold. Browsers drop one of more than 4096 bytes, and its
# name and attributes need up to 250.
MAX_COOKIE_TOKEN = 3840
OWN_SITE = {"same-origin", "none"}  # `none`: the person used a bookmark or typed the address


def refuse_other_sites(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: refuse unsafe requests from pages of other sites.

    Such a page could make its visitor's browser fail to log in many times a second. That would lock
    out everybody at the visitor's address.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method in SAFE_METHODS or not _is_from_another_site(request):
            return get_response(request)
        error = AccessDenied(
            "Requests from pages of other sites are refused; "
            "the operator can allow a site with CORS_ORIGINS."
        )
        return JsonResponse(body(error), status=error.status_code)

    return middleware


def _is_from_another_site(request: HttpRequest) -> bool:
    """Tell whether a page sent the request that is neither ours nor one of `CORS_ORIGINS`.

    Old browsers send only `Origin`. Programs send neither header.
    """
    site, origin = request.META.get("HTTP_SEC_FETCH_SITE"), request.META.get("HTTP_ORIGIN")
    if site in OWN_SITE or (site is None and origin is None):
        return False
    if origin in settings.CORS_ALLOWED_ORIGINS:
        return not re.match(settings.CORS_URLS_REGEX, request.path_info)
    ours = {*settings.CSRF_TRUSTED_ORIGINS, f"{request.scheme}://{request.get_host()}"}
    return site is not None or origin not in ours


def may_be_read_by_all_sites(request: HttpRequest, **_signal: Any) -> bool:
    """Receive `corsheaders.signals.check_request_enabled`: keys and metadata are for everybody."""
    return request.path_info.startswith("/.well-known/")


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


def may_show_token(request: HttpRequest) -> bool:
    """Tell whether a page may show the token in the cookie: its own person opened the page here.

    Scripts and frames cannot fetch such a page, and no other site can open one.
    """
    return is_navigation(request) and request.META.get("HTTP_SEC_FETCH_SITE") in OWN_SITE


def fits_cookie(token: IssuedToken) -> bool:
    """Tell whether a browser can keep a token. One with many scopes is too long."""
    return len(token.text) <= MAX_COOKIE_TOKEN


def remember_token(response: HttpResponseBase, token: IssuedToken) -> None:
    """Set the token cookie, which no script can read. It outlives the token by a day.

    If the token does not fit, delete the cookie: it may hold the token of another client.
    """
    if not fits_cookie(token):
        forget_token(response)
        return
    response.set_cookie(
        settings.ACCESS_TOKEN_COOKIE,
        token.text,
        max_age=token.expires_in + KEPT_EXPIRED,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Strict",
    )


def forget_token(response: HttpResponseBase) -> None:
    response.delete_cookie(
        settings.ACCESS_TOKEN_COOKIE, path=settings.SESSION_COOKIE_PATH, samesite="Strict"
    )
