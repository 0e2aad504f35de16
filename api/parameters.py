"""Read OAuth's request parameters into typed values (RFC 6749 §3.2).

An empty parameter counts as absent, and unknown ones are ignored. Values are never trimmed or
converted: a number is not a string.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator

from api import identifiers

CLIENT_CREDENTIALS = "client_credentials"
GRANT_TYPE_REQUIRED = (
    "grant_type is required unless the body is application/json; add grant_type=client_credentials."
)
GRANT_TYPE_SPELLING = (
    "grant_type must be client_credentials, in lower case and without spaces or line breaks."
)


class ParameterError(Exception):
    """A parameter is missing or malformed. The message names it but never repeats its value."""


class UnsupportedGrantTypeError(Exception):
    """The client requests a grant type that is not supported. A message may tell the caller why."""


def is_unicode(value: str) -> None:
    """Refuse lone surrogates: JSON can express them, UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("The text contains lone surrogates.") from error


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: a string of at most `max_length` characters that all validators accept.

    Validators are as in Django: each raises `ValidationError` for a value it refuses.
    """

    name: str
    max_length: int = 100
    validators: tuple[Callable[[str], None], ...] = (ProhibitNullCharactersValidator(), is_unicode)

    def read(self, parameters: Mapping[str, Any]) -> str | None:
        """Return the value, or `None` if there is none. Raises `ParameterError`."""
        value = parameters.get(self.name)
        if value is None or value == "":
            return None
        if not isinstance(value, str) or len(value) > self.max_length:
            raise ParameterError(f"{self.name} is malformed.")
        try:
            for validate in self.validators:
                validate(value)
        except ValidationError as error:
            raise ParameterError(f"{self.name} is malformed.") from error
        return value

    def require(self, parameters: Mapping[str, Any]) -> str:
        """Return the value. Raises `ParameterError`."""
        value = self.read(parameters)
        if value is None:
            raise ParameterError(f"{self.name} is required.")
        return value


CLIENT_ID = Parameter("client_id", max_length=150)
CLIENT_SECRET = Parameter("client_secret", max_length=1024)
CLIENT_ASSERTION = Parameter("client_assertion", max_length=64 * 1024)
CLIENT_ASSERTION_TYPE = Parameter("client_assertion_type")
GRANT_TYPE = Parameter("grant_type")
SCOPE = Parameter("scope", max_length=64 * 1024)
TOKEN = Parameter("token", max_length=64 * 1024)
TOKEN_TYPE_HINT = Parameter("token_type_hint")
RESOURCE = Parameter("resource", max_length=identifiers.MAX_LENGTH)


def read_scope(parameters: Mapping[str, Any], *, is_json: bool) -> str | None:
    """Return the requested scope of a token request, if any (RFC 6749 §4.4.2).

    `grant_type` is required in a form and optional in JSON, as the walk-through omits it there.
    Raises `ParameterError`, `UnsupportedGrantTypeError`.
    """
    grant_type, scope = GRANT_TYPE.read(parameters), SCOPE.read(parameters)
    if grant_type is None and not is_json:
        raise ParameterError(GRANT_TYPE_REQUIRED)
    if grant_type in {None, CLIENT_CREDENTIALS}:
        return scope
    if str(grant_type).strip().lower() == CLIENT_CREDENTIALS:
        raise UnsupportedGrantTypeError(GRANT_TYPE_SPELLING)
    raise UnsupportedGrantTypeError


def read_resources(parameters: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the values of `resource`, which may repeat; in JSON it may be an array (RFC 8707 §2).

    A malformed value is returned as it is: `resources.select` refuses it like an unknown one.
    """
    value = parameters.get(RESOURCE.name)
    values = value if isinstance(value, list) else [value]
    return tuple(one for one in values if one is not None and one != "")


def read_token(parameters: Mapping[str, Any]) -> str:
    """Return the token to introspect or revoke (RFC 7662 §2.1, RFC 7009 §2.1).

    The hint must be well-formed. It has no effect, because there is only one type of token.
    Raises `ParameterError`.
    """
    TOKEN_TYPE_HINT.read(parameters)
    return TOKEN.require(parameters)
