"""What a token says, and when it is believed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone
from rest_framework.test import APIClient

from api import keys, tokens
from api.claims import LIFETIME
from api.clients import rotate_secret
from api.models import Client
from api.tests.support.responses import EXPIRED_TOKEN, INVALID_TOKEN, assert_refused_token, bearer


def assert_refused(http: APIClient, token: str) -> None:
    assert_refused_token(http.get("/private", headers=bearer(token)))


def assert_expired(http: APIClient, token: str) -> None:
    assert_refused_token(http.get("/private", headers=bearer(token)), EXPIRED_TOKEN)


def assert_accepted(http: APIClient, token: str) -> None:
    response = http.get("/private", headers=bearer(token))
    assert response.status_code == 200, response.json()


def deactivate(client: Client) -> None:
    Client.objects.filter(pk=client.pk).update(is_active=False)


def delete(client: Client) -> None:
    client.delete()


def set_password(client: Client) -> None:
    client.set_password("another secret")
    client.save()


def rotate(client: Client) -> None:
    rotate_secret(client)


def revoke_all(client: Client) -> None:
    tokens.revoke_all(Client.objects.filter(pk=client.pk))


@pytest.mark.parametrize("end", [deactivate, delete, set_password, rotate, revoke_all])
def test_what_happens_to_a_client_ends_its_tokens(
    http: APIClient, get_token: Callable[[], str], client_row: Client, end: Callable[[Client], None]
) -> None:
    token = get_token()
    assert_accepted(http, token)
    end(client_row)
    assert_refused(http, token)


def test_token_is_good_for_its_lifetime_and_not_a_second_longer(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    now = timezone.now().replace(microsecond=0)
    with time_machine.travel(now, tick=False) as clock:
        token = get_token()
        clock.shift(LIFETIME - 1)
        assert_accepted(http, token)
        clock.shift(1)
        assert_expired(http, token)


# Forgeries. Each is signed with the real key unless its name says otherwise.


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact(value: Any) -> str:
    return encode(json.dumps(value, separators=(",", ":")).encode())


def signed(header: str, payload: str) -> str:
    """Sign with the real key whatever text these two parts are."""
    key = keys.signing_key()
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    return (
        f"{header}.{payload}.{encode(algorithm.sign(f'{header}.{payload}'.encode(), key.signing))}"
    )


@pytest.fixture
def claims(get_token: Callable[[], str]) -> dict[str, Any]:
    """The claims of a good token."""
    payload: dict[str, Any] = json.loads(decode(get_token().split(".")[1]))
    return payload


@pytest.fixture
def assert_worthless(http: APIClient, credentials: dict[str, str]) -> Callable[..., None]:
    """A token opens nothing, says nothing, and may be revoked for all anyone cares.

    Unless it is said to be another client's: only that client may revoke it.
    """

    def check(token: str, *, is_anothers: bool = False, reason: str = INVALID_TOKEN) -> None:
        assert_refused_token(http.get("/private", headers=bearer(token)), reason)
        body = credentials | {"token": token}
        response = http.post("/introspect", body, format="json")
        assert (response.status_code, response.json()) == (200, {"active": False})
        response = http.post("/revoke", body, format="json")
        assert response.status_code == (400 if is_anothers else 200)

    return check


Worthless = Callable[..., None]
ABSENT = object()
REQUIRED = ("iss", "aud", "sub", "client_id", "iat", "exp", "jti", "scope", "secret_fp")


def test_forgeries_differ_from_a_good_token_in_nothing_else(
    http: APIClient, claims: dict[str, Any]
) -> None:
    assert_accepted(http, signed(keys.signing_key().header, compact(claims)))


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(ABSENT, id="absent"),
        pytest.param(None, id="null"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param(0, id="zero"),
        pytest.param(-1, id="negative"),
        pytest.param(1.5, id="float"),
        pytest.param(10**30, id="huge"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param(float("nan"), id="nan"),
        pytest.param("\0", id="nul"),
        pytest.param("\ud800", id="surrogate"),
        pytest.param("a\nb", id="newline"),
        pytest.param("9" * 9000, id="long"),
        pytest.param([], id="array"),
        pytest.param({}, id="object"),
    ],
)
def test_ill_typed_claim_is_refused(
    assert_worthless: Worthless, claims: dict[str, Any], name: str, value: Any
) -> None:
    claims[name] = value
    if value is ABSENT:
        del claims[name]
    assert_worthless(signed(keys.signing_key().header, compact(claims)))


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "client_id", "jti", "secret_fp"])
def test_empty_claim_is_refused(
    assert_worthless: Worthless, claims: dict[str, Any], name: str
) -> None:
    assert_worthless(signed(keys.signing_key().header, compact(claims | {name: ""})))


def test_empty_subject_is_refused_even_as_client(
    assert_worthless: Worthless, claims: dict[str, Any]
) -> None:
    nobody = claims | {"sub": "", "client_id": ""}
    assert_worthless(signed(keys.signing_key().header, compact(nobody)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: {"exp": str(c["exp"])}, id="exp-text"),
        pytest.param(lambda c: {"exp": float(c["exp"])}, id="exp-float"),
        pytest.param(lambda c: {"iat": str(c["iat"])}, id="iat-text"),
        pytest.param(lambda c: {"iat": float(c["iat"])}, id="iat-float"),
        pytest.param(lambda c: {"exp": c["exp"] + 1}, id="lives-too-long"),
        pytest.param(lambda c: {"exp": 253402300800}, id="year-10000"),
        pytest.param(lambda c: {"iat": 0}, id="issued-in-1970"),
        pytest.param(lambda c: {"iat": c["iat"] + 60, "exp": c["exp"] + 60}, id="from-the-future"),
        pytest.param(lambda c: {"iat": 10**4000, "exp": 10**4000 + 1}, id="from-the-far-future"),
        pytest.param(lambda c: {"iat": c["exp"], "exp": c["iat"]}, id="backwards"),
        pytest.param(lambda c: {"iss": c["iss"] + "/"}, id="iss-slash"),
        pytest.param(lambda c: {"iss": "https://evil.example"}, id="iss-foreign"),
        pytest.param(lambda c: {"iss": [c["iss"]]}, id="iss-list"),
        pytest.param(lambda c: {"aud": "https://evil.example"}, id="aud-foreign"),
        pytest.param(lambda c: {"aud": [c["aud"]]}, id="aud-list"),
        pytest.param(lambda c: {"aud": [c["aud"], "https://evil.example"]}, id="aud-two"),
        pytest.param(lambda c: {"sub": "nobody", "client_id": "nobody"}, id="sub-unknown"),
        pytest.param(lambda c: {"sub": "nobody"}, id="sub-foreign"),
        pytest.param(lambda c: {"client_id": "nobody"}, id="client-id-foreign"),
        pytest.param(lambda c: {"sub": "Reporting", "client_id": "Reporting"}, id="sub-case"),
        pytest.param(lambda c: {"sub": "' OR 1=1 --", "client_id": "' OR 1=1 --"}, id="sub-sql"),
        pytest.param(lambda c: {"jti": "a" * 37}, id="jti-long"),
        pytest.param(lambda c: {"secret_fp": "A" * 16}, id="fingerprint-foreign"),
        pytest.param(lambda c: {"secret_fp": c["secret_fp"][:-1]}, id="fingerprint-cut"),
        pytest.param(lambda c: {"secret_fp": "é" * 16}, id="fingerprint-not-ascii"),
    ],
)
def test_false_claim_is_refused(
    assert_worthless: Worthless,
    claims: dict[str, Any],
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    false = claims | change(claims)
    is_anothers = false["sub"] == false["client_id"] != claims["sub"]
    token = signed(keys.signing_key().header, compact(false))
    assert_worthless(token, is_anothers=is_anothers)


def test_expired_token_is_refused_and_called_so(
    assert_worthless: Worthless, claims: dict[str, Any]
) -> None:
    expired = claims | {"iat": claims["iat"] - 2, "exp": claims["iat"] - 1}
    token = signed(keys.signing_key().header, compact(expired))
    assert_worthless(token, reason=EXPIRED_TOKEN)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("null", id="null"),
        pytest.param("[]", id="array"),
        pytest.param('"text"', id="text"),
        pytest.param("5", id="number"),
        pytest.param("", id="nothing"),
        pytest.param("{", id="cut-short"),
        pytest.param('{"exp": NaN}', id="nan"),
        pytest.param('{"exp": ' + "9" * 5000 + "}", id="endless-number"),
        pytest.param("[" * 5000, id="nested"),
    ],
)
def test_payload_that_is_no_object_is_refused(assert_worthless: Worthless, payload: str) -> None:
    assert_worthless(signed(keys.signing_key().header, encode(payload.encode())))


def test_payload_that_is_not_utf_8_is_refused(assert_worthless: Worthless) -> None:
    assert_worthless(signed(keys.signing_key().header, encode(b'{"sub": "\xff"}')))


@pytest.mark.parametrize(
    "change",
    [
        *[pytest.param({"alg": alg}, id=f"alg-{alg}") for alg in ("none", "None", "NONE", "nOnE")],
        pytest.param({"alg": ABSENT}, id="alg-absent"),
        pytest.param({"alg": None}, id="alg-null"),
        pytest.param({"alg": ["ES256"]}, id="alg-list"),
        pytest.param({"alg": "es256"}, id="alg-case"),
        pytest.param({"alg": "ES512"}, id="alg-other"),
        pytest.param({"typ": ABSENT}, id="typ-absent"),
        pytest.param({"typ": "JWT"}, id="typ-JWT"),
        pytest.param({"typ": "AT+JWT"}, id="typ-case"),
        pytest.param({"typ": "application/at+jwt"}, id="typ-long"),
        pytest.param({"typ": "refresh+jwt"}, id="typ-other"),
        pytest.param({"kid": ABSENT}, id="kid-absent"),
        pytest.param({"kid": None}, id="kid-null"),
        pytest.param({"kid": ["x"]}, id="kid-list"),
        pytest.param({"kid": "unknown"}, id="kid-unknown"),
        pytest.param({"kid": "../../../../dev/null"}, id="kid-traversal"),
        pytest.param({"kid": "' UNION SELECT 'x' --"}, id="kid-sql"),
        pytest.param({"kid": "x\0"}, id="kid-nul"),
        pytest.param({"kid": "\ud800"}, id="kid-surrogate"),
        pytest.param({"jku": "https://evil.example/jwks.json"}, id="jku"),
        pytest.param({"x5u": "https://evil.example/cert.pem"}, id="x5u"),
        pytest.param({"jwk": {"kty": "oct", "k": "AAAA"}}, id="jwk"),
        pytest.param({"x5c": ["AAAA"]}, id="x5c"),
        pytest.param({"crit": ["exp"]}, id="crit"),
        pytest.param({"crit": ["x"], "x": 1}, id="crit-unknown"),
        pytest.param({"b64": False, "crit": ["b64"]}, id="b64"),
        pytest.param({"zip": "DEF"}, id="zip"),
        pytest.param({"cty": "JWT"}, id="cty"),
    ],
)
def test_header_other_than_ours_is_refused(
    assert_worthless: Worthless, claims: dict[str, Any], change: dict[str, Any]
) -> None:
    header = json.loads(decode(keys.signing_key().header)) | change
    header = {name: value for name, value in header.items() if value is not ABSENT}
    assert_worthless(signed(compact(header), compact(claims)))


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(json.dumps, id="spaces"),
        pytest.param(lambda h: json.dumps(h)[:-1] + ', "alg": "none"}', id="given-twice"),
        pytest.param(lambda h: "[" + json.dumps(h) + "]", id="list"),
        pytest.param(lambda h: "\ufeff" + json.dumps(h), id="byte-order-mark"),
    ],
)
def test_header_spelt_otherwise_is_refused(
    assert_worthless: Worthless, claims: dict[str, Any], spell: Callable[[Any], str]
) -> None:
    header = spell(json.loads(decode(keys.signing_key().header)))
    assert_worthless(signed(encode(header.encode()), compact(claims)))


def test_public_key_is_no_hmac_secret(assert_worthless: Worthless, claims: dict[str, Any]) -> None:
    key = keys.signing_key()
    public = key.verifying
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        json.dumps(key.public_jwk).encode(),
        b"",
    ]
    ours = key.header
    theirs = compact({"alg": "HS256", "kid": key.kid, "typ": "at+jwt"})
    for secret in secrets:
        for header in (ours, theirs):
            text = f"{header}.{compact(claims)}"
            signature = hmac.digest(secret, text.encode(), hashlib.sha256)
            assert_worthless(f"{text}.{encode(signature)}")


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "none-of-them"])
def test_key_that_a_token_brings_along_is_not_used(
    assert_worthless: Worthless, claims: dict[str, Any], member: str
) -> None:
    foreign = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.get_algorithm_by_name("ES256").to_jwk(foreign.public_key(), as_dict=True)
    header: dict[str, Any] = {"kid": keys.signing_key().kid, "typ": "at+jwt"}
    if member == "jwk":
        header["jwk"] = jwk
    elif member != "none-of-them":
        header[member] = "http://127.0.0.1:1/jwks.json"
    assert_worthless(jwt.encode(claims, foreign, "ES256", headers=header))


def test_key_of_the_set_signs_for_itself_alone(
    assert_worthless: Worthless, claims: dict[str, Any]
) -> None:
    old = keys.signing_key()
    keys.rotate()
    new = next(key for key in keys._keyring.keys().values() if key.kid != old.kid)
    text = f"{old.header}.{compact(claims)}"
    signature = jwt.get_algorithm_by_name("ES256").sign(text.encode(), new.signing)
    assert_worthless(f"{text}.{encode(signature)}")


def respell(signature: str) -> str:
    """Change the bits of the last character that no decoder reads."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1]
    assert decode(other) == decode(signature), "then it would be another signature"
    return other


