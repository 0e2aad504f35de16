"""Scopes are Django's groups, if their names can be scopes (RFC 6749 §3.3)."""

import re
from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

# The scopes that this service requires.
INTROSPECT, REGISTER = "introspect", "register"
CLIENTS_READ, CLIENTS_WRITE, KEYS_WRITE = "clients:read", "clients:write", "keys:write"
SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
NOT_A_SCOPE = (
    "A scope has letters and digits of ASCII and punctuation, such as orders:read, but no space, "
    "double quote or backslash."
)


def is_scope(name: str) -> bool:
    """Tell whether a group's name can be a scope: one with spaces would be read as several."""
    return bool(SCOPE.fullmatch(name))


def validate_scope(name: str) -> None:
    """Refuse a name that no group, or no scope, can have. Raises `ValidationError`."""
    if not is_scope(name):
        what = "which is ASCII without space, double quote or backslash"
        raise ValidationError({"scopes": f"{name!r} is not a scope, {what}."})
    Group(name=name).clean_fields()


def get_or_create_scopes(names: Iterable[str]) -> list[Group]:
    """Return the groups of these names. Raises `ValidationError`."""
    names = set(names)
    for name in names:
        validate_scope(name)
    return [Group.objects.get_or_create(name=name)[0] for name in names]
