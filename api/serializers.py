"""Serializers for resources that callers send."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.core.validators import RegexValidator
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api import client_keys, identifiers, public_keys
from api.jose import UnusableKeyError
from api.parameters import SCOPE
from api.scopes import is_scope

# Characters that would garble the text around a name: controls, zero widths, bidi marks.
UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"

PRINTABLE = RegexValidator(rf"^[^{UNPRINTABLE}]*\Z")
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

    client_name = TextField(max_length=150, validators=[PRINTABLE], **OPTIONAL)
    scope = TextField(max_length=SCOPE.max_length, validators=[NO_NUL], **OPTIONAL)
    token_endpoint_auth_method = TextField(max_length=100, validators=[NO_NUL], **OPTIONAL)
    jwks = JWKSetField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("token_endpoint_auth_method") == client_keys.METHOD and not attrs.get("jwks"):
            raise UnusableKeyError("With private_key_jwt, send jwks; jwks_uri is not supported.")
        return attrs


NAMEABLE = re.compile(r"[A-Za-z0-9_.-]{1,40}")  # what an error may repeat of an unknown field
MAX_NAMED = 10  # unknown fields
MAX_GRACE = timedelta(days=90)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses unknown fields too. An error has the field's `help_text`, and repeats no value."""

    def to_internal_value(self, data: Mapping[str, Any]) -> Any:
        wrong: dict[str, Any] = {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail: Any = error.detail
            wrong = {name: self.fields[name].help_text or detail[name] for name in detail}
        unknown = data.keys() - self.fields.keys()
        named = sorted(filter(NAMEABLE.fullmatch, unknown))[:MAX_NAMED]
        wrong |= dict.fromkeys(named, "is unknown")
        if len(named) < len(unknown):
            wrong["another field"] = "is unknown"
        if wrong:
            raise serializers.ValidationError(wrong)
        return value


class WholeNumberField(serializers.IntegerField):
    """An integer. DRF's turns any value into text first, and a deeply nested list has no end."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | str):
            self.fail("invalid")
        return int(super().to_internal_value(data))


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


class FutureField(serializers.DateTimeField):
    """A time at least a second ahead, because secrets expire at whole seconds; null is never."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            allow_null=True,
            help_text="must be a time to come, such as 2030-01-31T12:00:00Z",
        )

    def to_internal_value(self, value: Any) -> datetime:
        moment: datetime = super().to_internal_value(value)
        if moment.replace(microsecond=0) <= timezone.now():
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


class ClientQuerySerializer(StrictSerializer):
    """The conditions of the list of clients. `cursor` is read by the paginator."""

    search = TextField(
        required=False,
        max_length=150,
        help_text="must be the beginning of a client id, or of words in a name, "
        "at most 150 characters",
    )
    active = serializers.BooleanField(required=False, help_text="must be true or false")
    scope = TextField(required=False, max_length=150, help_text="must be a scope")
    resource = TextField(
        required=False, max_length=identifiers.MAX_LENGTH, help_text="must identify an API"
    )
    unused_since = MomentField()
    expiring_before = MomentField()
    cursor = TextField(
        required=False, max_length=500, help_text="must come from a page of the list"
    )


class UsageQuerySerializer(StrictSerializer):
    since = MomentField()


class NewClientSerializer(StrictSerializer):
    """A client to create."""

    client_name = NameField()
    scope = ScopeField()
    resources = ResourcesField()
    jwks = UsableKeysField(required=False)
    secret_expires_at = FutureField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("jwks") and attrs.get("secret_expires_at"):
            problem = "must be left out beside jwks, because a client with keys gets no secret"
            raise serializers.ValidationError({"secret_expires_at": problem})
        return attrs


class ClientChangesSerializer(StrictSerializer):
    """What to change of a client. The rest stays as it is."""

    client_name = NameField()
    active = serializers.BooleanField(required=False, help_text="must be true or false")
    scope = ScopeField()
    resources = ResourcesField()


class RotationSerializer(StrictSerializer):
    """How long the old secret stays good, in seconds, and when the new one expires."""

    grace = WholeNumberField(
        required=False,
        min_value=0,
        max_value=int(MAX_GRACE.total_seconds()),
        help_text=f"must be seconds, at most {MAX_GRACE.total_seconds():.0f}",
    )
    expires_at = FutureField()


class NothingSerializer(StrictSerializer):
    """A body without fields."""
