"""The one shape of every error: `{"error": code, "error_description": sentence}`.

The codes come from RFC 6749 §5.2, RFC 6750 §3.1 and RFC 7591 §3.2.2. A description is a fixed
sentence in the characters that RFC 6749 §5.2 allows. It never repeats what a caller sent.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError
from django.http import Http404
from django.urls import get_script_prefix
from rest_framework import exceptions, status
from rest_framework.response import Response

from api.client_authentication.base import MalformedProofError, MissingProofError
from api.client_changes import NoSuchCredentialError
from api.credentials import BadCredentialsError, ScopeNotGrantedError
from api.delegation import ChangedMeanwhileError, NotHeldError
from api.health import DrainingError, NotMigratedError, ReadOnlyDatabaseError
from api.issuers import IssuerUnavailableError
from api.jose import UnusableKeyError
from api.keys import NoSigningKeyError, RotationPendingError, UndecryptableKeyError
from api.models import Client
from api.negotiation import OTHER_MEDIA_TYPE, UnsupportedBodyError, is_from_our_page
from api.parameters import ParameterError, UnsupportedGrantTypeError
from api.resources import ResourceNotGrantedError, SeveralResourcesError
from api.throttling.address import UnusableAddressError
from api.throttling.guard import TooManyFailuresError
from api.throttling.slow_hashes import QueueFullError
from api.tokens import NotOwnTokenError, TokenTooLongError

REALM = "authdemo"
NO_CLIENT = "There is no client with this id."
RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
RETRY_AFTER = 2  # seconds; enough to reconnect to a database that is back
# These include ProgrammingError for a missing table and InternalError for a read-only standby. A
# damaged file raises a plain DatabaseError.
UNAVAILABLE = (DatabaseError, InterfaceError)
logger = logging.getLogger(__name__)


class APIError(exceptions.APIException):
    """An error with a status, a code, a description and headers."""

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
    """Wrong secret, unknown client or inactive client, in one response (RFC 6749 §5.2).

    `scheme` is the scheme of the challenge. On `Basic`, a browser would open its own dialog.
    """

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_client"
    default_detail = "The client credentials are not valid."

    def __init__(self, description: str | None = None, scheme: str = "Basic") -> None:
        challenge = f'{scheme} realm="{REALM}", charset="UTF-8"'  # RFC 7617 §2
        super().__init__(description, {"WWW-Authenticate": challenge})


class UnauthorizedClient(APIError):
    """Tells nothing about the token, which is another client's (RFC 7009 §2.1)."""

    default_code = "unauthorized_client"
    default_detail = "A client may revoke only its own tokens."


class UnsupportedGrantType(APIError):
    default_code = "unsupported_grant_type"
    default_detail = "The only grant_type is client_credentials."


class UnsupportedResponseType(APIError):
    default_code = "unsupported_response_type"
    default_detail = "No person logs in here; get a token with grant_type=client_credentials."


class InvalidScope(APIError):
    default_code = "invalid_scope"
    default_detail = "The client does not have the requested scope."


class InvalidTarget(APIError):
    """The resource is malformed, unknown or not the client's, in one response (RFC 8707 §2)."""

    default_code = "invalid_target"
    default_detail = "The client is not granted the requested resource."


class InvalidClientMetadata(APIError):
    default_code = "invalid_client_metadata"
    default_detail = "The client metadata is malformed."


class SlowDown(APIError):
    """Too many failures. The next attempt is possible after `wait` seconds."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_code = "slow_down"
    default_detail = "Too many attempts; try again later."

    def __init__(self, wait: int) -> None:
        super().__init__(headers={"Retry-After": str(wait)})


def _bearer(**attributes: str) -> str:
    """Return a challenge that says where to learn how to get a token (RFC 9728 §3.1, §5.1)."""
    path = settings.PUBLIC_URL.removeprefix(settings.ORIGIN)
    metadata = f"{settings.ORIGIN}{RESOURCE_METADATA}{path}"
    parts = {"realm": REALM, "resource_metadata": metadata, **attributes}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())


class MissingToken(APIError):
    """No token at all: a challenge without an error attribute (RFC 6750 §3.1)."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "missing_token"

    def __init__(self) -> None:
        super().__init__(
            f"An access token is required; get one from {get_script_prefix()}login.",
            {"WWW-Authenticate": _bearer()},
        )


class BearerError(APIError):
    """An error about a presented token. The challenge repeats it (RFC 6750 §3)."""

    def __init__(self, description: str | None = None, **attributes: str) -> None:
        super().__init__(description)
        parts = {"error": self.default_code, "error_description": str(self.detail), **attributes}
        self.headers["WWW-Authenticate"] = _bearer(**parts)


class InvalidToken(BearerError):
    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_token"
    default_detail = "The access token is expired, revoked or not valid."


