"""System checks, with stable ids, for unsafe settings.

`settings.py` refuses most of them at start. The checks also see settings from elsewhere, such as a
module that imports ours and changes a line.
"""

from contextlib import closing
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, check_password, get_hashers
from django.contrib.auth.models import User
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.db import DatabaseError, connection
from django.db.models import Q
from django.urls import is_valid_path

from api import keys
from api.hashers import ChosenSecretHasher, readable_prefixes
from api.management.commands.demo import CLIENT_ID, CLIENT_SECRET
from api.models import Client, SigningKey
from api.throttling.counters import probe

# Memory in KiB by number of passes, all equally strong (OWASP Password Storage Cheat Sheet).
OWASP_ARGON2ID = {1: 47104, 2: 19456, 3: 12288, 4: 9216, 5: 7168}


@register(Tags.security)
def check_secret_key(**_kwargs: Any) -> list[CheckMessage]:
    weak = [
        key
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        if len(key) < 50 or len(set(key)) < 5 or key.startswith("django-insecure-")
    ]
    return weak[:1] and [
        Error(
            "A SECRET_KEY is short or a default. Whoever guesses it can read the signing keys.",
            hint="Set SECRET_KEY to 50 random characters or more.",
            id="api.E001",
        )
    ]


@register(Tags.security)
def check_public_url(**_kwargs: Any) -> list[CheckMessage]:
    if settings.IS_LOCAL or settings.PUBLIC_URL.startswith("https://"):
        return []
    return [
        Error(
            "PUBLIC_URL is http: secrets and tokens would cross the network in the clear.",
            hint="Serve over https, and set PUBLIC_URL to the https address.",
            id="api.E002",
        )
    ]


@register(Tags.urls)
def check_path(**_kwargs: Any) -> list[CheckMessage]:
    """Refuse a path that the service has too: nobody could tell whether a proxy cut it off."""
    path = settings.FORCE_SCRIPT_NAME or ""
    static = f"{path}/".startswith(settings.STATIC_URL.removeprefix(path))
    if not path or not (static or is_valid_path(path) or is_valid_path(f"{path}/")):
        return []
    return [
        Error(
            f"PUBLIC_URL ends in {path}, which is also a path of the service.",
            hint="Give PUBLIC_URL another path, such as /auth.",
            id="api.E008",
        )
    ]


@register(Tags.security)
def check_debug(**_kwargs: Any) -> list[CheckMessage]:
    if settings.IS_LOCAL or not settings.DEBUG:
        return []
    return [
        Error(
            "DEBUG is on in public: error pages would show settings and requests.",
            hint="Do not set DEBUG.",
            id="api.E003",
        )
    ]


@register(Tags.security)
def check_argon2_parameters(**_kwargs: Any) -> list[CheckMessage]:
    """Check the first hasher of the list: Django hashes every new password with it."""
    hasher = get_hashers()[0]
    if isinstance(hasher, ChosenSecretHasher):
        passes = min(hasher.time_cost, max(OWASP_ARGON2ID))
        if passes >= 1 and hasher.memory_cost >= OWASP_ARGON2ID[passes]:
            return []
    return [
        Error(
            "The hash for chosen secrets is not Argon2id, or it is weaker than OWASP recommends.",
            hint="List api.hashers.ChosenSecretHasher first in PASSWORD_HASHERS, with a "
            "memory_cost of 19456 KiB and a time_cost of 2 or more.",
            id="api.E004",
        )
    ]


@register(Tags.security)
def check_cookies(**_kwargs: Any) -> list[CheckMessage]:
    if not settings.IS_HTTPS or (settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE):
        return []
    return [
        Error(
            "The session or the CSRF cookie would be sent over http too.",
            hint="Set SESSION_COOKIE_SECURE and CSRF_COOKIE_SECURE to True.",
            id="api.E005",
        )
    ]


@register(Tags.security)
def check_shared_counters(**_kwargs: Any) -> list[CheckMessage]:
    if settings.WORKERS < 2 or settings.REDIS_URL:
        return []
    return [
        Warning(
            f"Each of {settings.WORKERS} workers counts failed logins by itself, so together they "
            f"allow {settings.WORKERS} times the limit.",
            hint="Set REDIS_URL, so that all workers share one count.",
            id="api.W001",
        )
    ]


