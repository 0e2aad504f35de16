"""Our own middleware, and Django's limited to the admin."""

import logging
from collections.abc import Awaitable, Callable
from time import perf_counter
from urllib.parse import urlsplit

from corsheaders import middleware as cors
from django.conf import settings
from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from api import metrics

Respond = Callable[[HttpRequest], HttpResponseBase]
logger = logging.getLogger(__name__)


def explain_redirects(get_response: Respond) -> Respond:
    """Log two mistakes that redirect every request for ever, each once per process."""
    if not settings.SECURE_SSL_REDIRECT:
        raise MiddlewareNotUsed
    explained = set()

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code == 301 and not request.is_secure():
            proto, proxies = request.META.get("HTTP_X_FORWARDED_PROTO"), settings.TRUSTED_PROXIES
            explanation = ""
            if proxies and proto is None:
                explanation = (
                    f"TRUSTED_PROXIES is {proxies}, but no X-Forwarded-Proto came. "
                    "Let the proxy set it, or every request is redirected for ever."
                )
            elif proto == "https" and not proxies:
                explanation = (
                    "X-Forwarded-Proto says https, but TRUSTED_PROXIES is 0, so it does not count "
                    "and the request is redirected. Set TRUSTED_PROXIES if a proxy sent it."
                )
            if explanation and explanation not in explained:
                explained.add(explanation)
                logger.warning(explanation)
        return response

    return middleware


def count_requests(get_response: Respond) -> Respond:
    """Count requests and their duration for `/metrics`."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = perf_counter()
        response = get_response(request)
        route = request.resolver_match.route if request.resolver_match else None
        seconds = perf_counter() - began
        metrics.count_request(route, str(request.method), response.status_code, seconds)
        return response

    return middleware


def add_headers(get_response: Respond) -> Respond:
    """Add the Content-Security-Policy to every response, and forbid caches to store it.

    A view that sets Cache-Control decides about caches itself (RFC 6749 §5.1). Django has a
    Content-Security-Policy only from 6.0 on; django-csp would cost 50 us, 30 % of /private.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
            response.headers["Pragma"] = "no-cache"
        return response

    return middleware


def require_known_host(get_response: Respond) -> Respond:
    """Refuse an unknown Host header with 400, except for health checks: they call by address.

    Django's CommonMiddleware does this too, but also things that an API does not need. That costs
    12 us a request, 7 % of /private. Not parsing the host of `PUBLIC_URL` saves another 8 us, 5 %.
    """
    usual = urlsplit(settings.PUBLIC_URL).netloc
    health = {f"/{name}" for name in settings.HEALTH_CHECKS}

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.META.get("HTTP_HOST") != usual and request.path_info not in health:
            request.get_host()  # raises DisallowedHost
        return get_response(request)

    return middleware


class CorsMiddleware(cors.CorsMiddleware):
    """django-cors-headers, limited to requests with `Origin` and to what caches may keep.

    Only browsers send `Origin`. What caches keep needs `Vary: origin` for programs too. Without the
    limit it would cost a program 5 us a request, 3 % of /private.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if "HTTP_ORIGIN" in request.META or request.path_info.startswith("/.well-known/"):
            return super().__call__(request)
        return self.get_response(request)


class _AdminOnly(MiddlewareMixin):
    """Skips a middleware outside /admin/, where nothing needs it.

    The three below would cost the API 40 us a request, 22 % of /private and 15 % of /login.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path_info.startswith("/admin/"):
            return super().__call__(request)
        return self.get_response(request)


class SessionMiddleware(_AdminOnly, sessions.SessionMiddleware):
    pass


class AuthenticationMiddleware(_AdminOnly, auth.AuthenticationMiddleware):
    pass


class MessageMiddleware(_AdminOnly, messages.MessageMiddleware):
    pass
