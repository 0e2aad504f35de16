"""What the OpenAPI document says of each operation.

`AutoSchema` derives it from the view: the id from the URL's name, summary and description from the
docstring, the tag from the module, security and errors from the authentication and permission
classes. `Describe` adds what these cannot tell. Errors are instances of the exceptions themselves,
so their status, code, sentence and headers are those that are sent.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from drf_spectacular import openapi
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiParameter, OpenApiRequest, OpenApiResponse
from rest_framework import exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.serializers import Serializer

from api.client_authentication import METHODS
from api.endpoints import endpoints, handler, split_docstring
from api.exceptions import (
    APIError,
    BodyTooLarge,
    ChangedMeanwhile,
    CSRFFailed,
    InsufficientScope,
    InvalidClient,
    InvalidRequest,
    InvalidToken,
    MissingToken,
    NotFound,
    SlowDown,
    Unavailable,
    UnsupportedBody,
    body,
)
from api.openapi.components import SECURITY_SCHEMES, reference
from api.translation import translate

Method = TypeVar("Method", bound=Callable[..., Any])

ANY_JSON = {"type": ["object", "array"]}
NO_STORE = "no-store"
HEADERS = {
    **dict.fromkeys(("Accept-Encoding", "ETag", "Location", "WWW-Authenticate"), "string"),
    "Retry-After": "integer",
}
IF_MATCH = OpenApiParameter(
    "If-Match",
    location=OpenApiParameter.HEADER,
    description="The ETag of the client as you know it. If it has another one now, you get 412.",
)
OF_A_BODY = (exceptions.ParseError(), BodyTooLarge(), UnsupportedBody())
OF_A_CLIENT = (
    InvalidClient(),
    InvalidRequest("client_id is required."),
    SlowDown(42),
    Unavailable(),
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document, which is the same for every caller and every request."""
    generated: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return generated


@dataclass(frozen=True, slots=True, kw_only=True)
class Describe:
    """A decorator for a view's method. `returns` names a component; `takes` does, or is one.

    `media_type` is for a response that the renderers do not make. `query` reads the query, and
    `headers` are those of the response.
    """

    returns: str = ""
    media_type: str = ""
    takes: str | type[Serializer[Any]] = ""
    query: type[Serializer[Any]] | None = None
    headers: tuple[str, ...] = ()
    status: int = HTTPStatus.OK
    errors: tuple[APIError, ...] = ()
    cache_control: str = NO_STORE

    def __call__(self, method: Method) -> Method:
        method.described = self  # type: ignore[attr-defined]
        return method


