"""The errors that callers get, in one shape: `{"error": code, "error_description": sentence}`.

The codes come from RFC 6749 §5.2, RFC 6750 §3.1 and RFC 7591 §3.2.2. A description is a fixed
sentence in the characters that RFC 6749 §5.2 allows. It never repeats what a caller sent.
"""

from collections.abc import Mapping

from django.conf import settings
from django.urls import get_script_prefix
from rest_framework import exceptions, status

from api.negotiation import OTHER_MEDIA_TYPE

REALM = "authdemo"
RESOURCE_METADATA = "/.well-known/oauth-protected-resource"
RETRY_AFTER = 2  # seconds; enough to reconnect to a database that is back


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
    default_detail = (
        "The client does not have the requested scope; leave scope out to get all that it has."
    )


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


class ExpiredToken(InvalidToken):
    def __init__(self) -> None:
        login = f"{get_script_prefix()}login"
        super().__init__(f"The access token has expired; get another from {login}.")


class InsufficientScope(BearerError):
    """The challenge names all scopes that are needed (RFC 6750 §3)."""

    status_code = status.HTTP_403_FORBIDDEN
    default_code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The access token must have the scope '{scope}'; "
            "ask the staff to give it to the client, then get another token.",
            scope=scope,
        )


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


def body(error: APIError) -> dict[str, str]:
    return {"error": error.default_code, "error_description": str(error.detail)}