def as_der(signature: str) -> str:
    raw = decode(signature)
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    return encode(encode_dss_signature(r, s))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda h, p, s: f"{h}.{p}", id="no-signature"),
        pytest.param(lambda h, p, s: f"{h}.{p}.", id="empty-signature"),
        pytest.param(lambda h, p, s: f"{h}..{s}", id="detached-payload"),
        pytest.param(lambda h, p, s: f".{p}.{s}", id="no-header"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s}.", id="four-parts"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s}.{s}.{s}", id="five-parts"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s[:-4]}", id="cut-signature"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s}AAAA", id="longer-signature"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{encode(bytes(64))}", id="zero-signature"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{as_der(s)}", id="der-signature"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{respell(s)}", id="respelt-signature"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s}==", id="padded-signature"),
        pytest.param(lambda h, p, s: f"{h}.{p}=.{s}", id="padded-payload"),
        pytest.param(lambda h, p, s: f"{h}=.{p}.{s}", id="padded-header"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s[:5]} {s[5:]}", id="space"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s}+/", id="base64"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s}é", id="not-ascii"),
        pytest.param(lambda h, p, s: f"{h}.{p}.{s}".upper(), id="upper-case"),
        pytest.param(lambda h, p, s: f'"{h}.{p}.{s}"', id="quoted"),
        pytest.param(lambda h, p, s: f"{p}.{h}.{s}", id="swapped"),
        pytest.param(
            lambda h, p, s: json.dumps({"protected": h, "payload": p, "signature": s}), id="json"
        ),
    ],
)
def test_token_that_is_not_as_it_was_issued_is_refused(
    assert_worthless: Worthless, get_token: Callable[[], str], change: Callable[..., str]
) -> None:
    assert_worthless(change(*get_token().split(".")))


