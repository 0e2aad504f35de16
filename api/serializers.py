"""Resources that callers send, as DRF serializers."""

from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers

# What would change how the text around a name is read: controls, zero widths, changes of direction.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"


class TextField(serializers.CharField):
    """A string as it was sent: neither trimmed, nor made from a number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class RegistrationSerializer(serializers.Serializer[Any]):
    """The client metadata that is honoured (RFC 7591 §2); null and empty count as absent."""

    client_name = TextField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=150,
        validators=[RegexValidator(rf"^[^{UNPRINTABLE}]*\Z")],
    )
    scope = TextField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=4096,
        validators=[RegexValidator(r"^[^\x00]*\Z")],
    )
