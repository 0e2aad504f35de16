"""Fetch and keep the keys of trusted issuers (OpenID Connect Discovery 1.0, RFC 7517).

The kept keys are in the database. A login that finds them older than `ISSUER_KEYS_FRESH` starts a
fetch, and uses them meanwhile. It waits for the fetch only if they are twice as old, or lack the
token's key. After a failed fetch, the kept keys serve for `ISSUER_KEYS_KEPT`, and nobody waits for
the next try.

Strangers may send tokens with invented keys. So an issuer is asked at most once in `ISSUER_RETRY`,
by one thread of its own. Few requests wait for it, and none beyond the deadline.
"""

import json
import logging
import threading
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.db.models import Q
from django.utils import timezone

from api import jose
from api.fetch import TOO_SLOW, Deadline, FetchError, fetch_json
from api.jose import PublicKey, UnusableKeyError
from api.models import TrustedIssuer
from api.standing import IssuerState
from api.standing.logins import ISSUER_RETRY
from api.writes import unless_busy

DISCOVERY = "/.well-known/openid-configuration"
MAX_FETCHES = 4  # of one process at a time
logger = logging.getLogger(__name__)


class IssuerUnavailableError(Exception):
    """The issuer's keys cannot be fetched, and the token's key is not kept."""


class UnusableKeysError(Exception):
    """The JWK Set has no usable key. The message tells a person why."""


def find_key(issuer: IssuerState, kid: str) -> PublicKey | None:
    """Return a key of an issuer, or `None` if it has no such key.

    Raises `IssuerUnavailableError`.
    """
    key = load(issuer.jwks).get(kid)
    if issuer.is_given or (key and issuer.is_fresh):
        return key
    fetch = _running.get(issuer.pk) if issuer.was_tried else _start(issuer)
    must_wait = key is None or not (issuer.is_recent or issuer.has_failed)
    if fetch and must_wait and (jwks := fetch.wait_in_turn()):
        return load(jwks).get(kid)
    if key is None and (issuer.has_failed or not issuer.was_tried):
        raise IssuerUnavailableError(issuer.url)
    return key


def discover(url: str, *, is_internal: bool) -> str:
    """Return an issuer's keys as a JWK Set. Raises `FetchError`, `UnusableKeysError`."""
    fetch = _Fetch(url, is_internal=is_internal)
    fetch.start()
    return fetch.wait()


def read_jwks(document: Any) -> str:
    """Return a JWK Set with the usable keys of another, and their public members only.

    A set may hold keys for other purposes, which are left out. Raises `UnusableKeysError`.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise UnusableKeysError('This is not a JWK Set, such as {"keys": [...]}.')
    usable, reason = [], "It is empty."
    for jwk in listed:
        try:
            key = jose.from_jwk(_for_signatures(jwk))
        except UnusableKeyError as error:
            reason = str(error)
            continue
        if "kid" in key.jwk:
            usable.append(dict(key.jwk))
        else:
            reason = "A key has no kid."
    if not usable:
        raise UnusableKeysError(f"The JWK Set has no usable key. {reason}")
    return json.dumps({"keys": usable})


@lru_cache(maxsize=64)
def load(jwks: str) -> Mapping[str, PublicKey]:
    """Load a JWK Set that `read_jwks` returned; the keys by their `kid`."""
    listed = json.loads(jwks)["keys"] if jwks else ()
    return MappingProxyType({jwk["kid"]: jose.from_jwk(jwk) for jwk in listed})


class _Fetch(threading.Thread):
    """A fetch of an issuer's keys. It may outlast its deadline while a name server hangs."""

    def __init__(self, url: str, *, is_internal: bool, pk: int | None = None) -> None:
        super().__init__(daemon=True, name=f"keys of {url}")
        self._url, self._is_internal, self._pk = url, is_internal, pk
        self._deadline = Deadline()
        self._ended = threading.Event()  # others may wait for it before the thread has started
        self._jwks = ""
        self._error: Exception = FetchError(TOO_SLOW)

    def run(self) -> None:
        try:
            self._jwks = _fetch_jwks(self._url, self._deadline, is_internal=self._is_internal)
        except (FetchError, UnusableKeysError) as error:
            self._error = error
        finally:
            if self._pk is not None:
                self._keep(self._pk)
            self._ended.set()

    def wait(self) -> str:
        """Return the keys. Raises `FetchError`, `UnusableKeysError`."""
        self._ended.wait(self._deadline.left())
        if not self._jwks:
            raise self._error
        return self._jwks

    def wait_in_turn(self) -> str | None:
        """Return the keys, or `None` if the fetch fails or too many requests wait already."""
        if not _waiters().acquire(blocking=False):
            return None
        try:
            return self.wait()
        except (FetchError, UnusableKeysError):
            return None
        finally:
            _waiters().release()

    def _keep(self, pk: int) -> None:
        try:
            if self._jwks:
                fetched = {"fetched_jwks": self._jwks, "fetched_at": timezone.now()}
                TrustedIssuer.objects.filter(pk=pk).update(**fetched)
            else:
                logger.warning("The keys of %s could not be fetched: %s", self._url, self._error)
        except Error:
            logger.warning("The keys of %s could not be kept.", self._url)
        finally:
            connection.close()
            _running.pop(pk)


_running: dict[int, _Fetch] = {}  # by the issuer's primary key


@lru_cache(maxsize=1)
def _waiters() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(settings.ISSUER_WAITERS)


def _start(issuer: IssuerState) -> _Fetch | None:
    """Fetch an issuer's keys, unless a fetch runs or began less than `ISSUER_RETRY` ago.

    The database decides, so only one of all processes fetches.
    """
    if issuer.pk in _running or len(_running) >= MAX_FETCHES or not _claim(issuer.pk):
        return _running.get(issuer.pk)
    fetch = _Fetch(issuer.url, is_internal=issuer.is_internal, pk=issuer.pk)
    _running[issuer.pk] = fetch
    try:
        fetch.start()
    except RuntimeError:
        del _running[issuer.pk]
        logger.warning("The keys of %s could not be fetched: no thread is left.", issuer.url)
        return None
    return fetch


def _claim(pk: int) -> bool:
    now = timezone.now()
    due = Q(tried_at=None) | Q(tried_at__lte=now - ISSUER_RETRY)
    claimed = unless_busy(
        lambda: TrustedIssuer.objects.filter(due, pk=pk).update(tried_at=now),
        "A fetch of an issuer's keys could not be recorded, so it is put off.",
    )
    return bool(claimed)


def _fetch_jwks(url: str, deadline: Deadline, *, is_internal: bool) -> str:
    metadata = fetch_json(url.rstrip("/") + DISCOVERY, is_internal=is_internal, deadline=deadline)
    if metadata.get("issuer") != url:
        raise FetchError("The issuer's metadata names another issuer.")
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        raise FetchError("The issuer's metadata has no jwks_uri.")
    return read_jwks(fetch_json(jwks_uri, is_internal=is_internal, deadline=deadline))


def _for_signatures(jwk: Any) -> Any:
    """Return a JWK of a SPIFFE bundle in standard terms: its `use` is `jwt-svid`."""
    if isinstance(jwk, dict) and jwk.get("use") == "jwt-svid":
        return {**jwk, "use": "sig"}
    return jwk
