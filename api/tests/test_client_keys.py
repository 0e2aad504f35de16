"""Clients that sign with their own keys: what is accepted, and what is refused as unknown."""

import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from api import client_keys, clients, credentials, jose, public_keys, tokens
from api.assertions import LEEWAY, MAX_LENGTH, TRIES
from api.claims import LIFETIME
from api.client_authentication import METHODS
from api.client_authentication.assertion import ASSERTION_TYPE, SPIFFE_TYPE
from api.credentials import NO_SECRET, create_client
from api.models import Client, ClientKey, UsedAssertion
from api.standing import look_up_for_login
from api.tests.support.assertions import (
    GENERATE,
    KeyPair,
    claims_of,
    count_verifications,
    presented,
)
from api.tests.support.responses import assert_error, basic, bearer, is_good
from api.usage.collector import collector

pytestmark = pytest.mark.django_db

INVALID_CLIENT = (401, "invalid_client", "The client credentials are not valid.")
TWO_WAYS = "Use one client authentication method only, for one client."
Post = Callable[..., Any]


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return KeyPair.generate()


@pytest.fixture
def client(db: None, pair: KeyPair) -> Client:
    """A client with a key and no secret."""
    client, _ = create_client("signer", scopes=["read"], secret=NO_SECRET)
    add_key(client, pair)
    return client


def add_key(client: Client, pair: KeyPair, **more: Any) -> ClientKey:
    (key,) = client_keys.add(client, public_keys.read(pair.public_pem), **more)
    return key


@pytest.fixture
def post(http: APIClient) -> Post:
    """Return a function that posts to `/login`, or to another endpoint."""

    def send(body: dict[str, str], path: str = "/login", **headers: str) -> Any:
        return http.post(path, body, format="json", headers=headers)

    return send


def log_in(http: APIClient, assertion: str, **more: str) -> str | None:
    """Return the access token for an assertion, or `None` if it is refused as any other."""
    response = http.post("/login", presented(assertion, **more), format="json")
    if response.status_code == 200:
        return str(response.json()["access_token"])
    assert_error(response, *INVALID_CLIENT)
    assert response["WWW-Authenticate"] == 'Basic realm="authdemo", charset="UTF-8"'
    return None


# Accepted


def test_client_logs_in_with_its_key_and_one_query_before_the_assertion_is_recorded(
    http: APIClient,
    client: Client,
    pair: KeyPair,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_keys, "DELETED_EVERY", sys.maxsize)
    assert log_in(http, pair.sign(claims_of("signer")))  # the process loads its signing keys
    assertion = pair.sign(claims_of("signer"), {"kid": pair.kid, "typ": "JWT"})
    with CaptureQueriesContext(connection) as context:
        response = http.post("/login", presented(assertion), format="json")
    assert response.status_code == 200
    body = response.json()
    assert body == {
        "access_token": body["access_token"],
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "scope": "read",
    }
    assert [query["sql"].split()[0] for query in context] == ["SELECT", "INSERT"]
    assert http.get("/private", headers=bearer(body["access_token"])).json()["sub"] == "signer"
    stored = json.dumps(list(UsedAssertion.objects.values_list("digest")))
    for part in (assertion, *assertion.split(".")):
        assert part not in caplog.text + stored


@pytest.mark.parametrize("kind", [kind for kind in GENERATE if "1024" not in kind])
@pytest.mark.parametrize("kid", ["thumbprint", "of the JWK", "none"])
def test_each_kind_of_key_signs(http: APIClient, client: Client, kind: str, kid: str) -> None:
    pair = KeyPair.generate(kind)
    named = pair.jwk | ({"kid": "key-2026"} if kid == "of the JWK" else {})
    client_keys.add(client, public_keys.read(json.dumps(named)))
    header = {"thumbprint": {"kid": pair.kid}, "of the JWK": {"kid": "key-2026"}, "none": {}}[kid]
    families = {"RS256": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}
    for algorithm in families.get(pair.algorithm, (pair.algorithm,)):
        assert log_in(http, pair.sign(claims_of("signer"), header, algorithm=algorithm))


