"""Load the public keys of clients and trusted issuers, and name them (RFC 7517, RFC 7638).

The key decides which algorithms are good, never the header of what it signed (RFC 8725 §3.1).
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PublicKeyObject = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

MAX_KID_LENGTH = 255
RSA_BITS = range(2048, 8192 + 1)
_MAX_RSA_EXPONENT = 2**32  # a larger one only makes verification slow
# The algorithms of a key, by its type and curve. `Ed25519` is a newer name of EdDSA (RFC 9864).
_ALGORITHMS = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
_CURVES = {ec.SECP256R1: "P-256", ec.SECP384R1: "P-384", ec.SECP521R1: "P-521"}
_jws = jwt.PyJWS()
_IMPLEMENTATIONS = {
    name: _jws.get_algorithm_by_name("EdDSA" if name == "Ed25519" else name)
    for names in _ALGORITHMS.values()
    for name in names
}
ALGORITHMS = tuple(_IMPLEMENTATIONS)
# Members of a JWK that go into its thumbprint, by key type (RFC 7638 §3.2, RFC 8037 §2).
_THUMBPRINT_MEMBERS = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
    "oct": ("k", "kty"),
}
UNSUPPORTED = "Use a public RSA, P-256, P-384, P-521 or Ed25519 key."
SECRET_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


class UnusableKeyError(Exception):
    """The key cannot be used. The message tells a person why, and never repeats the key."""


class PrivateKeyError(UnusableKeyError):
    """Somebody sent a private key, or a shared secret."""

    def __init__(self) -> None:
        super().__init__(
            "This is a private key, and it should not have left its machine. Make a new key pair "
            "there, and send only the public key (openssl pkey -in private.pem -pubout)."
        )


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. `kid` is its thumbprint; `jwk` also has the `kid` and `alg` it came with."""

    kid: str
    jwk: Mapping[str, str]
    algorithms: tuple[str, ...]
    loaded: PublicKeyObject

    def has_signed(self, message: bytes, signature: bytes, algorithm: str) -> bool:
        """Tell whether a signature is good. The algorithm must be one of the key's."""
        if algorithm not in self.algorithms:
            return False
        return _IMPLEMENTATIONS[algorithm].verify(message, self.loaded, signature)


def encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint_members(jwk: Mapping[str, str]) -> dict[str, str]:
    return {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the thumbprint of a JWK, which names our keys and those of clients (RFC 7638)."""
    canonical = json.dumps(thumbprint_members(jwk), separators=(",", ":"))
    return encode(hashlib.sha256(canonical.encode()).digest())


def from_jwk(jwk: Any) -> PublicKey:
    """Load a public JWK that verifies signatures. Raises `UnusableKeyError`."""
    if not isinstance(jwk, dict):
        raise UnusableKeyError("A JWK is a JSON object.")
    if jwk.keys() & SECRET_MEMBERS:
        raise PrivateKeyError
    kind = jwk.get("kty"), jwk.get("crv")
    algorithms = next((names for one, names in _ALGORITHMS.items() if one == kind), None)
    if algorithms is None:
        raise UnusableKeyError(UNSUPPORTED)
    if jwk.get("use", "sig") != "sig" or jwk.get("key_ops", ["verify"]) != ["verify"]:
        raise UnusableKeyError("The use or key_ops of the JWK is not for verifying signatures.")
    kid, algorithm = jwk.get("kid", ""), jwk.get("alg")
    if not isinstance(kid, str) or not kid.isprintable() or len(kid) > MAX_KID_LENGTH:
        raise UnusableKeyError(f"The kid is not a text of at most {MAX_KID_LENGTH} characters.")
    if "alg" in jwk and algorithm not in algorithms:
        raise UnusableKeyError("The alg of the JWK does not fit its key.")
    try:
        loaded: Any = _IMPLEMENTATIONS[algorithms[0]].from_jwk(jwk)
    except (jwt.InvalidKeyError, ValueError, TypeError, AttributeError) as error:
        raise UnusableKeyError("The JWK is malformed.") from error
    return from_object(loaded, {name: jwk[name] for name in ("kid", "alg") if jwk.get(name)})


def from_object(loaded: Any, more: Mapping[str, str] | None = None) -> PublicKey:
    """Return the key of an object of cryptography; `more` adds members to its JWK.

    Raises `UnusableKeyError`.
    """
    names: tuple[str, ...]
    match loaded:
        case ec.EllipticCurvePublicKey(curve=curve) if type(curve) in _CURVES:
            names = _ALGORITHMS["EC", _CURVES[type(curve)]]
        case ed25519.Ed25519PublicKey():
            names = _ALGORITHMS["OKP", "Ed25519"]
        case rsa.RSAPublicKey(key_size=bits):
            if bits not in RSA_BITS or loaded.public_numbers().e > _MAX_RSA_EXPONENT:
                raise UnusableKeyError(
                    f"An RSA key must have {RSA_BITS[0]} to {RSA_BITS[-1]} bits."
                )
            names = _ALGORITHMS["RSA", None]
        case _:
            raise UnusableKeyError(UNSUPPORTED)
    # Encoded again: leading zeros in the given JWK must not change the thumbprint.
    jwk = thumbprint_members(_IMPLEMENTATIONS[names[0]].to_jwk(loaded, as_dict=True))
    algorithms = (more["alg"],) if more and "alg" in more else names
    return PublicKey(thumbprint(jwk), {**jwk, **(more or {})}, algorithms, loaded)
