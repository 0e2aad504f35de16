"""Connect to Redis as `REDIS_URL` says: to one server, or to the master that Sentinels name.

The parameters of the URL are those of redis-py's connections. The Sentinels may have a user and a
password of their own, in `sentinel_username` and `sentinel_password`.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

TIMEOUT = 0.5  # seconds
SENTINEL_PORT = 26379
FORM = (
    "must be redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss:// for TLS, or "
    "redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME/NUMBER."
)
_ONE_SERVER = re.compile(r"rediss?://[^/]*(/[0-9]*)?|unix://.+")
_SENTINELS = re.compile(r"(rediss?)\+sentinel://([^/]*@)?([^/@]+)/([^/]+)(/[0-9]*)?")


def connect(url: str) -> Redis:
    """Return a client, which connects when it is used. Raises `ValueError`: "must be …"."""
    try:
        client = _client(url)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # refuses unknown parameters
    except (ValueError, TypeError):
        raise ValueError(FORM) from None
    authority = pool.connection_kwargs.get("ssl_ca_certs")
    if authority and not Path(authority).is_file():
        raise ValueError(f"must name an ssl_ca_certs that exists, not {authority!r}.")
    return client


def _client(url: str) -> Redis:
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        # Repeat once on a connection that died in a restart, but not after a timeout.
        "retry": Retry(NoBackoff(), 1, (RedisConnectionError,)),
    }
    address, _, query = url.partition("?")
    if _ONE_SERVER.fullmatch(address):
        return Redis.from_url(url, **options)
    form = _SENTINELS.fullmatch(address)
    if not form:
        raise ValueError
    scheme, user, hosts, name, number = form.groups(default="")
    of_sentinels = dict(options)
    options |= parse_url(f"{scheme}://{user}localhost{number}?{query}")
    del options["host"]
    if options.pop("connection_class", None):
        options["ssl"] = True
    of_sentinels |= {key: value for key, value in options.items() if key.startswith("ssl")}
    for key in ("username", "password"):
        of_sentinels[key] = options.pop(f"sentinel_{key}", None)
    parts = [urlsplit(f"//{host}") for host in hosts.split(",")]
    addresses = [(one.hostname, one.port or SENTINEL_PORT) for one in parts]
    sentinels = _Sentinels(addresses, sentinel_kwargs=of_sentinels, **options)
    master: Redis = sentinels.master_for(unquote(name))
    return master


class _Sentinels(Sentinel):
    def discover_master(self, service_name: str) -> Any:
        """Ask for the master's address. If no Sentinel knows it, raise the first one's error."""
        try:
            return super().discover_master(service_name)
        except MasterNotFoundError:
            self.sentinels[0].ping()
            raise
        finally:
            self.close()  # these connections are not needed again soon
