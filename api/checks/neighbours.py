"""Check what the processes share: the database, Redis, and figures."""

from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection
from psycopg.pq import Conninfo

from api import health, keys
from api.checks.address import is_this_machine
from api.throttling.counters import probe
from api.translation import UNAVAILABLE

UNLESS = "Leave it only if nobody else is on that network, as in deploy/compose.yaml."


@checks.register(checks.Tags.database)
def check_encoding(databases: Any = None, **_kwargs: Any) -> list[checks.CheckMessage]:
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
        checks.Warning(
            f"The database's encoding is {encoding}, so {effect}.",
            hint="Create it with the encoding UTF-8.",
            id="api.W003",
        )
    ]


@checks.register(checks.Tags.security)
def check_shared_counters(**_kwargs: Any) -> list[checks.CheckMessage]:
    if settings.WORKERS < 2 or settings.REDIS_URL:
        return []
    return [
        checks.Warning(
            f"Each of {settings.WORKERS} workers counts failed logins by itself, so together they "
            f"allow {settings.WORKERS} times the limit.",
            hint="Set REDIS_URL, so that all workers share one count.",
            id="api.W001",
        )
    ]


@checks.register(checks.Tags.security)
def check_shared_metrics(**_kwargs: Any) -> list[checks.CheckMessage]:
    if settings.WORKERS < 2 or settings.METRICS_DIRECTORY:
        return []
    return [
        checks.Warning(
            f"Each of {settings.WORKERS} workers shows figures of its own at /metrics.",
            hint="Set PROMETHEUS_MULTIPROC_DIR to a directory that is empty at the start.",
            id="api.W004",
        )
    ]


@checks.register(checks.Tags.database, deploy=True)
def check_readiness(databases: Any = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Ask what `/readyz` asks. Another check reports a missing signing key."""
    try:
        if databases:
            health.check_readiness()
    except keys.NoSigningKeyError:
        pass
    except (health.NotMigratedError, health.ReadOnlyDatabaseError, *UNAVAILABLE) as error:
        reason = str(error).partition("\n")[0]
        return [
            checks.Error(
                f"The service would not be ready: {reason}",
                hint="Start the database, correct DATABASE_URL, or run manage.py migrate.",
                id="api.E010",
            )
        ]
    return []


@checks.register(checks.Tags.security, deploy=True)
def check_database_tls(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of what libpq would do: it also reads variables such as `PGSSLMODE`."""
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("postgresql"):
        return []
    defaults = {one.keyword.decode(): (one.val or b"").decode() for one in Conninfo.get_defaults()}
    options = defaults | database.get("OPTIONS", {})
    hosts = options["hostaddr"] or database.get("HOST") or options["host"]
    is_encrypted = (
        options["sslmode"] in {"require", "verify-ca", "verify-full"}
        or options["sslrootcert"] == "system"  # demands verify-full
    )
    if is_encrypted or all(is_this_machine(host) for host in hosts.split(",")):
        return []
    return [
        checks.Warning(
            "The database is on another machine, and neither DATABASE_URL nor PGSSLMODE demands "
            "TLS: names, hashes of secrets and encrypted keys may cross the network in the clear.",
            hint="Add ?sslmode=verify-full&sslrootcert=system to DATABASE_URL, or name the file "
            f"of your own CA. {UNLESS}",
            id="api.W010",
        )
    ]


@checks.register(checks.Tags.security, deploy=True)
def check_redis_tls(**_kwargs: Any) -> list[checks.CheckMessage]:
    scheme, _, rest = settings.REDIS_URL.partition("://")
    is_encrypted = scheme.startswith("rediss") and "ssl_cert_reqs=none" not in rest
    places = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    # Several are Sentinels. Between the slashes of a socket's address, there is none.
    hosts = [urlsplit(f"//{place}").hostname or "" for place in places.split(",")]
    if is_encrypted or all(is_this_machine(host) for host in hosts):
        return []
    return [
        checks.Warning(
            "Redis is on another machine, and REDIS_URL does not demand TLS: its password may "
            "cross the network in the clear.",
            hint="Begin REDIS_URL with rediss:// or rediss+sentinel://, without "
            f"ssl_cert_reqs=none. For a CA of your own add ?ssl_ca_certs=FILE. {UNLESS}",
            id="api.W011",
        )
    ]


@checks.register(checks.Tags.security, deploy=True)
def check_redis(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Count in many slots of Redis: a node of a cluster refuses most of them, but not all."""
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
                checks.Error(
                    f"Redis refuses us ({type(error).__name__}: {error}), so each process counts "
                    "failed logins by itself.",
                    hint="Check user, password, permissions, ssl_ca_certs and the number in "
                    "REDIS_URL. A Redis cluster is not supported.",
                    id="api.E007",
                )
            ]
        return [
            checks.Warning(
                f"Redis fails ({type(error).__name__}: {error}). Until it is back, each process "
                "counts failed logins by itself.",
                hint="Start Redis, give it memory, or name its master in REDIS_URL.",
                id="api.W005",
            )
        ]
    return []
