"""Authenticate by a signed assertion in the body (RFC 7521 §4.2, RFC 7523 §2.2)."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from django.conf import settings

from api import client_keys, identities
from api.assertions import Assertion, parse
from api.client_authentication.base import MalformedProofError
from api.credentials import BadCredentialsError, Login
from api.parameters import CLIENT_ASSERTION, CLIENT_ASSERTION_TYPE, CLIENT_ID, Parameter

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SPIFFE_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


@dataclass(frozen=True, slots=True)
class AssertionProof:
    """An assertion, or the error if it cannot be parsed, and the client id beside it, if any.

    A JWT-SVID is a SPIFFE workload's token.
    """

    assertion: Assertion | BadCredentialsError
    client_id: str | None
    is_svid: bool

    @property
    def client_ids(self) -> list[str]:
        """The client that the caller claims to be, whose failures are counted."""
        with suppress(BadCredentialsError):
            return [self._parsed().text("sub")]
        return [self.client_id or ""]

    @property
    def is_slow(self) -> bool:
        return False

    def verify(self, address: str, *, only_fast: bool = False) -> Login:
        """Check the assertion. Its issuer is the client itself, or else must be trusted."""
        assertion, audiences = self._parsed(), _audiences()
        if not self.is_svid and assertion.claims.get("iss") == assertion.claims.get("sub"):
            return client_keys.check(
                assertion, client_id=self.client_id, audiences=audiences, address=address
            )
        return identities.check(
            assertion,
            client_id=self.client_id,
            audiences=audiences,
            address=address,
            is_svid=self.is_svid,
        )

    def _parsed(self) -> Assertion:
        if isinstance(self.assertion, BadCredentialsError):
            raise self.assertion
        return self.assertion


class PrivateKeyJWT:
    """The client, or a trusted issuer, has signed the assertion."""

    reads: ClassVar[tuple[Parameter, ...]] = (CLIENT_ID, CLIENT_ASSERTION_TYPE, CLIENT_ASSERTION)

    @staticmethod
    def presents(authorization: str, parameters: Mapping[str, Any]) -> bool:
        names = ("client_assertion", "client_assertion_type")
        return any(parameters.get(name) not in (None, "") for name in names)

    @staticmethod
    def read(authorization: str, parameters: Mapping[str, Any]) -> AssertionProof:
        kind = CLIENT_ASSERTION_TYPE.require(parameters)
        if kind not in {ASSERTION_TYPE, SPIFFE_TYPE}:
            raise MalformedProofError(
                f"The client_assertion_type is neither {ASSERTION_TYPE} nor {SPIFFE_TYPE}."
            )
        text, client_id = CLIENT_ASSERTION.require(parameters), CLIENT_ID.read(parameters)
        try:
            return AssertionProof(parse(text), client_id, kind == SPIFFE_TYPE)
        except BadCredentialsError as refusal:
            return AssertionProof(refusal, client_id, kind == SPIFFE_TYPE)


def _audiences() -> Collection[str]:
    """Return the audiences we accept: the issuer, and if so configured the token endpoint."""
    accepted = {settings.PUBLIC_URL, f"{settings.PUBLIC_URL}/"}
    if settings.ASSERTION_AUDIENCE == "token-endpoint":
        accepted.add(f"{settings.PUBLIC_URL}/login")
    return accepted
