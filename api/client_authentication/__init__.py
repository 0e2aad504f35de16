"""Authenticate the calling client, by exactly one method (RFC 6749 §2.3).

`METHODS` lists the methods by their names in RFC 7591 §2. The metadata, the registration endpoint
and the OpenAPI document read it. To add a method, add a module and a line.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.http import HttpRequest

from api import audit, client_keys, metrics
from api.client_authentication.assertion import PrivateKeyJWT
from api.client_authentication.base import MalformedProofError, Method, MissingProofError, Proof
from api.client_authentication.secret import TWO_WAYS, Basic, Post
from api.credentials import BadCredentialsError, Login
from api.issuers import IssuerUnavailableError
from api.throttling.address import client_address
from api.throttling.guard import TooManyFailuresError, guard
from api.throttling.slow_hashes import QueueFullError
from api.usage.collector import collector

DEFAULT_METHOD = "client_secret_basic"  # of registered clients (RFC 7591 §2)
MISSING = "Send the client id and the secret, as HTTP Basic or in the body, or an assertion."
METHODS: dict[str, type[Method]] = {
    DEFAULT_METHOD: Basic,
    "client_secret_post": Post,
    client_keys.METHOD: PrivateKeyJWT,
}
_CREDENTIALS = {"client_id", "client_secret", "client_assertion"}  # never in a URL


def authenticate(request: HttpRequest, parameters: Mapping[str, Any], *, is_json: bool) -> Login:
    """Authenticate the client of a request; `parameters` are those of its body.

    Raises `MissingProofError`, `MalformedProofError` or `ParameterError` unless the request has
    exactly one well-formed proof, and whatever `verify` raises. Without any, JSON gets an error
    that names the missing parameter. A form gets a challenge: `curl --anyauth` waits for one.
    """
    if request.META.get("QUERY_STRING") and request.GET.keys() & _CREDENTIALS:
        raise MalformedProofError("Send credentials in a header or in the body, not in the URL.")
    authorization = request.META.get("HTTP_AUTHORIZATION", "")
    used = [name for name in METHODS if METHODS[name].presents(authorization, parameters)]
    if len(used) > 1:
        raise MalformedProofError(TWO_WAYS)
    if not used and not is_json:
        raise MissingProofError(MISSING)
    name = used[0] if used else "client_secret_post"  # its error names the missing parameter
    proof = METHODS[name].read(authorization, parameters)
    try:
        login = verify(proof, request, method=name)
    except BadCredentialsError as error:
        collector.count_failure(error.client, proof.client_ids[0], error.reason)
        raise
    except TooManyFailuresError:
        collector.count_throttled(proof.client_ids[0])
        raise
    collector.count_login(login)
    return login


def verify(proof: Proof, request: HttpRequest, *, method: str, event: str = "login") -> Login:
    """Check a proof under the rate limit. Log failures as `<event>_failed` or `<event>_throttled`.

    `method` labels it in the metrics. A client may be restricted to another method.
    Raises `BadCredentialsError`, `TooManyFailuresError`, `QueueFullError`,
    `IssuerUnavailableError`.
    """
    address = client_address(request)
    client_id, is_slow = proof.client_ids[0], proof.is_slow
    try:
        login = _recognise(proof, address, method) if is_slow else None
        if login is None:
            with guard(address, proof.client_ids, is_slow=is_slow):
                login = _check(proof, address, method)
    except BadCredentialsError as error:
        metrics.count_authentication(method, "failure")
        audit.record(f"{event}_failed", client=client_id, address=address, reason=error.reason)
        raise
    except TooManyFailuresError as error:
        metrics.count_authentication(method, "throttled")
        if error.is_first:  # once per counter and window; an attacker must not fill the log
            audit.record(f"{event}_throttled", client=client_id, address=address)
        raise
    except QueueFullError:
        metrics.count_authentication(method, "queue_full")
        raise
    except IssuerUnavailableError:
        metrics.count_authentication(method, "issuer_unavailable")
        raise
    metrics.count_authentication(method, "success")
    return login


def _recognise(proof: Proof, address: str, method: str) -> Login | None:
    """Return the login of a secret that was imported as random, or `None`.

    It needs no turn in the queue of slow hashes, and no count, because nobody can guess it. What
    this does not accept gets the slow check, whatever the reason. So a refusal takes equally long.
    """
    with suppress(BadCredentialsError):
        return _check(proof, address, method, only_fast=True)
    return None


def _check(proof: Proof, address: str, method: str, *, only_fast: bool = False) -> Login:
    login = proof.verify(address, only_fast=only_fast)
    if login.client.is_client and login.client.auth_method not in {"", method}:
        raise BadCredentialsError("method not allowed for this client", login.client)
    return login
