"""Serializers for resources that callers send."""

from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api import client_keys, public_keys
from api.jose import UnusableKeyError
from api.parameters import SCOPE

# Characters that would garble the text around a name: controls, zero widths, bidi marks.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"

NO_NUL = RegexValidator(r"^[^\x00]*\Z")
OPTIONAL: dict[str, Any] = {"required": False, "allow_blank": True, "allow_null": True}


class TextField(serializers.CharField):
    """A string, exactly as sent: it is not trimmed, and numbers are refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


@extend_schema_field(
    {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array"}}}
)
class JWKSetField(serializers.JSONField):
    """A JWK Set of public keys. Raises `UnusableKeyError`."""

    def to_internal_value(self, data: Any) -> Any:  # a list of `GivenKey`
        return public_keys.read_set(data)


class RegistrationSerializer(serializers.Serializer[Any]):
    """The supported client metadata (RFC 7591 §2). Null and empty values count as absent."""

    client_name = TextField(
        max_length=150, validators=[RegexValidator(rf"^[^{UNPRINTABLE}]*\Z")], **OPTIONAL
    )
    scope = TextField(max_length=SCOPE.max_length, validators=[NO_NUL], **OPTIONAL)
    token_endpoint_auth_method = TextField(max_length=100, validators=[NO_NUL], **OPTIONAL)
    jwks = JWKSetField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("token_endpoint_auth_method") == client_keys.METHOD and not attrs.get("jwks"):
            raise UnusableKeyError("With private_key_jwt, send jwks; jwks_uri is not supported.")
        return attrs
