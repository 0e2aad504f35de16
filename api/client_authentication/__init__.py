"""Which client is calling: it proves who it is by exactly one method (RFC 6749 §2.3).

`METHODS` is the one table of methods, by their names in RFC 7591 §2. The metadata, registration and
the OpenAPI document read it. To add a method, add a module and a line.
"""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from api import audit
from api.client_authentication.base import MalformedProofError, Method, Proof
from api.client_authentication.secret import TWO_WAYS, Basic, Post
from api.credentials import BadCredentialsError, Login
from api.throttling.address import client_address
from api.throttling.guard import TooManyFailuresError, guard

DEFAULT_METHOD = "client_secret_basic"  # of a client that is registered (RFC 7591 §2)
METHODS: dict[str, type[Method]] = {DEFAULT_METHOD: Basic, "client_secret_post": Post}


def authenticate(request: HttpRequest, parameters: Mapping[str, Any]) -> Login:
    """Return the client that a request comes from; `parameters` are those of its body.

    Raises `MalformedProofError` or `ParameterError` unless the request presents one proof,
    `BadCredentialsError` if that is wrong, and `TooManyFailuresError`.
    """
    if request.META.get("QUERY_STRING") and request.GET.keys() & {"client_id", "client_secret"}:
        raise MalformedProofError("Credentials do not belong in the URL.")
    authorization = request.META.get("HTTP_AUTHORIZATION", "")
    used = [method for method in METHODS.values() if method.presents(authorization, parameters)]
    if len(used) > 1:
        raise MalformedProofError(TWO_WAYS)
    method = used[0] if used else Post  # whose error names the parameter that is missing
    return verify(method.read(authorization, parameters), request)


def verify(proof: Proof, request: HttpRequest, *, event: str = "login") -> Login:
    """Check a proof under the guard. A failure is recorded as `<event>_failed` or `…_throttled`.

    Raises `BadCredentialsError`, `TooManyFailuresError`, `QueueFullError`.
    """
    address = client_address(request)
    client_id = proof.client_ids[0]
    try:
        with guard(address, proof.client_ids, is_slow=proof.is_slow):
            return proof.verify(address)
    except BadCredentialsError as error:
        audit.record(f"{event}_failed", client=client_id, address=address, reason=error.reason)
        raise
    except TooManyFailuresError as error:
        if error.is_first:  # once per counter and window, or an attacker could fill the log
            audit.record(f"{event}_throttled", client=client_id, address=address)
        raise
