"""OAuth's request parameters, read into typed values (RFC 6749 §3.2).

A parameter without a value counts as absent, and unknown ones are ignored. A value is taken exactly
as it was sent: nothing is trimmed, and a number is no string.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator

GRANT_TYPE_REQUIRED = "grant_type is required unless the body is application/json."


class ParameterError(Exception):
    """A parameter is missing or malformed; the message says which, and never repeats its value."""


class UnsupportedGrantTypeError(Exception):
    """The client asks for a grant that is not supported here."""


def is_unicode(value: str) -> None:
    """Refuse lone surrogates, which JSON can spell and UTF-8 cannot."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError("Lone surrogates are no text.") from error


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: a string of at most `max_length` characters that its validators accept.

    `validators` are Django's: each raises `ValidationError` for a value it refuses.
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
GRANT_TYPE = Parameter("grant_type")
SCOPE = Parameter("scope", max_length=4096)
TOKEN = Parameter("token", max_length=64 * 1024)
TOKEN_TYPE_HINT = Parameter("token_type_hint")


def read_scope(parameters: Mapping[str, Any], *, is_json: bool) -> str | None:
    """Return the scope that a token request asks for, if any (RFC 6749 §4.4.2).

    The walk-through sends JSON without a `grant_type`; a form has to name it.
    Raises `ParameterError`, `UnsupportedGrantTypeError`.
    """
    grant_type, scope = GRANT_TYPE.read(parameters), SCOPE.read(parameters)
    if grant_type is None and not is_json:
        raise ParameterError(GRANT_TYPE_REQUIRED)
    if grant_type not in {None, "client_credentials"}:
        raise UnsupportedGrantTypeError
    return scope


def read_token(parameters: Mapping[str, Any]) -> str:
    """Return the token to introspect or revoke (RFC 7662 §2.1, RFC 7009 §2.1).

    The hint has to be well-formed; there is one type of token, so it tells nothing.
    Raises `ParameterError`.
    """
    TOKEN_TYPE_HINT.read(parameters)
    return TOKEN.require(parameters)
