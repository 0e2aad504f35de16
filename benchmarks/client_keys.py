"""Sign assertions (RFC 7523) for many clients at once."""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from harness import Request

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME = 240  # seconds
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def encode(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


class Signer:
    """A key pair for ES256."""

    def __init__(self) -> None:
        self._private_key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._private_key.public_key().public_numbers()
        coordinates = {name: encode(getattr(numbers, name).to_bytes(32)) for name in "xy"}
        self.jwk = {"crv": "P-256", "kty": "EC", **coordinates}
        members = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        self.kid = encode(sha256(members.encode()).digest())  # RFC 7638

    def assertion(self, subject: str, audience: str, *, issuer: str = "") -> str:
        """Return an assertion of a client, or of a workload if another issues it."""
        now = int(time.time())
        claims = {
            "iss": issuer or subject,
            "sub": subject,
            "aud": audience,
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + LIFETIME,
        }
        header = {"alg": "ES256", "kid": self.kid}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        signature = self._private_key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        pair = b"".join(part.to_bytes(32) for part in decode_dss_signature(signature))
        return f"{signed}.{encode(pair)}"

    def logins(self, path: str, names: Sequence[str], audience: str, count: int) -> list[Request]:
        """Return so many logins of these clients in turn, each of which is good once."""
        return [
            login(path, self.assertion(names[number % len(names)], audience))
            for number in range(count)
        ]


def login(path: str, assertion: str) -> Request:
    body = f"grant_type=client_credentials&client_assertion_type={ASSERTION_TYPE}"
    return Request("POST", path, FORM, f"{body}&client_assertion={assertion}".encode())
