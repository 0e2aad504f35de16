"""Serializers for resources that callers send."""

from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers

from api.parameters import SCOPE

# Characters that would garble the text around a name: controls, zero widths, bidi marks.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"

OPTIONAL: dict[str, Any] = {"required": False, "allow_blank": True, "allow_null": True}


class TextField(serializers.CharField):
    """A string, exactly as sent: it is not trimmed, and numbers are refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class RegistrationSerializer(serializers.Serializer[Any]):
    """The supported client metadata (RFC 7591 §2). Null and empty values count as absent."""

    client_name = TextField(
        max_length=150, validators=[RegexValidator(rf"^[^{UNPRINTABLE}]*\Z")], **OPTIONAL
    )
    scope = TextField(
        max_length=SCOPE.max_length, validators=[RegexValidator(r"^[^\x00]*\Z")], **OPTIONAL
    )