@register(Tags.security, deploy=True)
def check_trusted_proxies(**_kwargs: Any) -> list[CheckMessage]:
    if settings.TRUSTED_PROXIES or not settings.SECURE_SSL_REDIRECT:
        return []
    return [
        Warning(
            "PUBLIC_URL is https and TRUSTED_PROXIES is 0: behind a proxy that speaks TLS, every "
            "request is redirected for ever, and all callers share one rate limit.",
            hint="Set TRUSTED_PROXIES to the number of proxies in front. 0 is right only if the "
            "server itself speaks TLS.",
            id="api.W007",
        )
    ]


def check_redis(**_kwargs: Any) -> list[CheckMessage]:
    """Count in Redis, in many slots: a node of a cluster refuses most of them, but not all."""
    if not settings.REDIS_URL:
        return []
    from api.throttling import redis  # 7 MB, only if needed

    try:
        with closing(redis.RedisStore(settings.REDIS_URL)) as store:
            for _ in range(20):
                store.add(probe())
    except redis.ERRORS as error:
        if redis.is_lasting(error):
            return [
                Error(
                    f"Redis refuses us ({type(error).__name__}: {error}), so each process counts "
                    "failed logins by itself.",
                    hint="Check user, password, permissions, ssl_ca_certs and the number in "
                    "REDIS_URL. A node of a Redis cluster does not do.",
                    id="api.E007",
                )
            ]
        return [
            Warning(
                f"Redis fails ({type(error).__name__}: {error}). Until it is back, each process "
                "counts failed logins by itself.",
                hint="Start Redis, give it memory, or name its master in REDIS_URL.",
                id="api.W005",
            )
        ]
    return []


@register(Tags.security)
def check_shared_metrics(**_kwargs: Any) -> list[CheckMessage]:
    if settings.WORKERS < 2 or settings.METRICS_DIRECTORY:
        return []
    return [
        Warning(
            f"Each of {settings.WORKERS} workers shows figures of its own at /metrics.",
            hint="Set PROMETHEUS_MULTIPROC_DIR to a directory that is empty at the start.",
            id="api.W004",
        )
    ]


@register(Tags.database)
def check_signing_key(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """Check only if a database is given and its tables exist."""
    try:
        if not databases or not _has_keys():
            return []
        keys.signing_key()
    except keys.NoSigningKeyError:
        return [
            Warning(
                "No signing key is usable: there is none, or another SECRET_KEY encrypted it.",
                hint=keys.REMEDY,
                id="api.W002",
            )
        ]
    except DatabaseError:
        pass  # a command that needs the database reports this itself
    return []


@register(Tags.database)
def check_demo_client(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
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
        Error(
            f"Client {CLIENT_ID} has the secret of the demo, which everybody knows.",
            hint="Delete or deactivate it while PUBLIC_URL is local, or rotate its secret.",
            id="api.E006",
        )
    ]


@register(Tags.database)
def check_stored_hashes(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
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
        Warning(
            f"No hasher here can read the stored hashes of {count} clients or staff, so they "
            "cannot log in.",
            hint="Give them new secrets, or add the hasher to PASSWORD_HASHERS. The log names them "
            "when they try, with the reason 'unreadable hash'.",
            id="api.W006",
        )
    ]


@register(Tags.database)
def check_encoding(databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """Warn of a PostgreSQL that cannot hold every name, and an SQLite whose times look empty."""
    if not databases:
        return []
    is_sqlite = connection.vendor == "sqlite"
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA encoding" if is_sqlite else "SHOW server_encoding")
            (encoding,) = cursor.fetchone()
    except DatabaseError:
        return []
    if encoding in {"UTF8", "UTF-8"}:
        return []
    effect = "Django cannot read its times" if is_sqlite else "it cannot hold every name"
    return [
        Warning(
            f"The database's encoding is {encoding}, so {effect}.",
            hint="Create it with the encoding UTF-8.",
            id="api.W003",
        )
    ]


def _has_keys() -> bool:
    return SigningKey._meta.db_table in connection.introspection.table_names()
