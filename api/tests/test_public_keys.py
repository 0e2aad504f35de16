"""Public keys that people and clients give us: every form is read, and no private key is taken."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from api import client_keys, jose, public_keys
from api.credentials import create_client
from api.models import Client, ClientKey, ClientProfile
from api.tests.support.assertions import GENERATE, KeyPair, claims_of, presented
from api.tests.support.responses import assert_error

PRIVATE = (
    "This is a private key, and it should not have left its machine. Make a new key pair "
    "there, and send only the public key (openssl pkey -in private.pem -pubout)."
)
SIZE = "An RSA key must have 2048 to 8192 bits."
KINDS = [kind for kind in GENERATE if "1024" not in kind]


def certificate(pair: KeyPair, *, ends: datetime) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "billing")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=pair.private.public_key(),
        serial_number=1,
        not_valid_before=ends - timedelta(days=30),
        not_valid_after=ends,
    )
    return builder.sign(pair.private, SHA256()).public_bytes(Encoding.PEM).decode()


def in_a_set(jwk: dict[str, Any]) -> str:
    encryption = KeyPair.generate("RS256").jwk | {"use": "enc"}
    return json.dumps({"keys": [encryption, jwk]})


FORMS: dict[str, Callable[[KeyPair], str]] = {
    "PEM": lambda pair: pair.public_pem,
    "PEM with text around it": lambda pair: f"Our key:\r\n{pair.public_pem}\r\n",
    "JWK": lambda pair: json.dumps(pair.jwk),
    "JWK with more members": lambda pair: json.dumps(
        pair.jwk
        | {"use": "sig", "key_ops": ["verify"], "kid": "a", "alg": pair.algorithm, "x5t": "b"}
    ),
    "JWK Set": lambda pair: in_a_set(pair.jwk),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_public_key_is_read(form: Callable[[KeyPair], str], kind: str) -> None:
    pair = KeyPair.generate(kind)
    (given,) = public_keys.read(form(pair))
    assert given.key.kid == pair.kid
    assert given.expires_at is None
    shown = {name: value for name, value in given.key.jwk.items() if name not in {"kid", "alg"}}
    assert shown == pair.jwk
    assert given.key.has_signed(b"m", *_signature(pair))


def _signature(pair: KeyPair) -> tuple[bytes, str]:
    implementation = jose._jws.get_algorithm_by_name(pair.algorithm)
    return implementation.sign(b"m", pair.private), pair.algorithm


def test_certificate_gives_its_key_and_its_end() -> None:
    pair, ends = KeyPair.generate(), datetime(2100, 1, 1, tzinfo=UTC)
    (given,) = public_keys.read(certificate(pair, ends=ends))
    assert (given.key.kid, given.expires_at) == (pair.kid, ends)


def test_key_has_one_thumbprint_whatever_zeros_its_jwk_begins_with() -> None:
    pair = KeyPair.generate("RS256")
    modulus = pair.private.public_key().public_numbers().n
    padded = pair.jwk | {"n": jose.encode(modulus.to_bytes(300, "big"))}
    assert padded != pair.jwk
    assert jose.from_jwk(padded).kid == pair.kid


PRIVATE_FORMS: dict[str, Callable[[KeyPair], str]] = {
    "PEM": lambda pair: pair.private_pem,
    "both PEMs": lambda pair: pair.public_pem + pair.private_pem,
    "JWK": lambda pair: json.dumps(pair.private_jwk),
    "JWK Set": lambda pair: in_a_set(pair.private_jwk),
    "JWK Set, for encryption": lambda pair: in_a_set(pair.private_jwk | {"use": "enc"}),
    "shared secret": lambda pair: json.dumps({"kty": "oct", "k": "c2VjcmV0"}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", PRIVATE_FORMS.values(), ids=PRIVATE_FORMS)
def test_private_key_is_refused_with_what_to_do(form: Callable[[KeyPair], str], kind: str) -> None:
    with pytest.raises(jose.PrivateKeyError) as refusal:
        public_keys.read(form(KeyPair.generate(kind)))
    assert str(refusal.value) == PRIVATE


def _pem(public: Any) -> str:
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


P256 = KeyPair.generate().jwk
UNUSABLE: dict[str, tuple[Callable[[], str], str]] = {
    "nothing": (lambda: "", public_keys.MALFORMED),
    "text": (lambda: "a key", public_keys.MALFORMED),
    "deep JSON": (lambda: "[" * 9000, public_keys.MALFORMED),
    "a list": (lambda: "[]", "A JWK is a JSON object."),
    "empty JWK": (lambda: "{}", jose.UNSUPPORTED),
    "kty is a list": (lambda: json.dumps(P256 | {"kty": ["EC"]}), jose.UNSUPPORTED),
    "empty JWK Set": (
        lambda: '{"keys": []}',
        "The JWK Set has no key that verifies signatures.",
    ),
    "JWK Set of texts": (
        lambda: '{"keys": ["a"]}',
        "A JWK Set is an object whose `keys` is a list of JWKs.",
    ),
    "broken PEM": (
        lambda: KeyPair.generate().public_pem.replace("M", "!", 3),
        public_keys.MALFORMED,
    ),
    "certificate request": (
        lambda: KeyPair.generate().public_pem.replace("PUBLIC KEY", "CERTIFICATE REQUEST"),
        public_keys.MALFORMED,
    ),
    "broken certificate": (
        lambda: KeyPair.generate().public_pem.replace("PUBLIC KEY", "CERTIFICATE"),
        public_keys.MALFORMED,
    ),
    "RSA of 1024 bits": (lambda: KeyPair.generate("RS256 of 1024 bits").public_pem, SIZE),
    "RSA of 1024 bits as JWK": (
        lambda: json.dumps(KeyPair.generate("RS256 of 1024 bits").jwk),
        SIZE,
    ),
    "RSA with a huge exponent": (
        lambda: json.dumps(KeyPair.generate("RS256").jwk | {"e": "_" * 100}),
        SIZE,
    ),
    "P-224": (
        lambda: _pem(ec.generate_private_key(ec.SECP224R1()).public_key()),
        jose.UNSUPPORTED,
    ),
    "secp256k1": (
        lambda: _pem(ec.generate_private_key(ec.SECP256K1()).public_key()),
        jose.UNSUPPORTED,
    ),
    "X25519": (
        lambda: _pem(x25519.X25519PrivateKey.generate().public_key()),
        jose.UNSUPPORTED,
    ),
    "DSA": (lambda: _pem(dsa.generate_private_key(2048).public_key()), jose.UNSUPPORTED),
    "point off the curve": (
        lambda: json.dumps(P256 | {"x": P256["y"], "y": P256["x"]}),
        "The JWK is malformed.",
    ),
    "no y": (
        lambda: json.dumps({k: v for k, v in P256.items() if k != "y"}),
        "The JWK is malformed.",
    ),
    "x is a number": (lambda: json.dumps(P256 | {"x": 1}), "The JWK is malformed."),
    "x is not ASCII": (lambda: json.dumps(P256 | {"x": "ü" * 43}), "The JWK is malformed."),
    "for encryption": (
        lambda: json.dumps(P256 | {"use": "enc"}),
        "The use or key_ops of the JWK is not for verifying signatures.",
    ),
    "alg of another curve": (
        lambda: json.dumps(P256 | {"alg": "ES384"}),
        "The alg of the JWK does not fit its key.",
    ),
    "kid is a number": (
        lambda: json.dumps(P256 | {"kid": 1}),
        "The kid is not a text of at most 255 characters.",
    ),
    "kid with NUL": (
        lambda: json.dumps(P256 | {"kid": "a\0"}),
        "The kid is not a text of at most 255 characters.",
    ),
    "expired certificate": (
        lambda: certificate(KeyPair.generate(), ends=datetime(2026, 1, 1, tzinfo=UTC)),
        "The certificate expired on 2026-01-01. Renew it.",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_key_is_refused(make: Callable[[], str], sentence: str) -> None:
    with pytest.raises(jose.UnusableKeyError) as refusal:
        public_keys.read(make())
    assert str(refusal.value) == sentence


def test_jwk_that_names_its_algorithm_takes_no_other() -> None:
    pair = KeyPair.generate("RS256")
    key = jose.from_jwk(pair.jwk | {"alg": "PS256"})
    assert key.algorithms == ("PS256",)
    assert not key.has_signed(b"m", *_signature(pair))


# Giving a client a key


@pytest.mark.django_db
def test_key_ends_with_its_certificate_or_earlier() -> None:
    client, _ = create_client("signer")
    later, sooner = timezone.now() + timedelta(days=9), timezone.now() + timedelta(days=1)
    expected = []
    for ends, chosen in (
        (None, None),
        (later, None),
        (None, sooner),
        (later, sooner),
        (sooner, later),
    ):
        given = [public_keys.GivenKey(jose.from_jwk(KeyPair.generate().jwk), ends)]
        (key,) = client_keys.add(client, given, expires_at=chosen)
        expected.append(key.expires_at)
    assert expected == [None, later, sooner, sooner, sooner]
    with pytest.raises(jose.UnusableKeyError, match="would have expired already"):
        client_keys.add(client, given, expires_at=timezone.now())


@pytest.mark.django_db
def test_client_has_each_key_once_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = create_client("signer")
    text = json.dumps({"keys": [KeyPair.generate().jwk | {"kid": str(n)} for n in range(3)]})
    given = public_keys.read(text)
    assert [key.name for key in client_keys.add(client, given + given)] == ["0", "1", "2"]
    with pytest.raises(jose.UnusableKeyError, match="has this key already"):
        client_keys.add(client, given[:1])
    client_keys.add(create_client("other")[0], given)
    monkeypatch.setattr(public_keys, "MAX_KEYS", 3)
    with pytest.raises(jose.UnusableKeyError, match="at most 3 keys"):
        client_keys.add(client, public_keys.read(KeyPair.generate().public_pem))
    assert ClientKey.objects.filter(client=client).count() == 3


def test_a_set_of_too_many_keys_is_refused_before_any_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jwks = {"keys": [KeyPair.generate().jwk] * (public_keys.MAX_KEYS + 1)}
    monkeypatch.delattr(jose, "from_jwk")
    with pytest.raises(jose.UnusableKeyError, match="at most 20 keys"):
        public_keys.read_set(jwks)


# On the command line


def run(*arguments: str) -> dict[str, Any]:
    output = StringIO()
    call_command(*arguments, stdout=output)
    shown: dict[str, Any] = json.loads(output.getvalue())
    return shown


def status(http: APIClient, pair: KeyPair, client_id: str) -> int:
    body = presented(pair.sign(claims_of(client_id)))
    return int(http.post("/login", body, format="json").status_code)


@pytest.mark.django_db
def test_createclient_with_keys_makes_no_secret(http: APIClient, tmp_path: Path) -> None:
    pairs = [KeyPair.generate(), KeyPair.generate("EdDSA")]
    files = [tmp_path / "a.pem", tmp_path / "b.json"]
    files[0].write_text(pairs[0].public_pem)
    files[1].write_text(json.dumps(pairs[1].jwk))
    arguments = [text for file in files for text in ("--key", str(file))]
    assert run("createclient", "signer", "--scope", "read", *arguments) == {
        "client_id": "signer",
        "kids": [pair.kid for pair in pairs],
        "scope": "read",
    }
    assert [status(http, pair, "signer") for pair in pairs] == [200, 200]
    assert not Client.objects.get().has_usable_password()


@pytest.mark.django_db
def test_addkey_reads_a_file_or_standard_input(
    http: APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_client("signer")
    pairs = [KeyPair.generate(), KeyPair.generate()]
    (tmp_path / "key.pem").write_text(pairs[0].public_pem)
    shown = run("addkey", "signer", str(tmp_path / "key.pem"), "--name", "laptop")
    assert shown == {"client_id": "signer", "kids": [pairs[0].kid]}
    monkeypatch.setattr("sys.stdin", StringIO(pairs[1].public_pem))
    run("addkey", "signer", "-", "--expires", "2100-12-31")
    first, second = ClientKey.objects.order_by("pk")
    assert (first.name, first.expires_at) == ("laptop", None)
    assert (second.name, second.expires_at) == ("", datetime(2100, 12, 31, tzinfo=UTC))
    assert [status(http, pair, "signer") for pair in pairs] == [200, 200]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "arguments", "complaint"),
    [
        (b"", ["nobody", "FILE"], "There is no client 'nobody'."),
        (b"\xff\xfe", ["signer", "FILE"], public_keys.MALFORMED),
        (b"a key", ["signer", "FILE"], public_keys.MALFORMED),
        (b"-----BEGIN PRIVATE KEY-----", ["signer", "FILE"], PRIVATE),
        (b"", ["signer", "/nowhere"], "/nowhere cannot be read: No such file or directory."),
        (b"", ["signer", "FILE", "--expires", "x-"], "'x-' is not a date such as 2030-12-31"),
        (b"", ["signer", "FILE", "--expires", "2020-01-01"], "The key would have expired already."),
    ],
    ids=["client", "not text", "no key", "private", "no file", "no date", "past"],
)
def test_addkey_says_why_not(
    tmp_path: Path, content: bytes, arguments: list[str], complaint: str
) -> None:
    create_client("signer")
    file = tmp_path / "key"
    file.write_bytes(content or KeyPair.generate().public_pem.encode())
    with pytest.raises(CommandError) as error:
        run("addkey", *[str(file) if text == "FILE" else text for text in arguments])
    assert str(error.value).endswith(complaint)
    assert not ClientKey.objects.exists()


# At /register


def register(http: APIClient, **metadata: Any) -> Any:
    return http.post("/register", metadata, format="json")


@pytest.mark.django_db
def test_client_registers_with_keys_alone(http: APIClient) -> None:
    pair = KeyPair.generate()
    jwks = {"keys": [pair.jwk | {"kid": "mine", "use": "sig"}]}
    response = register(http, jwks=jwks, token_endpoint_auth_method="private_key_jwt")
    body = response.json()
    client = Client.objects.get()
    assert response.status_code == 201
    assert body == {
        "client_id": client.username,
        "client_id_issued_at": int(client.date_joined.timestamp()),
        "client_name": "",
        "scope": "",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [pair.jwk | {"kid": "mine"}]},
    }
    assert status(http, pair, client.username) == 200
    assert not client.has_usable_password()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "given", "restricted"),
    [
        (None, "client_secret_basic", False),
        ("client_secret_post", "client_secret_post", True),
        ("client_secret_basic", "client_secret_basic", True),
        ("none", "client_secret_basic", False),
        ("tls_client_auth", "client_secret_basic", False),
    ],
)
def test_registered_client_has_the_method_it_is_told(
    http: APIClient, asked: str | None, given: str, restricted: bool
) -> None:
    pair = KeyPair.generate()
    body = register(http, token_endpoint_auth_method=asked, jwks={"keys": [pair.jwk]}).json()
    assert body["token_endpoint_auth_method"] == given
    assert body["client_secret"]
    profile = ClientProfile.objects.filter(client__username=body["client_id"]).first()
    assert (profile.auth_method if profile else "") == (given if restricted else "")
    assert status(http, pair, body["client_id"]) == (401 if restricted else 200)


NEEDS_KEYS = "With private_key_jwt, send jwks; jwks_uri is not supported."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({}, NEEDS_KEYS),
        ({"jwks": None}, NEEDS_KEYS),
        ({"jwks_uri": "https://client.example.com/jwks"}, NEEDS_KEYS),
        ({"jwks": {"keys": []}}, "The JWK Set has no key that verifies signatures."),
        ({"jwks": [P256]}, "A JWK Set is an object whose `keys` is a list of JWKs."),
        ({"jwks": {"keys": [KeyPair.generate().private_jwk]}}, PRIVATE),
        ({"jwks": {"keys": [KeyPair.generate().jwk] * 1 + [{}]}}, jose.UNSUPPORTED),
        (
            {"jwks": {"keys": [KeyPair.generate().jwk for _ in range(public_keys.MAX_KEYS + 1)]}},
            f"A client has at most {public_keys.MAX_KEYS} keys. Remove some first.",
        ),
    ],
    ids=["none", "null", "uri", "empty", "list", "private", "one unusable", "many"],
)
def test_unusable_keys_register_nobody(
    http: APIClient, metadata: dict[str, Any], sentence: str
) -> None:
    response = register(http, token_endpoint_auth_method="private_key_jwt", **metadata)
    assert_error(response, 400, "invalid_client_metadata", sentence)
    assert not Client.objects.exists()
