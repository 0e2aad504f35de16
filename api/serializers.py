"""Untrusted input becomes typed data here, and only here.

Parameters without a value count as absent, and unknown ones are ignored (RFC 6749 §3.2). Values are
taken exactly as they were sent: nothing is trimmed, and a number is no string.
"""

import base64
from functools import cache, partial
from typing import Any
from urllib.parse import unquote_plus

from django.core.validators import RegexValidator
from rest_framework import serializers
from rest_framework.fields import empty

from api.exceptions import InvalidRequest

MAX_SECRET = 1024  # characters
MAX_TOKEN = 64 * 1024  # characters; longer ones are no request that gets here
MALFORMED_BASIC = "The Basic credentials are malformed."


class TextField(serializers.CharField):
    """A string as it was sent: neither trimmed, nor made from a number."""

    characters = r"[^\x00]"

    def __init__(self, *, max_length: int = 100, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, max_length=max_length, **kwargs)
        self.limit = max_length

    def run_validation(self, data: Any = empty) -> Any:
        """Let pass at once what no validator of ours could object to: short, printable text."""
        if isinstance(data, str) and data.isprintable() and len(data) <= self.limit:
            return data
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


def without_empty(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value not in ("", None)}


class Parameters(serializers.Serializer[Any]):
    """The parameters of one request (RFC 6749 §3.2)."""

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """Return the parameters in a request's data. Raises DRF's `ValidationError`."""
        parameters: dict[str, Any] = _made(cls).run_validation(data)
        return parameters

    def run_validation(self, data: Any = empty) -> Any:
        """Ask the fields, and no more than them: no rule is about several of them together."""
        given, found = without_empty(data), {}
        for name, field in self.fields.items():
            if name not in given and not field.required and field.default is empty:
                continue
            try:
                found[name] = field.run_validation(given.get(name, empty))
            except serializers.ValidationError as error:
                raise serializers.ValidationError({name: error.detail}) from error
        return found


@cache
def _made(serializer_class: type[Parameters]) -> Parameters:
    """Make a serializer once: it keeps nothing of what it validates, and is slow to make."""
    return serializer_class()


class ClientCredentialsSerializer(Parameters):
    """How a client says who it is (RFC 6749 §2.3.1)."""

    client_id = TextField(max_length=150)
    client_secret = TextField(max_length=MAX_SECRET)


class TokenRequestSerializer(Parameters):
    """What a client asks of the token endpoint (RFC 6749 §4.4.2)."""

    grant_type = TextField(required=False)
    scope = TextField(required=False, max_length=4096)


class TokenSerializer(Parameters):
    """A token to look into or to revoke (RFC 7662 §2.1, RFC 7009 §2.1)."""

    token = TextField(max_length=MAX_TOKEN)
    token_type_hint = TextField(required=False)


class NameField(TextField):
    """A name to show people, in which nothing changes how what stands around it is read."""

    characters = r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validators=[RegexValidator(rf"^{self.characters}*\Z")], **kwargs)


class RegistrationSerializer(Parameters):
    """The client metadata that is honoured (RFC 7591 §2)."""

    client_name = NameField(required=False, default="", max_length=150)
    scope = TextField(required=False, default="", max_length=4096)


def read_credentials(data: dict[str, Any]) -> tuple[str, str]:
    """Return the client's id and secret. Raises DRF's `ValidationError`."""
    found = ClientCredentialsSerializer.read(data)
    return found["client_id"], found["client_secret"]


def parse_basic(encoded: str) -> list[tuple[str, str]]:
    """Return the (id, secret) pairs that the credentials of a Basic header can mean.

    RFC 6749 §2.3.1 has both form-urlencoded first, and many clients don't. Where the two readings
    differ and both are possible, both are given, the standard's first. Raises `InvalidRequest`.
    """
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        raise InvalidRequest(MALFORMED_BASIC) from None
    readings: list[tuple[str, str]] = []
    for read in (partial(unquote_plus, errors="strict"), str):
        try:
            found = read_credentials({"client_id": read(client_id), "client_secret": read(secret)})
        except (ValueError, serializers.ValidationError):
            continue
        if found not in readings:
            readings.append(found)
    if not readings:
        raise InvalidRequest(MALFORMED_BASIC)
    return readings
