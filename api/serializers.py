"""Serializers for resources that callers send."""

import re
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from api import client_keys, identifiers
from api.clients import MAX_GRACE
from api.fields import (
    NO_NUL,
    PRINTABLE,
    EndField,
    JWKSetField,
    MomentField,
    NameField,
    QueryBooleanField,
    ResourcesField,
    ScopeField,
    StrictBooleanField,
    TextField,
    UsableKeysField,
)
from api.jose import UnusableKeyError
from api.parameters import SCOPE

OPTIONAL: dict[str, Any] = {"required": False, "allow_blank": True, "allow_null": True}
NAMEABLE = re.compile(r"[A-Za-z0-9_.-]{1,40}")  # what an error may repeat of an unknown field
MAX_NAMED = 10  # unknown fields


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


class ClientQuerySerializer(StrictSerializer):
    """The conditions of the list of clients. `cursor` is read by the paginator."""

    search = TextField(
        required=False,
        max_length=150,
        help_text="must be the beginning of a client id, or of words in a name, "
        "at most 150 characters",
    )
    active = QueryBooleanField(required=False, help_text="must be true or false")
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
    jwks = UsableKeysField(required=False, allow_null=True)
    secret_expires_at = EndField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("jwks") and attrs.get("secret_expires_at"):
            problem = "must be left out beside jwks, because a client with keys gets no secret"
            raise serializers.ValidationError({"secret_expires_at": problem})
        return attrs


class ClientChangesSerializer(StrictSerializer):
    """What to change of a client. The rest stays as it is."""

    client_name = NameField()
    active = StrictBooleanField(required=False, help_text="must be true or false")
    scope = ScopeField()
    resources = ResourcesField()


class RotationSerializer(StrictSerializer):
    """How long the old secret stays good, in seconds, and when the new one expires."""

    grace = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=int(MAX_GRACE.total_seconds()),
        help_text=f"must be seconds, at most {MAX_GRACE.total_seconds():.0f}",
    )
    expires_at = EndField()


class NothingSerializer(StrictSerializer):
    """A body without fields."""
