"""What the OpenAPI document says of each operation, beyond what drf-spectacular finds by itself.

Each decorator is for the method in `views.py` that it describes. Errors are named by the exceptions
that are raised, so their status, code, sentence and headers are those that are sent; what goes in
is described by the serializers that read it.
"""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiRequest,
    OpenApiResponse,
    extend_schema,
)
from rest_framework import exceptions

from api.credentials import REGISTER
from api.exceptions import (
    AccessDenied,
    APIError,
    BodyTooLarge,
    InsufficientScope,
    InvalidClient,
    InvalidClientMetadata,
    InvalidRequest,
    InvalidScope,
    InvalidToken,
    MissingToken,
    SlowDown,
    Unavailable,
    UnsupportedGrantType,
    body,
    translate,
)
from api.keys import JWKS_MAX_AGE
from api.openapi.components import ACCESS_TOKEN, CREDENTIALS, EXAMPLES
from api.serializers import RegistrationSerializer

Method = TypeVar("Method", bound=Callable[..., Any])

ANYONE: tuple[str, ...] = ("",)
CLIENT = ("basic", "")  # or in the body, which is no security scheme of OpenAPI's
TOKEN = ("bearer", "oauth2")
ALWAYS = (InvalidRequest("The request is malformed."), exceptions.NotAcceptable())
WITH_A_BODY = (exceptions.ParseError(), BodyTooLarge(), exceptions.UnsupportedMediaType(""))
NO_STORE = "no-store"  # said of errors too, unlike how long an answer may be kept
HEADERS = {"Retry-After": {"type": "integer"}, "WWW-Authenticate": {"type": "string"}}


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document, which is the same for every caller and every request."""
    generated: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return generated


def operation(  # noqa: PLR0913 (each says another thing, by name)
    name: str,
    tag: str,
    summary: str,
    *,
    detail: str = "",
    returns: str,
    status: int = HTTPStatus.OK,
    errors: tuple[APIError, ...] = (),
    takes: dict[str, Any] | None = None,
    security: tuple[str, ...] = ANYONE,
    cache_control: str = "",
) -> Callable[[Method], Method]:
    """Return a decorator that describes one operation; `returns` names one of the components."""
    possible = [translate(one) for one in (*errors, *(WITH_A_BODY if takes else ()), *ALWAYS)]
    by_status: dict[int, list[APIError]] = {}
    for error in filter(None, possible):
        by_status.setdefault(error.status_code, []).append(error)
    examples = [OpenApiExample("Example", EXAMPLES[returns])] if returns in EXAMPLES else []
    responses = {status: OpenApiResponse(_component(returns), summary, examples)}
    headers = []
    if cache_control:
        uncached = by_status if cache_control == NO_STORE else ()
        headers.append(_header("Cache-Control", [status, *uncached], {"const": cache_control}))
    for code, group in sorted(by_status.items()):
        responses[code] = _errors(group)
        names = {name for error in group for name in error.headers}
        headers += [_header(name, [code], HEADERS[name]) for name in sorted(names)]
    return extend_schema(
        operation_id=name,
        summary=summary,
        description=detail,
        tags=[tag],
        request=takes,
        responses=responses,
        parameters=headers,
        auth=[{name: []} if name else {} for name in security],  # type: ignore[misc]
    )


def _component(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _errors(group: list[APIError]) -> OpenApiResponse:
    described = {error.default_code: error for error in reversed(group)}
    examples = [OpenApiExample(code, body(error)) for code, error in sorted(described.items())]
    return OpenApiResponse(_component("Error"), " or ".join(sorted(described)), examples)


def _header(name: str, statuses: list[int], schema: dict[str, str]) -> OpenApiParameter:
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, response=list(statuses))


# What is sent


def _body(schema: Any, name: str, example: dict[str, Any]) -> dict[str, Any]:
    """Describe a body in JSON, and the same as a form: all text, and each parameter once."""
    examples = [OpenApiExample("Example", example)]
    form = {"allOf": [_component(name), {"additionalProperties": {"type": "string"}}]}
    return {
        "application/json": OpenApiRequest(schema, examples=examples),
        "application/x-www-form-urlencoded": OpenApiRequest(form, examples=examples),
    }


# The operations

CLIENT_ERRORS = (
    InvalidClient(),
    InvalidRequest("client_id is required."),
    SlowDown(42),
    Unavailable(),
)

root = operation("root", "Discovery", "What there is here", returns="Root")
public = operation("public", "Areas", "What anyone may see", returns="Message")
private = operation(
    "private",
    "Areas",
    "What a token lets its bearer see",
    detail="The answer repeats what the token says.",
    returns="Private",
    errors=(InvalidToken(), MissingToken(), Unavailable()),
    security=TOKEN,
    cache_control=NO_STORE,
)
login = operation(
    "login",
    "Tokens",
    "Client credentials for an access token",
    detail=(
        "The credentials are sent as HTTP Basic, in a form or in JSON (RFC 6749, section 4.4). "
        "`grant_type` is needed unless they are in JSON. `scope` asks for some of the client's "
        "scopes; without it the token has them all."
    ),
    takes=_body(_component("Login"), "Login", {"grant_type": "client_credentials", **CREDENTIALS}),
    returns="AccessToken",
    errors=(*CLIENT_ERRORS, UnsupportedGrantType(), InvalidScope()),
    security=CLIENT,
    cache_control=NO_STORE,
)
introspect = operation(
    "introspect",
    "Tokens",
    "Whether a token is good, and what it says",
    detail=(
        "A client may look into its own tokens, and with the scope `introspect` into anybody's; "
        "of any other it learns that it is not active (RFC 7662)."
    ),
    takes=_body(_component("OwnToken"), "OwnToken", {"token": ACCESS_TOKEN, **CREDENTIALS}),
    returns="Introspection",
    errors=CLIENT_ERRORS,
    security=CLIENT,
    cache_control=NO_STORE,
)
revoke = operation(
    "revoke",
    "Tokens",
    "End a token before it expires",
    detail=(
        "A client may revoke its own tokens, which are then refused at once. The answer is the "
        "same where there is nothing to revoke (RFC 7009)."
    ),
    takes=_body(_component("OwnToken"), "OwnToken", {"token": ACCESS_TOKEN, **CREDENTIALS}),
    returns="Revocation",
    errors=CLIENT_ERRORS,
    security=CLIENT,
    cache_control=NO_STORE,
)
register = operation(
    "register",
    "Clients",
    "A new client",
    detail=(
        "Its secret is shown this once (RFC 7591). Where registration is not open it takes a token "
        "with the scope `register`, and the client gets the scopes it asks for that this token has."
    ),
    takes=_body(RegistrationSerializer, "Registration", {"client_name": "Billing"}),
    status=HTTPStatus.CREATED,
    returns="RegisteredClient",
    errors=(
        InvalidClientMetadata(),
        InvalidToken(),
        MissingToken(),
        InsufficientScope(scope=REGISTER),
        AccessDenied(),
        SlowDown(42),
        Unavailable(),
    ),
    security=(*TOKEN, "") if settings.REGISTRATION == "open" else TOKEN,
    cache_control=NO_STORE,
)
jwks = operation(
    "jwks",
    "Discovery",
    "The public keys that verify tokens",
    returns="JWKSet",
    errors=(Unavailable(),),
    cache_control=f"public, max-age={JWKS_MAX_AGE.total_seconds():.0f}",
)
metadata = operation(
    "metadata", "Discovery", "Where everything is, for OAuth clients", returns="Metadata"
)
schema = operation("schema", "Discovery", "This API as an OpenAPI document", returns="Document")
livez = operation("livez", "Health", "The process answers", returns="Status")
readyz = operation(
    "readyz", "Health", "The service can do its work", returns="Status", errors=(Unavailable(),)
)
