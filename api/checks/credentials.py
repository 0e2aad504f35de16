"""Check what protects secrets and tokens: keys, hashes, and the clients that are stored."""

from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, check_password, get_hashers
from django.contrib.auth.models import User
from django.core import checks
from django.db import DatabaseError, connection
from django.db.models import Q

from api import keys
from api.hashers import ChosenSecretHasher, readable_prefixes
from api.management.commands.demo import CLIENT_ID, CLIENT_SECRET
from api.models import Client, SigningKey

# Memory in KiB by number of passes, all equally strong (OWASP Password Storage Cheat Sheet).
OWASP_ARGON2ID = {1: 47104, 2: 19456, 3: 12288, 4: 9216, 5: 7168}


@checks.register(checks.Tags.security)
def check_secret_key(**_kwargs: Any) -> list[checks.CheckMessage]:
    weak = [
        key
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        if len(key) < 50 or len(set(key)) < 5 or key.startswith("django-insecure-")
    ]
    return weak[:1] and [
        checks.Error(
            "A SECRET_KEY is short or a default. Whoever guesses it can read the signing keys.",
            hint="Set SECRET_KEY to 50 random characters or more.",
            id="api.E001",
        )
    ]


@checks.register(checks.Tags.security)
def check_argon2_parameters(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Check the first hasher of the list: Django hashes every new password with it."""
    hasher = get_hashers()[0]
    if isinstance(hasher, ChosenSecretHasher):
        passes = min(hasher.time_cost, max(OWASP_ARGON2ID))
        if passes >= 1 and hasher.memory_cost >= OWASP_ARGON2ID[passes]:
            return []
    return [
        checks.Error(
            "The hash for chosen secrets is not Argon2id, or it is weaker than OWASP recommends.",
            hint="List api.hashers.ChosenSecretHasher first in PASSWORD_HASHERS, with a "
            "memory_cost of 19456 KiB and a time_cost of 2 or more.",
            id="api.E004",
        )
    ]


@checks.register(checks.Tags.database)
def check_signing_key(databases: Any = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Check only if a database is given and its tables exist."""
    try:
        if not databases or not _has_keys():
            return []
        keys.signing_key()
    except keys.NoSigningKeyError:
        return [
            checks.Warning(
                "No signing key is usable: there is none, or another SECRET_KEY encrypted it.",
                hint=keys.REMEDY,
                id="api.W002",
            )
        ]
    except DatabaseError:
        pass  # a command that needs the database reports this itself
    return []


@checks.register(checks.Tags.database)
def check_demo_client(databases: Any = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse to serve the demo client in public, because everybody knows its secret."""
    if settings.IS_LOCAL or not databases:
        return []
    try:
        found = Client.objects.filter(username=CLIENT_ID, is_active=True).first()
    except DatabaseError:
        return []
    if found is None or not check_password(CLIENT_SECRET, found.password):
        return []
    return [
        checks.Error(
            f"Client {CLIENT_ID} has the secret of the demo, which everybody knows.",
            hint="Delete or deactivate it while PUBLIC_URL is local, or rotate its secret.",
            id="api.E006",
        )
    ]


@checks.register(checks.Tags.database)
def check_stored_hashes(databases: Any = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Count the hashes that another Django project made, and that no hasher here can read."""
    readable = Q(password="") | Q(password__startswith=UNUSABLE_PASSWORD_PREFIX)
    for prefix in readable_prefixes():
        readable |= Q(password__startswith=prefix)
    try:
        count = User.objects.exclude(readable).count() if databases else 0
    except DatabaseError:
        return []
    if not count:
        return []
    return [
        checks.Warning(
            f"No hasher here can read {count} of the stored hashes of clients and staff, so "
            "these logins fail.",
            hint="Give them new secrets, or add the hasher to PASSWORD_HASHERS. The log names them "
            "when they try, with the reason 'unreadable hash'.",
            id="api.W006",
        )
    ]


def _has_keys() -> bool:
    return SigningKey._meta.db_table in connection.introspection.table_names()
