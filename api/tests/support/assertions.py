"""Key pairs of clients, and the assertions that they sign: good ones, and any others."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.conf import settings

from api import jose
from api.client_authentication.assertion import ASSERTION_TYPE

GENERATE: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "RS256 of 1024 bits": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 (refused)
}
_jws = jwt.PyJWS()


@dataclass(frozen=True)
class KeyPair:
    private: Any
    algorithm: str

    @classmethod
    def generate(cls, kind: str = "ES256") -> "KeyPair":
        return cls(GENERATE[kind](), kind.partition(" ")[0])

    @property
    def public_pem(self) -> str:
        public = self.private.public_key()
        return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())

    @property
    def private_pem(self) -> str:
        return str(
            self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        )

    @property
    def jwk(self) -> dict[str, str]:
        return self._to_jwk(self.private.public_key())

    @property
    def private_jwk(self) -> dict[str, str]:
        return self._to_jwk(self.private)

    def _to_jwk(self, key: Any) -> dict[str, str]:
        jwk: Any = _jws.get_algorithm_by_name(self.algorithm).to_jwk(key, as_dict=True)
        jwk.pop("key_ops", None)
        return dict(jwk)

    @property
    def kid(self) -> str:
        return jose.thumbprint(self.jwk)

    def sign(
        self, claims: object, header: dict[str, Any] | None = None, *, algorithm: str = ""
    ) -> str:
        """Return a JWS of any claims, with any header; `alg` may be a lie."""
        algorithm = algorithm or self.algorithm
        implementation = _jws.get_algorithm_by_name(algorithm)
        head = {"alg": algorithm, **(header or {})}
        signed = f"{_encode(head)}.{_encode(claims)}"
        return f"{signed}.{jose.encode(implementation.sign(signed.encode(), self.private))}"


def claims_of(client_id: str, /, **more: Any) -> dict[str, Any]:
    """Return the claims of a good assertion; `None` takes one away."""
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": settings.PUBLIC_URL,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_hex(16),
        **more,
    }
    return {name: value for name, value in claims.items() if value is not None}


def presented(assertion: str, **more: str) -> dict[str, str]:
    """Return the parameters that present an assertion."""
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **more}


def count_verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the algorithm of each verification from now on."""
    verified: list[str] = []
    real = jose.PublicKey.has_signed

    def count(self: jose.PublicKey, message: bytes, signature: bytes, algorithm: str) -> bool:
        verified.append(algorithm)
        return real(self, message, signature, algorithm)

    monkeypatch.setattr(jose.PublicKey, "has_signed", count)
    return verified


def _encode(value: object) -> str:
    return jose.encode(value if isinstance(value, bytes) else json.dumps(value).encode())