def test_newer_name_of_eddsa_is_accepted(http: APIClient, client: Client) -> None:
    pair = KeyPair.generate("EdDSA")
    add_key(client, pair)
    assert log_in(http, pair.sign(claims_of("signer"), {"alg": "Ed25519"}))


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"aud": ["http://localhost:8000"]}, id="audience in a list"),
        pytest.param({"aud": "http://localhost:8000/"}, id="issuer with a slash"),
        pytest.param({"aud": ["http://localhost:8000/"]}, id="both"),
        pytest.param({"iat": None}, id="no iat"),
        pytest.param({"nbf": 0}, id="nbf long ago"),
        pytest.param({"exp": lambda: time.time() + 60.5}, id="fraction of a second"),
        pytest.param({"jti": "ü" * 1000}, id="long jti"),
        pytest.param({"email": {"a": [1]}}, id="other claims"),
    ],
)
@pytest.mark.parametrize("typ", [None, "JWT", "client-authentication+jwt"])
def test_assertion_is_accepted(
    http: APIClient, client: Client, pair: KeyPair, more: dict[str, Any], typ: str | None
) -> None:
    header = {"typ": typ} if typ else {}
    claims = claims_of(
        "signer", **{name: one() if callable(one) else one for name, one in more.items()}
    )
    assert log_in(http, pair.sign(claims, header), client_id="signer")


@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
def test_each_endpoint_takes_an_assertion_and_a_form(
    http: APIClient, client: Client, pair: KeyPair, path: str
) -> None:
    body = presented(pair.sign(claims_of("signer")), token="t", grant_type="client_credentials")
    assert http.post(path, body).status_code == 415  # multipart
    form = "application/x-www-form-urlencoded"
    encoded = "&".join(f"{name}={value}" for name, value in body.items())
    assert http.post(path, encoded, content_type=form).status_code == 200
    response = http.post(path, encoded, content_type=form)
    assert_error(response, *INVALID_CLIENT)


@pytest.mark.parametrize(
    ("setting", "accepted"), [("issuer", False), ("token-endpoint", True)], ids=str
)
@pytest.mark.parametrize("path", ["/login", "/introspect"])
def test_token_endpoint_is_an_audience_only_if_configured(
    http: APIClient,
    settings: Settings,
    client: Client,
    pair: KeyPair,
    setting: str,
    accepted: bool,
    path: str,
) -> None:
    settings.ASSERTION_AUDIENCE = setting
    endpoint = http.get("/.well-known/oauth-authorization-server").json()["token_endpoint"]
    assertion = pair.sign(claims_of("signer", aud=endpoint))
    response = http.post(path, presented(assertion, token="t"), format="json")
    assert response.status_code == (200 if accepted else 401)
    assert log_in(http, pair.sign(claims_of("signer")))


def test_clock_of_the_client_may_differ_by_the_leeway(
    http: APIClient, client: Client, pair: KeyPair
) -> None:
    with time_machine.travel(1_800_000_000, tick=False):
        now = int(time.time())
        for seconds, accepted in ((LEEWAY, True), (LEEWAY + 1, False)):
            for claims in (
                {"iat": now + seconds},
                {"nbf": now + seconds},
                {"exp": now - seconds + 1},
                {"exp": now + client_keys.MAX_AHEAD + seconds},
            ):
                assert bool(log_in(http, pair.sign(claims_of("signer", **claims)))) == accepted


# Refused: the attacks