def test_payload_of_one_token_with_the_signature_of_another_is_refused(
    assert_worthless: Worthless, get_token: Callable[[], str]
) -> None:
    one, other = get_token().split("."), get_token().split(".")
    assert_worthless(".".join([*one[:2], other[2]]))


def test_token_with_another_payload_is_refused(
    assert_worthless: Worthless, get_token: Callable[[], str], claims: dict[str, Any]
) -> None:
    header, _, signature = get_token().split(".")
    payload = compact(claims | {"scope": "read write admin"})
    assert_worthless(f"{header}.{payload}.{signature}")


def test_token_remembered_as_good_is_still_asked_whether_it_expired(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    token = get_token()
    assert_accepted(http, token)
    with time_machine.travel(timezone.now() + timedelta(seconds=LIFETIME)):
        assert_expired(http, token)


def test_clock_that_is_a_little_ahead_may_issue(http: APIClient, claims: dict[str, Any]) -> None:
    claims |= {"iat": claims["iat"] + 5, "exp": claims["exp"] + 5}
    assert_accepted(http, signed(keys.signing_key().header, compact(claims)))


def test_all_tokens_can_be_revoked_again(
    http: APIClient, get_token: Callable[[], str], client_row: Client
) -> None:
    for _ in range(3):
        token = get_token()
        assert_accepted(http, token)
        tokens.revoke_all(Client.objects.filter(pk=client_row.pk))
        assert_refused(http, token)
