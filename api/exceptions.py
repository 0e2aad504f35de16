"""The one shape of every error: `{"error": code, "error_description": sentence}`.

Codes are those of RFC 6749 §5.2, RFC 6750 §3.1 and RFC 7591 §3.2.2. A description is a fixed
sentence of ours in the characters that RFC 6749 §5.2 allows; nothing a caller sent is repeated.
"""

import logging
import math
import sys
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from rest_framework import exceptions, status
from rest_framework.response import Response

REALM = "authdemo"
RETRY_AFTER = 2  # seconds; a database that comes back is found within them
# Of many kinds: a missing table is a ProgrammingError, a read-only standby an InternalError, a
# damaged file a plain DatabaseError.
UNAVAILABLE = (DatabaseError, InterfaceError)
logger = logging.getLogger(__name__)


class NotReadyError(Exception):
    """The service lacks something that it cannot work without; an operator has to see to it."""


class APIError(exceptions.APIException):
    """An error that knows its status, its code, its sentence and its headers."""

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_request"
    default_detail = "The request is malformed."

    def __init__(
        self, description: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description or self.default_detail)
        self.headers = dict(headers or {})


class InvalidRequest(APIError):
    pass


class InvalidClient(APIError):
    """Wrong secret, unknown client, inactive client: one and the same (RFC 6749 §5.2)."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_client"
    default_detail = "The client credentials are not valid."


class UnsupportedGrantType(APIError):
    default_code = "unsupported_grant_type"
    default_detail = "The only grant_type is client_credentials."


class InvalidScope(APIError):
    default_code = "invalid_scope"
    default_detail = "The client does not have the scope it asked for."


class InvalidClientMetadata(APIError):
    default_code = "invalid_client_metadata"
    default_detail = "The client metadata is malformed."


class SlowDown(APIError):
    """Too many failures. `wait` is the number of seconds until another attempt is looked at."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "slow_down"
    default_detail = "Too many attempts; try again later."

    def __init__(self, wait: float) -> None:
        super().__init__(headers={"Retry-After": str(max(1, math.ceil(wait)))})


class MissingToken(APIError):
    """No token at all: a challenge without an error attribute (RFC 6750 §3.1)."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "missing_token"
    default_detail = "An access token is required; get one from /login."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": f'Bearer realm="{REALM}"'})


class BearerError(APIError):
    """An error about a token that was sent, told in the challenge too (RFC 6750 §3)."""

    def __init__(self, description: str | None = None, **attributes: str) -> None:
        super().__init__(description)
        parts = {"error": self.default_code, "error_description": str(self.detail), **attributes}
        challenge = "".join(f', {name}="{value}"' for name, value in parts.items())
        self.headers["WWW-Authenticate"] = f'Bearer realm="{REALM}"{challenge}'


class InvalidToken(BearerError):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_token"
    default_detail = "The access token is expired, revoked or not valid."


class InsufficientScope(BearerError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "insufficient_scope"
    default_detail = "The access token lacks a scope."


class AccessDenied(APIError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "access_denied"
    default_detail = "This is not allowed."


class CSRFFailed(AccessDenied):
    default_detail = "The CSRF token is missing or wrong."


class NotFound(APIError):
    status_code = status.HTTP_404_NOT_FOUND
    default_detail = "There is nothing at this path."


class BodyTooLarge(APIError):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is larger than 64 KiB."


class Unavailable(APIError):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "temporarily_unavailable"
    default_detail = "The service is temporarily unavailable; try again shortly."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": str(RETRY_AFTER)})


class ServerError(APIError):
    status_code = status.HTTP_500_INTERNAL_SERVER_ERROR
    default_code = "server_error"
    default_detail = "Something went wrong on our side."


# What DRF and Django raise, in our words; where a class has none here, its own status is kept.
_SENTENCES: dict[type[Exception], str] = {
    exceptions.ParseError: "The request body could not be understood.",
    exceptions.MethodNotAllowed: "This method is not allowed here.",
    exceptions.NotAcceptable: "No media type that the Accept header names is on offer.",
    exceptions.UnsupportedMediaType: "The body's media type is not supported here.",
}


def translate(error: Exception) -> APIError | None:
    """Return the error of ours that another says, or `None` for a bug."""
    match error:
        case APIError():
            return error
        case Http404() | exceptions.NotFound():
            return NotFound()
        case RequestDataTooBig():
            return BodyTooLarge()
        case SuspiciousOperation() | BadRequest():
            return InvalidRequest()
        case exceptions.NotAuthenticated():
            return MissingToken()
        case PermissionDenied() | exceptions.PermissionDenied():
            return AccessDenied()
        case exceptions.ValidationError():
            return InvalidRequest(_sentence(error.detail))
        case exceptions.APIException():
            translated = InvalidRequest(_SENTENCES.get(type(error)))
            translated.status_code = error.status_code
            return translated
        case NotReadyError():
            logger.error("Not ready: %s", error)
            return Unavailable()
        case IntegrityError() | DataError():
            return None
        case DatabaseError() | InterfaceError():
            logger.error("The database is unavailable: %s", str(error).partition("\n")[0])
            return Unavailable()
    return None


def _sentence(detail: Any) -> str | None:
    """Name the first parameter that is at fault, from a serializer's errors."""
    if not isinstance(detail, dict):
        return None
    name, errors = next(iter(detail.items()))
    code = errors[0].code
    return f"{name} is required." if code == "required" else f"{name} is malformed."


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer for DRF's views."""
    translated = translate(error)
    if translated is None:
        return None
    return Response(body(translated), translated.status_code, headers=translated.headers)


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for what no view of DRF's refuses, such as an unknown path or a foreign host."""
    return _plain(request, translate(exception) or InvalidRequest())


def csrf_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _plain(request, CSRFFailed())


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer for an error outside of DRF's views; a database that is down is no bug of ours."""
    error = sys.exc_info()[1]
    translated = translate(error) if isinstance(error, Exception) else None
    return _plain(request, translated or ServerError())


def body(error: APIError) -> dict[str, str]:
    return {"error": error.default_code, "error_description": str(error.detail)}


def _plain(request: HttpRequest, error: APIError) -> HttpResponse:
    """Answer without DRF; as a page to a browser, which sends no Authorization header."""
    if "text/html" in request.headers.get("Accept", "") and "Authorization" not in request.headers:
        page = loader.render_to_string("api/error_page.html", {"error": body(error)})
        return HttpResponse(page, status=error.status_code, headers=error.headers)
    return JsonResponse(body(error), status=error.status_code, headers=error.headers)
