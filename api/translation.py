"""Translate the exceptions of the core, DRF and Django into the errors that callers get."""

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError
from django.http import Http404, HttpRequest
from rest_framework import exceptions
from rest_framework.response import Response

from api.client_authentication.base import MalformedProofError, MissingProofError
from api.client_changes import NoSuchCredentialError
from api.credentials import BadCredentialsError, ScopeNotGrantedError
from api.delegation import ChangedMeanwhileError, NotHeldError
from api.exceptions import (
    AccessDenied,
    APIError,
    BodyTooLarge,
    ChangedMeanwhile,
    Conflict,
    ExpiredToken,
    InvalidClient,
    InvalidClientMetadata,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    MissingToken,
    NotFound,
    SlowDown,
    UnauthorizedClient,
    Unavailable,
    UnsupportedBody,
    UnsupportedGrantType,
    body,
)
from api.health import DrainingError, NotMigratedError, ReadOnlyDatabaseError
from api.issuers import IssuerUnavailableError
from api.jose import UnusableKeyError
from api.keys import NoSigningKeyError, RotationPendingError, UndecryptableKeyError
from api.models import Client
from api.negotiation import UnsupportedBodyError, is_from_our_page
from api.parameters import ParameterError, UnsupportedGrantTypeError
from api.resources import ResourceNotGrantedError, SeveralResourcesError
from api.throttling.address import UnusableAddressError
from api.throttling.guard import TooManyFailuresError
from api.throttling.slow_hashes import QueueFullError
from api.tokens import NotOwnTokenError, TokenTooLongError

UNKNOWN_HOST = (
    "This service does not answer to the host in the request; "
    "use its PUBLIC_URL, or let the operator add the host to ALLOWED_HOSTS."
)
# These include ProgrammingError for a missing table and InternalError for a read-only standby. A
# damaged file raises a plain DatabaseError.
UNAVAILABLE = (DatabaseError, InterfaceError)
logger = logging.getLogger(__name__)


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
    Client.DoesNotExist: lambda _: NotFound("There is no client with this id."),
    NoSuchCredentialError: lambda _: NotFound("The client has no such credential."),
    NotHeldError: lambda error: AccessDenied(str(error)),
    ChangedMeanwhileError: lambda _: ChangedMeanwhile(),
    RotationPendingError: lambda _: Conflict(),
    Http404: lambda _: NotFound(),
    RequestDataTooBig: lambda _: BodyTooLarge(),
    DisallowedHost: lambda _: InvalidRequest(UNKNOWN_HOST),
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
    request = context["request"]._request
    if isinstance(translated, InvalidClient) and is_from_our_page(request):
        translated = InvalidClient(str(translated.detail), "Form")
    if isinstance(translated, MissingToken) and _has_expired_cookie(request):
        translated = ExpiredToken()
    return Response(body(translated), translated.status_code, headers=translated.headers)


def _has_expired_cookie(request: HttpRequest) -> bool:
    """Tell whether the browser's token has expired, if none was found: any other is refused."""
    return "HTTP_AUTHORIZATION" not in request.META and bool(
        request.COOKIES.get(settings.ACCESS_TOKEN_COOKIE)
    )