class AutoSchema(openapi.AutoSchema):
    """drf-spectacular's, for views whose classes say who may call and whose docstrings say why."""

    @property
    def handler(self) -> Any:
        return handler(self.view, self.method)

    @property
    def described(self) -> Describe:
        return getattr(self.handler, "described", Describe())

    def is_excluded(self) -> bool:
        return self.method not in self._methods()

    def get_operation_id(self) -> str:
        names = {entry.path: entry.name.replace(":", "_") for entry in endpoints()}
        name = names[f"/{self.path_regex}"]
        others = self._methods() - {self.method, "HEAD", "OPTIONS"}
        return f"{name}_{self.method.lower()}" if others else name

    def _methods(self) -> set[str]:
        actions = getattr(self.view, "action_map", None) or {}
        return set(map(str.upper, actions)) or set(self.view.allowed_methods)

    def get_summary(self) -> str:
        return self._documentation()[0].removesuffix(".")

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular overrides it
        return self._documentation()[1]

    def get_tags(self) -> list[str]:
        return [type(self.view).__module__.rpartition(".")[2].replace("_", " ").capitalize()]

    def get_auth(self) -> list[dict[str, list[str]]]:
        """Return the ways to authenticate; the empty one is for anyone, or in the body."""
        schemes: list[dict[str, list[str]]] = []
        if self._authenticates_client():
            schemes = [{name: []} for name in METHODS if name in SECURITY_SCHEMES]
        elif self.view.authentication_classes:
            schemes = [{"oauth2": self._required_scopes()}, {"bearer": []}]
        return [*schemes, {}] if self._is_open() else schemes

    def get_override_parameters(self) -> list[Any]:
        if_match = [IF_MATCH] if ChangedMeanwhile in map(type, self.described.errors) else []
        return [*if_match, *([self.described.query] if self.described.query else [])]

    def get_request_serializer(self) -> Any:
        if hasattr(self.view, "serializer_class"):
            return super().get_request_serializer()
        if not isinstance(self.described.takes, str):
            return self.described.takes
        schema = reference(self.described.takes) if self.described.takes else ANY_JSON
        return {media_type: OpenApiRequest(schema) for media_type in self.map_parsers()}

    def get_response_serializers(self) -> Any:
        if hasattr(self.view, "serializer_class") and not self.described.returns:
            return super().get_response_serializers()
        if self.described.status == HTTPStatus.NO_CONTENT:
            return {self.described.status: OpenApiResponse(None, self.get_summary())}
        schema = reference(self.described.returns) if self.described.returns else ANY_JSON
        described = OpenApiResponse(schema, self.get_summary())
        if self.described.media_type:
            return {(self.described.status, self.described.media_type): described}
        return {self.described.status: described}

    def get_operation(self, *args: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args)
        if operation is None:
            return None
        for response in operation["responses"].values():
            response["headers"] = _headers(self.described.cache_control, *self.described.headers)
        by_status: dict[int, list[APIError]] = {}
        for error in filter(None, map(translate, self._errors())):
            by_status.setdefault(error.status_code, []).append(error)
        for status, group in sorted(by_status.items()):
            operation["responses"].setdefault(str(status), self._describe_errors(group))
        return operation

    def _documentation(self) -> tuple[str, str]:
        return split_docstring(self.handler if self.handler.__doc__ else type(self.view))

    def _authenticates_client(self) -> bool:
        return hasattr(self.view, "authenticate_client")

    def _required_scopes(self) -> list[str]:
        return list(getattr(self.view, "required_scopes", ()))

    def _is_open(self) -> bool:
        """Whether the permission classes let in a request that has no token."""
        try:
            self.view.check_permissions(self.view.request)
        except exceptions.APIException:
            return False
        return True

    def _errors(self) -> Iterator[Exception]:
        yield from self.described.errors
        if self._authenticates_client():
            yield from OF_A_CLIENT
        if self.view.authentication_classes:
            yield from (InvalidToken(), Unavailable())
            if self.method not in SAFE_METHODS:
                yield CSRFFailed()  # of a browser that relies on its cookie
        if not self._is_open():
            yield MissingToken()
            if scopes := self._required_scopes():
                yield InsufficientScope(scope=" ".join(scopes))
        if "{" in self.path:
            yield NotFound()
        if self.method in {"PATCH", "POST", "PUT"}:
            yield from OF_A_BODY
        if self.path_regex not in settings.HEALTH_CHECKS:
            yield InvalidRequest()  # a foreign Host, for example

    def _describe_errors(self, group: list[APIError]) -> dict[str, Any]:
        """Describe the responses of one status, with an example of each code, the first of it."""
        by_code = {error.default_code: error for error in reversed(group)}
        shown = {code: {"value": body(error)} for code, error in sorted(by_code.items())}
        content = {"schema": reference("Error"), "examples": shown}
        return {
            "description": " or ".join(sorted(by_code)),
            "headers": _headers(NO_STORE, *(name for error in group for name in error.headers)),
            "content": dict.fromkeys(self.map_renderers("media_type"), content),
        }


def _headers(cache_control: str, *others: str) -> dict[str, Any]:
    described = {name: {"schema": {"type": HEADERS[name]}} for name in sorted(set(others))}
    return {"Cache-Control": {"schema": {"const": cache_control}}, **described}
