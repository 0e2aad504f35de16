"""Check tokens that platforms give their workloads, such as Kubernetes, CI systems and SPIFFE.

Such a token is used many times, so its `jti` does not matter.
"""

from collections.abc import Collection
from typing import Any

from api import issuers
from api.assertions import Assertion, find_signer
from api.credentials import BadCredentialsError, Login
from api.standing import look_up_for_identity

KIND = "identity"  # of credential, in tokens
MAX_AHEAD = 24 * 60 * 60  # seconds that `exp` may be ahead
TYPES = {"", "JWT", "JOSE"}  # JOSE is SPIFFE's (JWT-SVID §2.3)
SPIFFE = "spiffe://"


def check(
    assertion: Assertion,
    *,
    client_id: str | None,
    audiences: Collection[str],
    address: str,
    is_svid: bool,
) -> Login:
    """Check a token of a trusted issuer. Raises `BadCredentialsError`, `IssuerUnavailableError`.

    `client_id` is the client or the subject that the caller names beside it, if any. Call this
    inside `throttling.guard.guard`. Only a token with a known subject can make us fetch keys.
    The refusal of any other takes as long as that of a wrong signature.
    """
    if assertion.typ not in TYPES:
        raise BadCredentialsError("identity: wrong typ")
    if not assertion.kid:
        raise BadCredentialsError("identity: no kid")
    subject, issuer = assertion.text("sub"), _issuer(assertion, is_svid=is_svid)
    assertion.check_times(max_ahead=MAX_AHEAD)
    found = look_up_for_identity(issuer, subject)
    key = issuers.find_key(found[1].issuer, assertion.kid) if found else None
    signer = find_signer(assertion, [key] if key else [])
    if found is None:
        raise BadCredentialsError("identity: unknown issuer or subject")
    client, identity = found
    if signer is None:
        reason = f"identity: {'wrong signature' if key else 'no such key'}"
        raise BadCredentialsError(reason, client)
    assertion.check_audience({identity.issuer.audience} if identity.issuer.audience else audiences)
    for name, value in identity.claims.items():
        if _as_text(assertion.claims.get(name)) != value:
            raise BadCredentialsError("identity: wrong claim", client)
    if client_id not in {None, client.client_id, subject}:
        raise BadCredentialsError("identity: wrong client_id", client)
    if not client.is_active:
        raise BadCredentialsError("inactive client", client)
    if not client.is_client:
        raise BadCredentialsError("staff, not a client", client)
    return Login(client, address, f"{KIND}:{identity.pk}")


def _issuer(assertion: Assertion, *, is_svid: bool) -> str:
    """Return the issuer. A JWT-SVID needs no `iss`: it is of the trust domain in its `sub`."""
    subject = assertion.text("sub")
    if is_svid and "iss" not in assertion.claims and subject.startswith(SPIFFE):
        return SPIFFE + subject.removeprefix(SPIFFE).partition("/")[0]
    return assertion.text("iss")


def _as_text(value: Any) -> str | None:
    """Return a claim's value as a person writes it, or `None` for lists and other types."""
    match value:
        case bool():
            return str(value).lower()
        case str() | int():
            return str(value)
    return None
