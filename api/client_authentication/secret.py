"""Authenticate by a secret, in a Basic header or in the body (RFC 6749 §2.3.1)."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from api import credentials
from api.client_authentication.base import MalformedProofError
from api.credentials import RIGHT_WITHOUT_SPACES, BadCredentialsError, Login
from api.hashers import is_generated
from api.parameters import CLIENT_ID, CLIENT_SECRET, Parameter, ParameterError

MALFORMED = "The Basic credentials are malformed."
TWO_WAYS = "Use one client authentication method only, for one client."


@dataclass(frozen=True, slots=True)
class SecretProof:
    """The possible readings of a request, as (client id, secret). One of them must be right."""

    readings: Sequence[tuple[str, str]]
    is_staff: bool = False

    @property
    def client_ids(self) -> list[str]:
        return [client_id for client_id, _ in self.readings]

    @property
    def is_slow(self) -> bool:
        return not all(is_generated(secret) for _, secret in self.readings)

    def verify(self, address: str, *, only_fast: bool = False) -> Login:
        refusals = []
        for client_id, secret in self.readings:
            try:
                return credentials.check(
                    client_id, secret, address=address, is_staff=self.is_staff, only_fast=only_fast
                )
            except BadCredentialsError as error:
                refusals.append(error)
        raise max(refusals, key=lambda error: error.reason == RIGHT_WITHOUT_SPACES)


class Basic:
    """The secret is in a Basic header (RFC 7617)."""

    reads: ClassVar[tuple[Parameter, ...]] = (CLIENT_ID,)

    @staticmethod
    def presents(authorization: str, parameters: Mapping[str, Any]) -> bool:
        return authorization.partition(" ")[0].lower() == "basic"

    @staticmethod
    def read(authorization: str, parameters: Mapping[str, Any]) -> SecretProof:
        proof = SecretProof(parse_basic(authorization.partition(" ")[2].strip(" ")))
        if parameters.get("client_id") not in (None, "", *proof.client_ids):
            raise MalformedProofError(TWO_WAYS)
        return proof


class Post:
    """The secret is a parameter of the body."""

    reads: ClassVar[tuple[Parameter, ...]] = (CLIENT_ID, CLIENT_SECRET)

    @staticmethod
    def presents(authorization: str, parameters: Mapping[str, Any]) -> bool:
        return parameters.get("client_secret") not in (None, "")

    @staticmethod
    def read(authorization: str, parameters: Mapping[str, Any]) -> SecretProof:
        return SecretProof([(CLIENT_ID.require(parameters), CLIENT_SECRET.require(parameters))])


def parse_basic(encoded: str) -> list[tuple[str, str]]:
    """Return the possible readings of Basic credentials, as (client id, secret).

    RFC 6749 §2.3.1 form-urlencodes both, but many clients do not. If the decoded and the plain
    reading differ, both are returned, the decoded one first.
    Raises `MalformedProofError`.
    """
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        raise MalformedProofError(MALFORMED) from None
    client_id, _, secret = text.rpartition(":")
    if not is_generated(secret):  # such a secret has no colon, so the id may have some
        client_id, _, secret = text.partition(":")
    readings: list[tuple[str, str]] = []
    for decode in (partial(unquote_plus, errors="strict"), str):
        try:
            pair = {"client_id": decode(client_id), "client_secret": decode(secret)}
            reading = CLIENT_ID.require(pair), CLIENT_SECRET.require(pair)
        except (ValueError, ParameterError):
            continue
        if reading not in readings:
            readings.append(reading)
    if not readings:
        raise MalformedProofError(MALFORMED)
    return readings