def _hmac_with_the_public_key(pair: KeyPair) -> str:
    header, claims, _ = pair.sign(claims_of("signer"), {"alg": "HS256"}).split(".")
    signed = f"{header}.{claims}"
    digest = hmac.digest(pair.public_pem.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{jose.encode(digest)}"


def _unsigned(pair: KeyPair, signature: str = "") -> str:
    signed, _, _ = pair.sign(claims_of("signer"), {"alg": "none"}).rpartition(".")
    return f"{signed}.{signature}"


def _header(**members: Any) -> Callable[[KeyPair], str]:
    return lambda pair: pair.sign(claims_of("signer"), members)


def _claims(**members: Any) -> Callable[[KeyPair], str]:
    return lambda pair: pair.sign(claims_of("signer", **members))


def _in(seconds: float, name: str, **more: Any) -> Callable[[KeyPair], str]:
    return lambda pair: pair.sign(claims_of("signer", **{name: time.time() + seconds}, **more))


def _embedded(pair: KeyPair) -> str:
    other = KeyPair.generate()
    return other.sign(claims_of("signer"), {"jwk": other.jwk})


def _other_key_with_the_kid(pair: KeyPair) -> str:
    return KeyPair.generate().sign(claims_of("signer"), {"kid": pair.kid})


def _other_clients_key(pair: KeyPair) -> str:
    other = KeyPair.generate()
    add_key(create_client("other", secret=NO_SECRET)[0], other)
    return other.sign(claims_of("signer"), {"kid": other.kid})


def _other_clients_name(pair: KeyPair) -> str:
    create_client("other", secret=NO_SECRET)
    return pair.sign(claims_of("other"), {"kid": pair.kid})


def _our_token(pair: KeyPair) -> str:
    login = credentials.Login(look_up_for_login("signer"), "192.0.2.1", credential="key:1")
    return tokens.issue(login, ("read",)).text


def _token_of_another_server(pair: KeyPair) -> str:
    claims = claims_of("signer", iss="https://issuer.example.com", client_id="signer")
    return pair.sign(claims, {"typ": "at+jwt"})


def _small_rsa(pair: KeyPair) -> str:
    small = KeyPair.generate("RS256 of 1024 bits")
    with pytest.raises(jose.UnusableKeyError):
        public_keys.read(small.public_pem)
    return small.sign(claims_of("signer"))


ILL_TYPED: dict[str, list[Any]] = {
    "iss": [1, "", {}, ["signer"]],
    "sub": [1, "", {}, ["signer"], True],
    "jti": [1, "", {}, "x" * 2000, "a\0b", "\ud800"],
    "exp": ["60", True, [], -1, 1e300, 2**70],
    "iat": ["60", True, [], -1],
    "nbf": ["60", True, [], -1],
}
ATTACKS: dict[str, Callable[[KeyPair], str]] = {
    "HS256 with the public key as secret": _hmac_with_the_public_key,
    "alg none": _unsigned,
    "alg none with a signature": lambda pair: _unsigned(pair, "AAAA"),
    "alg of another curve": _header(alg="ES384"),
    "alg of another kind of key": _header(alg="RS256"),
    "alg in other case": _header(alg="es256"),
    "alg is no text": _header(alg={"a": 1}),
    "embedded jwk": _embedded,
    "jku": _header(jku="https://attacker.example.com/jwks"),
    "x5u": _header(x5u="https://attacker.example.com/cert"),
    "x5c": _header(x5c=["MIIB"]),
    "crit": _header(crit=["exp"], exp=1),
    "b64": _header(b64=False),
    "typ of an access token": _header(typ="at+jwt"),
    "typ in other case": _header(typ="jwt"),
    "typ is no text": _header(typ=["JWT"]),
    "kid of no key": _header(kid="unknown"),
    "kid is no text": _header(kid=1),
    "kid with NUL": _header(kid="a\0b"),
    "kid with half a pair": _header(kid="\ud800"),
    "another key with the same kid": _other_key_with_the_kid,
    "another client's key": _other_clients_key,
    "own key in another client's name": _other_clients_name,
    "RSA of 1024 bits": _small_rsa,
    "foreign aud": _claims(aud="https://other.example.com"),
    "several aud": _claims(aud=["http://localhost:8000", "https://other.example.com"]),
    "twice the same aud": _claims(aud=["http://localhost:8000", "http://localhost:8000"]),
    "aud with two slashes": _claims(aud="http://localhost:8000//"),
    "aud with another case": _claims(aud="HTTP://LOCALHOST:8000"),
    "token endpoint as aud": _claims(aud="http://localhost:8000/login"),
    "empty list as aud": _claims(aud=[]),
    "list in a list as aud": _claims(aud=[["http://localhost:8000"]]),
    "iss and sub differ": _claims(iss="other"),
    "iss is ours": _claims(iss="http://localhost:8000"),
    "our own access token": _our_token,
    "another server's access token": _token_of_another_server,
    "expired": _in(-LEEWAY - 1, "exp"),
    "issued in the future": _in(LEEWAY + 60, "iat"),
    "not yet valid": _in(LEEWAY + 60, "nbf"),
    "lifetime of a year": _in(365 * 24 * 3600, "exp"),
    "lifetime of six minutes": _in(6 * 60 + LEEWAY, "exp"),
    **{f"no {name}": _claims(**{name: None}) for name in ("iss", "sub", "aud", "exp", "jti")},
    **{
        f"{name} is {json.dumps(value)[:20]}": _claims(**{name: value})
        for name, values in ILL_TYPED.items()
        for value in values
    },
    "exp is NaN": _claims(exp=float("nan")),
    "exp is infinite": _claims(exp=float("inf")),
    "exp of 5000 digits": lambda pair: pair.sign(b'{"exp": %s}' % (b"1" * 5000)),
    **{
        f"sub {what}": _claims(iss=sub, sub=sub)
        for what, sub in {
            "with NUL": "signer\0",
            "in capitals": "SIGNER",
            "in wide letters": "\uff53\uff49\uff47\uff4e\uff45\uff52",
            "with a zero width": "sig\u200bner",
            "with half a pair": "signer\ud800",
            "with a space": "signer ",
            "beyond the length of ids": "s" * 1000,
        }.items()
    },
    "claims are a list": lambda pair: pair.sign([claims_of("signer")]),
    "claims are no JSON": lambda pair: pair.sign(b"{"),
    "claims are no UTF-8": lambda pair: pair.sign(b'{"sub": "\xff"}'),
    "claims are deep": lambda pair: pair.sign(b"[" * 6000),
    "changed claims": lambda pair: ".".join(
        [
            (parts := pair.sign(claims_of("signer")).split("."))[0],
            jose.encode(json.dumps(claims_of("signer")).encode()),
            parts[2],
        ]
    ),
    "signature cut off": lambda pair: pair.sign(claims_of("signer"))[:-8],
    "a fourth part": lambda pair: pair.sign(claims_of("signer")) + ".AAAA",
    "no parts": lambda pair: "assertion",
    "not ASCII": lambda pair: pair.sign(claims_of("signer")) + "ü",
    "padding": lambda pair: pair.sign(claims_of("signer")) + "==",
    "too long": _claims(long="x" * MAX_LENGTH),
    "nearly 64 KiB": lambda pair: "A" * 65_000,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_attack_is_refused_as_an_unknown_client(
    http: APIClient,
    client: Client,
    pair: KeyPair,
    attack: Callable[[KeyPair], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "api.audit")
    assertion = attack(pair)
    caplog.clear()
    assert log_in(http, assertion) is None
    (line,) = [record.getMessage() for record in caplog.records if record.name == "api.audit"]
    assert line.startswith("login_failed client=")
    assert 'reason="' in line
    assert not UsedAssertion.objects.exists()
    assert collector.flush()
    assert ClientKey.objects.filter(client=client, last_used_at=None).exists()


def test_64_kib_are_more_than_a_body_may_have(post: Post) -> None:
    response = post(presented("A" * 64 * 1024))
    assert_error(response, 413, "invalid_request", "The request body is larger than 64 KiB.")


@pytest.mark.parametrize("change", ["unknown", "inactive", "staff", "expired", "removed", "other"])
def test_signer_that_may_not_log_in_is_refused(
    http: APIClient, client: Client, pair: KeyPair, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "api.audit")
    assertion = pair.sign(claims_of("signer"))
    match change:
        case "unknown":
            client.delete()
        case "inactive":
            Client.objects.update(is_active=False)
        case "staff":
            User.objects.update(is_staff=True)
        case "expired":
            ClientKey.objects.update(expires_at=timezone.now())
        case "removed":
            ClientKey.objects.all().delete()
    more = {"client_id": "other"} if change == "other" else {}
    assert log_in(http, assertion, **more) is None
    reasons = {
        "unknown": "unknown client",
        "inactive": "inactive client",
        "staff": "staff, not a client",
        "other": "assertion: client_id is not sub",
    }
    assert reasons.get(change, "assertion: no key") in caplog.text


@pytest.mark.parametrize("kind", ["ES256", "ES384", "EdDSA", "RS256"])
@pytest.mark.parametrize("kid", ["named", ""])
def test_refusal_verifies_as_often_for_an_unknown_client(
    http: APIClient, client: Client, kind: str, kid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [KeyPair.generate(kind) for _ in range(2)]
    for pair in pairs:
        add_key(client, pair)
    verified = count_verifications(monkeypatch)
    header = {"kid": pairs[0].kid} if kid else {}
    wrong = KeyPair.generate(kind)
    for client_id in ("signer", "nobody"):
        verified.clear()
        assert log_in(http, wrong.sign(claims_of(client_id), header)) is None
        assert verified == [wrong.algorithm] * (1 if kid else TRIES)


@pytest.mark.parametrize("size", [2048, 3072])
def test_refusal_verifies_with_as_large_keys_for_an_unknown_client(
    http: APIClient, client: Client, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bits in (2048, 3072):
        add_key(client, KeyPair(rsa.generate_private_key(65537, bits), "RS256"))
    sizes: list[int] = []
    genuine = jose.PublicKey.has_signed

    def note(self: jose.PublicKey, message: bytes, signature: bytes, algorithm: str) -> bool:
        assert isinstance(self.loaded, rsa.RSAPublicKey)
        sizes.append(self.loaded.key_size)
        return genuine(self, message, signature, algorithm)

    monkeypatch.setattr(jose.PublicKey, "has_signed", note)
    wrong = KeyPair(rsa.generate_private_key(65537, size), "RS256")
    for client_id in ("signer", "nobody"):
        sizes.clear()
        assert log_in(http, wrong.sign(claims_of(client_id))) is None
        assert sizes == [size] * TRIES


def test_keys_are_not_loaded_anew_for_each_refusal(
    http: APIClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_key(client, KeyPair.generate())
    wrong = KeyPair.generate()
    assert log_in(http, wrong.sign(claims_of("signer"))) is None
    monkeypatch.delattr(jose, "from_jwk")
    assert log_in(http, wrong.sign(claims_of("signer"))) is None


# Once


def test_assertion_is_good_once_and_its_record_outlives_it(
    http: APIClient, client: Client, pair: KeyPair
) -> None:
    other, _ = create_client("other", secret=NO_SECRET)
    add_key(other, pair)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        claims = claims_of("signer", exp=int(time.time()) + client_keys.MAX_AHEAD)
        assert log_in(http, pair.sign(claims))
        assert log_in(http, pair.sign(claims)) is None
        assert log_in(http, pair.sign(claims, {"typ": "JWT"})) is None  # signed anew
        assert log_in(http, pair.sign(claims | {"iss": "other", "sub": "other"}))  # its own jti
        clock.shift(client_keys.MAX_AHEAD + LEEWAY - 1)
        assert log_in(http, pair.sign(claims)) is None
        record = UsedAssertion.objects.earliest("expires_at")
        assert record.expires_at == datetime.fromtimestamp(claims["exp"] + LEEWAY, UTC)


def test_records_of_used_assertions_are_deleted_when_they_have_expired(
    http: APIClient, client: Client, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    for number, age in enumerate((9, 11, 12, 13)):
        UsedAssertion.objects.create(digest=str(number), expires_at=now - timedelta(seconds=age))
    monkeypatch.setattr(client_keys, "DELETED_AT_ONCE", 2)
    monkeypatch.setattr(client_keys, "DELETED_EVERY", 1)
    with time_machine.travel(now, tick=False):
        for kept in ({"0", "1"}, {"0"}, {"0"}):  # the first may still count on a slow clock
            assert log_in(http, pair.sign(claims_of("signer")))
            found = UsedAssertion.objects.filter(digest__in="0123")
            assert set(found.values_list("digest", flat=True)) == kept


# One method


@pytest.mark.parametrize("where", ["body", "header"])
def test_secret_and_assertion_together_are_refused(
    post: Post, client: Client, pair: KeyPair, where: str
) -> None:
    secret = clients.rotate_secret(client)
    body = presented(pair.sign(claims_of("signer")), client_id="signer")
    headers = basic("signer", secret) if where == "header" else {}
    body |= {} if headers else {"client_secret": secret}
    assert_error(post(body, **headers), 400, "invalid_request", TWO_WAYS)


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"client_assertion": "a.b.c"}, "client_assertion_type is required."),
        (presented(""), "client_assertion is required."),
        (
            presented("a.b.c") | {"client_assertion_type": "urn:example:saml2"},
            f"The client_assertion_type is neither {ASSERTION_TYPE} nor {SPIFFE_TYPE}.",
        ),
        (presented("a.b.c", client_id="\0"), "client_id is malformed."),
    ],
    ids=["no type", "no assertion", "another type", "client_id with NUL"],
)
def test_malformed_request_is_400(post: Post, body: dict[str, str], description: str) -> None:
    assert_error(post(body), 400, "invalid_request", description)


def test_assertion_in_the_url_is_refused(http: APIClient, client: Client, pair: KeyPair) -> None:
    assertion = pair.sign(claims_of("signer"))
    url = f"/login?client_assertion={assertion}"
    response = http.post(url, presented(assertion), format="json")
    description = "Send credentials in a header or in the body, not in the URL."
    assert_error(response, 400, "invalid_request", description)
    assert log_in(http, assertion)


@pytest.mark.parametrize("only", ["", *METHODS])
@pytest.mark.parametrize("used", METHODS)
def test_client_is_restricted_to_its_method(
    post: Post, client: Client, pair: KeyPair, only: str, used: str
) -> None:
    secret = clients.rotate_secret(client)
    clients.restrict(client, only)
    body = {
        "client_secret_basic": {},
        "client_secret_post": {"client_id": "signer", "client_secret": secret},
        "private_key_jwt": presented(pair.sign(claims_of("signer"))),
    }[used]
    headers = basic("signer", secret) if used == "client_secret_basic" else {}
    for path in ("/login", "/introspect"):
        if used == "private_key_jwt":
            body = presented(pair.sign(claims_of("signer")))
        response = post(body | {"token": "t"}, path, **headers)
        if only in {"", used}:
            assert response.status_code == 200
        else:
            assert_error(response, *INVALID_CLIENT)


# What ends with a key


@pytest.mark.parametrize("end", ["delete", "expire", "deactivate", "revoke", "staff", "move"])
def test_token_ends_with_its_key_and_no_other_does(
    http: APIClient, client: Client, pair: KeyPair, end: str
) -> None:
    other = KeyPair.generate()
    add_key(client, other)
    secret = clients.rotate_secret(client)
    by_key = log_in(http, pair.sign(claims_of("signer")))
    by_other = log_in(http, other.sign(claims_of("signer")))
    body = {"client_id": "signer", "client_secret": secret}
    by_secret = http.post("/login", body, format="json").json()["access_token"]
    assert all(is_good(http, token) for token in (by_key, by_other, by_secret))
    key, others = ClientKey.objects.filter(kid=pair.kid), True
    match end:
        case "delete":
            key.delete()
            add_key(client, pair)  # the same key again is another credential
        case "expire":
            key.update(expires_at=timezone.now())
        case "move":
            key.update(client=create_client("another")[0])
        case "deactivate":
            others = False
            client.is_active = False
            client.save()
            client.is_active = True
            client.save()
        case "revoke":
            others = False
            tokens.revoke_all(Client.objects.filter(pk=client.pk))
        case "staff":
            others = False
            client.is_staff = True
            client.save()
            assert not ClientKey.objects.exists()
    assert not is_good(http, by_key)
    assert is_good(http, by_other) == is_good(http, by_secret) == others


def test_rotated_secret_ends_no_token_of_a_key(
    http: APIClient, client: Client, pair: KeyPair
) -> None:
    token = log_in(http, pair.sign(claims_of("signer")))
    clients.rotate_secret(client)
    clients.remove_secret(client)
    assert is_good(http, token)


# Failures are counted


def test_failures_are_counted_and_never_refuse_a_correct_assertion(
    http: APIClient, client: Client, pair: KeyPair
) -> None:
    wrong = KeyPair.generate()

    def status(assertion: str) -> int:
        return int(http.post("/login", presented(assertion), format="json").status_code)

    assert [status(wrong.sign(claims_of("signer"))) for _ in range(11)] == [401] * 10 + [429]
    assert status(wrong.sign(claims_of("another"))) == 401  # counted for each client
    assert status("a.b.c") == 401
    assert status(pair.sign(claims_of("signer"))) == 200