class InsufficientScope(BearerError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "insufficient_scope"
    default_detail = "The access token lacks a required scope."


class AccessDenied(APIError):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "access_denied"
    default_detail = "This is not allowed."


class CSRFFailed(AccessDenied):
    default_detail = "The CSRF token is missing or wrong."


class NotFound(APIError):
    status_code = status.HTTP_404_NOT_FOUND
    default_detail = "There is nothing at this path."


class Conflict(APIError):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "A new key is already published and does not sign yet."


class ChangedMeanwhile(APIError):
    """The request's If-Match names another version (RFC 9110 §13.1.1)."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_detail = "The client has been changed in the meantime; get it again."


class BodyTooLarge(APIError):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is larger than 64 KiB."


class UnsupportedBody(APIError):
    """The header names the only content coding that is supported (RFC 9110 §15.5.16)."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_detail = OTHER_MEDIA_TYPE

    def __init__(self, description: str | None = None) -> None:
        super().__init__(description, {"Accept-Encoding": "identity"})


class Unavailable(APIError):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "temporarily_unavailable"
    default_detail = "The service is temporarily unavailable; try again shortly."

    def __init__(self, description: str | None = None) -> None:
        super().__init__(description, headers={"Retry-After": str(RETRY_AFTER)})


class ServerError(APIError):
    status_code = status.HTTP_500_INTERNAL_SERVER_ERROR
    default_code = "server_error"
    default_detail = "Something went wrong on our side."


def _keep_status(sentence: str) -> Callable[[exceptions.APIException], APIError]:
    """Return a translation that keeps a DRF exception's status and replaces its sentence."""

    def translate_status(error: exceptions.APIException) -> APIError:
        translated = InvalidRequest(sentence)
        translated.status_code = error.status_code
        if challenge := getattr(error, "auth_header", None):  # set by DRF for a 401
            translated.headers["WWW-Authenticate"] = challenge
        return translated

    return translate_status


def _wrong_fields(error: exceptions.ValidationError) -> APIError:
    """Name all wrong fields in one sentence. Serializers repeat no value in their messages."""
    detail: Any = error.detail
    if not isinstance(detail, dict):
        return InvalidRequest()
    named = [
        f"{name} {problem if isinstance(problem, str) else problem[0]}".rstrip(".")
        for name, problem in detail.items()
    ]
    return InvalidRequest(f"{'; '.join(named)}.")


# Exceptions of the core, DRF and Django, and the errors that callers get for them.
_TRANSLATIONS: dict[type[Exception], Callable[[Any], APIError]] = {
    APIError: lambda error: error,
    BadCredentialsError: lambda _: InvalidClient(),
    TooManyFailuresError: lambda error: SlowDown(error.wait),
    QueueFullError: lambda _: Unavailable(),
    IssuerUnavailableError: lambda _: Unavailable(),
    ParameterError: lambda error: InvalidRequest(str(error)),
    MalformedProofError: lambda error: InvalidRequest(str(error)),
    MissingProofError: lambda error: InvalidClient(str(error)),
    NotOwnTokenError: lambda _: UnauthorizedClient(),
    UnsupportedBodyError: lambda error: UnsupportedBody(str(error)),
    UnusableAddressError: lambda error: InvalidRequest(str(error)),
    DrainingError: lambda error: Unavailable(str(error)),
    UnsupportedGrantTypeError: lambda error: UnsupportedGrantType(str(error)),
    ScopeNotGrantedError: lambda _: InvalidScope(),
    TokenTooLongError: lambda _: InvalidScope("The token would be too long; ask for fewer scopes."),
    ResourceNotGrantedError: lambda _: InvalidTarget(),
    SeveralResourcesError: lambda _: InvalidTarget(
        "A token is for one resource; request only one."
    ),
    UnusableKeyError: lambda error: InvalidClientMetadata(str(error)),
    Client.DoesNotExist: lambda _: NotFound(NO_CLIENT),
    NoSuchCredentialError: lambda _: NotFound("The client has no such credential."),
    NotHeldError: lambda error: AccessDenied(str(error)),
    ChangedMeanwhileError: lambda _: ChangedMeanwhile(),
    RotationPendingError: lambda _: Conflict(),
    Http404: lambda _: NotFound(),
    RequestDataTooBig: lambda _: BodyTooLarge(),
    SuspiciousOperation: lambda _: InvalidRequest(),
    BadRequest: lambda _: InvalidRequest(),
    PermissionDenied: lambda _: AccessDenied(),
    exceptions.NotFound: lambda _: NotFound(),
    exceptions.NotAuthenticated: lambda _: MissingToken(),
    exceptions.PermissionDenied: lambda _: AccessDenied(),
    exceptions.ValidationError: _wrong_fields,
    exceptions.ParseError: _keep_status("The request body could not be parsed."),
    exceptions.MethodNotAllowed: _keep_status(
        "This path does not support the method; see the Allow header."
    ),
    exceptions.APIException: _keep_status("The request is malformed."),
}


def translate(error: Exception) -> APIError | None:
    """Return the error for the caller, or `None` for a bug."""
    for kind in type(error).__mro__:
        if translation := _TRANSLATIONS.get(kind):
            return translation(error)
    match error:
        case (
            NoSigningKeyError()
            | UndecryptableKeyError()
            | NotMigratedError()
            | ReadOnlyDatabaseError()
        ):
            logger.error("Not ready: %s", error)
            return Unavailable()
        case IntegrityError() | DataError():
            return None
        case DatabaseError() | InterfaceError():
            logger.error("The database is unavailable: %s", str(error).partition("\n")[0])
            return Unavailable()
    return None


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Make the error response of a DRF view."""
    translated = translate(error)
    if translated is None:
        return None
    if isinstance(translated, InvalidClient) and is_from_our_page(context["request"]._request):
        translated = InvalidClient(str(translated.detail), "Form")
    return Response(body(translated), translated.status_code, headers=translated.headers)


def body(error: APIError) -> dict[str, str]:
    return {"error": error.default_code, "error_description": str(error.detail)}
