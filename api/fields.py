"""Fields of what callers send: exact strings, keys, times, and the names of scopes and APIs."""

from datetime import datetime, timedelta
from typing import Any

from django.core.validators import RegexValidator
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api import identifiers, public_keys
from api.jose import UnusableKeyError
from api.parameters import SCOPE
from api.scopes import is_scope

# Characters that would garble the text around a name: controls, zero widths, bidi marks.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"

PRINTABLE = RegexValidator(rf"^[^{UNPRINTABLE}]*\Z")
NO_NUL = RegexValidator(r"^[^\x00]*\Z")


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


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean. DRF also takes 1, "yes" and the like."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return bool(data)


class QueryBooleanField(serializers.BooleanField):
    """`true` or `false`, as in JSON."""

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid", input=data)
        return bool(data == "true")


class NameField(TextField):
    def __init__(self) -> None:
        super().__init__(
            required=False,
            allow_blank=True,
            max_length=150,
            validators=[PRINTABLE],
            help_text="must be a text of at most 150 printable characters",
        )


class ScopeField(TextField):
    """The names of scopes with spaces between them, as a set."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            allow_blank=True,
            max_length=SCOPE.max_length,
            help_text="must be scopes with spaces between them",
        )

    def run_validation(self, data: Any = serializers.empty) -> Any:
        value = super().run_validation(data)
        if not isinstance(value, str):
            return value
        names = set(filter(None, value.split(" ")))
        if not all(map(is_scope, names)):
            self.fail("invalid")
        return names


class MomentField(serializers.DateTimeField):
    def __init__(self) -> None:
        super().__init__(required=False, help_text="must be a time, such as 2026-01-31T12:00:00Z")


class EndField(serializers.DateTimeField):
    """When something ends; null is never. Not so soon that it is over before it is stored."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            allow_null=True,
            help_text="must be at least a minute ahead, such as 2030-01-31T12:00:00Z",
        )

    def to_internal_value(self, value: Any) -> datetime:
        moment: datetime = super().to_internal_value(value)
        if moment < timezone.now() + timedelta(minutes=1):
            self.fail("invalid", format="")
        return moment


class ResourcesField(serializers.ListField):
    """The identifiers of APIs."""

    child = TextField(max_length=identifiers.MAX_LENGTH)

    def __init__(self) -> None:
        super().__init__(
            required=False,
            max_length=1000,
            help_text="must be a list of the identifiers of APIs, each an absolute URI",
        )

    def to_internal_value(self, data: Any) -> list[str]:
        named: list[str] = super().to_internal_value(data)
        if not all(map(identifiers.is_absolute, named)):
            self.fail("not_a_list", input_type="")
        return named


class UsableKeysField(JWKSetField):
    """A JWK Set. A key that is not usable is an error of the field, with the reason."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except UnusableKeyError as error:
            raise serializers.ValidationError(f"is not usable: {error}") from error
