"""Logging in with the token that a platform gives its workload."""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from api import jose
from api.claims import FINGERPRINT_CLAIM
from api.client_authentication.assertion import ASSERTION_TYPE, SPIFFE_TYPE
from api.credentials import create_client
from api.models import Client, TrustedIssuer, WorkloadIdentity
from api.tests.support.assertions import count_verifications
from api.tests.support.issuer import SUBJECT, Issuer, form
from api.tests.support.responses import assert_error, basic, bearer, is_good
from api.trust import add_identity, trust_issuer

YEAR = 365 * 24 * 60 * 60
REFUSED = "The client credentials are not valid."


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def identity(client_row: Client, issuer: Issuer) -> WorkloadIdentity:
    """An identity of the client `reporting` with a further claim, at an issuer with given keys."""
    trusted = trust_issuer(issuer.url, given=issuer.jwks())
    return add_identity(client_row, trusted, SUBJECT, {"team": "7"})


@pytest.fixture
def log_in(http: APIClient) -> Callable[..., Any]:
    return lambda *args, **more: http.post("/login", form(*args, **more), format="json")


def test_a_workload_logs_in_with_the_token_of_its_platform(
    http: APIClient, log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity
) -> None:
    presented = issuer.token(team="7")
    for _ in range(2):  # platforms' tokens are used many times
        response = log_in(presented, scope="read")
        token = response.json().pop("access_token")
        assert (response.status_code, response.json() | {"access_token": ""}) == (
            200,
            {"access_token": "", "token_type": "Bearer", "expires_in": 300, "scope": "read"},
        )
    assert http.get("/private", headers=bearer(token)).json()["sub"] == "reporting"
    proof = form(presented)
    assert (
        http.post("/introspect", {**proof, "token": token}, format="json").json()["active"] is True
    )
    assert http.post("/revoke", {**proof, "token": token}, format="json").status_code == 200
    assert not is_good(http, token)


def test_a_login_and_a_verification_take_one_query_each(
    http: APIClient,
    log_in: Callable[..., Any],
    issuer: Issuer,
    identity: WorkloadIdentity,
    django_assert_num_queries: Any,
) -> None:
    token = log_in(issuer.token(team="7")).json()["access_token"]
    with django_assert_num_queries(1):
        assert log_in(issuer.token(team="7")).status_code == 200
    with django_assert_num_queries(1):
        assert is_good(http, token)


@pytest.mark.parametrize("deleted", ["identity", "issuer"])
def test_tokens_end_with_the_identity_or_its_issuer(
    deleted: str,
    http: APIClient,
    log_in: Callable[..., Any],
    issuer: Issuer,
    identity: WorkloadIdentity,
    client_row: Client,
    get_token: Callable[[], str],
) -> None:
    trusted = identity.issuer
    other = add_identity(client_row, trusted, "another subject", {})
    token, by_secret = log_in(issuer.token(team="7")).json()["access_token"], get_token()
    by_other = log_in(issuer.token(sub="another subject")).json()["access_token"]
    (identity if deleted == "identity" else trusted).delete()
    assert not is_good(http, token)
    assert is_good(http, by_other) == WorkloadIdentity.objects.filter(pk=other.pk).exists()
    assert is_good(http, by_secret)
    assert_error(log_in(issuer.token(team="7")), 401, "invalid_client", REFUSED)


def test_an_identity_added_again_does_not_revive_old_tokens(
    http: APIClient, log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity
) -> None:
    token = log_in(issuer.token(team="7")).json()["access_token"]
    again = WorkloadIdentity(client_id=identity.client_id, issuer=identity.issuer, subject=SUBJECT)
    identity.delete()
    again.save()
    assert not is_good(http, token)


def test_an_inactive_client_is_refused_and_its_tokens_end(
    http: APIClient,
    log_in: Callable[..., Any],
    issuer: Issuer,
    identity: WorkloadIdentity,
    client_row: Client,
) -> None:
    token = log_in(issuer.token(team="7")).json()["access_token"]
    client_row.is_active = False
    client_row.save()
    assert not is_good(http, token)
    assert_error(log_in(issuer.token(team="7")), 401, "invalid_client", REFUSED)


def test_an_identity_ends_when_its_client_becomes_staff(
    log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity, client_row: Client
) -> None:
    User.objects.filter(pk=client_row.pk).update(is_staff=True)  # no signal tells the receivers
    assert_error(log_in(issuer.token(team="7")), 401, "invalid_client", REFUSED)
    User.objects.filter(pk=client_row.pk).update(is_staff=False)
    client_row.is_staff = True
    client_row.save()
    assert not WorkloadIdentity.objects.exists()


def unsigned(issuer: Issuer) -> str:
    claims = issuer.token(team="7").split(".")[1]
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    return f"{none}.{claims}."


def signed_with_the_public_key(issuer: Issuer) -> str:
    claims = jwt.decode(issuer.token(team="7"), options={"verify_signature": False})
    public = issuer.keys["one"].public_key()
    secret = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    algorithm = jwt.get_algorithm_by_name("HS256")
    signature = algorithm.sign(header + b"." + body, secret)
    return (header + b"." + body + b".").decode() + jose.encode(signature)


def of_another_issuer(issuer: Issuer) -> str:
    """Sign with another trusted issuer's key, which has the same `kid`."""
    other = Issuer("https://other.example")
    trust_issuer(other.url, given=other.jwks())
    return other.token(iss=issuer.url, team="7")


def embedding(issuer: Issuer) -> str:
    stranger = Issuer(issuer.url)
    jwk = json.loads(stranger.jwks())["keys"][0]
    return stranger.token({"jwk": jwk}, team="7")


def token_of(issuer: Issuer, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    return issuer.token(headers, **{"team": "7", **claims})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(signed_with_the_public_key, "assertion: unsupported alg", id="HS256"),
        pytest.param(unsigned, "assertion: malformed", id="alg none"),
        pytest.param(embedding, "assertion: forbidden header", id="embedded jwk"),
        pytest.param(
            of_another_issuer, "identity: wrong signature", id="another issuer's key, same kid"
        ),
        pytest.param(
            lambda one: token_of(Issuer(one.url)), "identity: wrong signature", id="a forged key"
        ),
        *(
            pytest.param(lambda one, h=headers, c=claims: token_of(one, h, **c), reason, id=name)
            for name, headers, claims, reason in (
                ("unknown kid", {"kid": "two"}, {}, "identity: no such key"),
                ("no kid", {"kid": ""}, {}, "identity: no kid"),
                ("x5u", {"x5u": "https://x.example"}, {}, "assertion: forbidden header"),
                ("jku", {"jku": "https://x.example"}, {}, "assertion: forbidden header"),
                ("crit", {"crit": ["exp"]}, {}, "assertion: forbidden header"),
                ("access token", {"typ": "at+jwt"}, {}, "identity: wrong typ"),
                ("no issuer", {}, {"iss": None}, "assertion: no usable iss"),
                (
                    "unknown issuer",
                    {},
                    {"iss": "https://issuer.example/"},
                    "identity: unknown issuer or subject",
                ),
                ("issuer with NUL", {}, {"iss": "a\0"}, "assertion: no usable iss"),
                (
                    "swapped iss and sub",
                    {},
                    {"iss": SUBJECT, "sub": "https://issuer.example"},
                    "identity: unknown issuer or subject",
                ),
                ("no subject", {}, {"sub": None}, "assertion: no usable sub"),
                ("subject is a number", {}, {"sub": 7}, "assertion: no usable sub"),
                ("subject with NUL", {}, {"sub": f"{SUBJECT}\0"}, "assertion: no usable sub"),
                ("lone surrogate", {}, {"sub": "\ud800"}, "assertion: no usable sub"),
                *(
                    (name, {}, {"sub": sub}, "identity: unknown issuer or subject")
                    for name, sub in (
                        ("a longer subject", f"{SUBJECT}2"),
                        ("another case", SUBJECT.upper()),
                        ("trailing space", f"{SUBJECT} "),
                        ("full width", SUBJECT.replace("r", "\uff52")),
                        ("combining", f"{SUBJECT}\u0301"),
                        ("a pattern", "%"),
                    )
                ),
                *(
                    (name, {}, {"aud": aud}, "assertion: wrong aud, or several")
                    for name, aud in (
                        ("no aud", None),
                        ("foreign aud", "https://other.example"),
                        ("several aud", ["http://localhost:8000", "https://other.example"]),
                        ("the token endpoint", "http://localhost:8000/login"),
                        ("aud is an object", {"http://localhost:8000": 1}),
                        ("nested aud", [["http://localhost:8000"]]),
                    )
                ),
                ("no exp", {}, {"exp": None}, "assertion: no exp"),
                ("expired", {}, {"exp": 1_700_000_000}, "assertion: expired"),
                ("exp is a text", {}, {"exp": "9"}, "assertion: exp is not a time"),
                ("exp is true", {}, {"exp": True}, "assertion: exp is not a time"),
                ("exp is negative", {}, {"exp": -1}, "assertion: exp is not a time"),
                ("exp is endless", {}, {"exp": 10**400}, "assertion: exp is not a time"),
                ("not yet", {}, {"nbf": 2**32 + YEAR}, "assertion: nbf in the future"),
                ("from the future", {}, {"iat": 2**32 + YEAR}, "assertion: iat in the future"),
                ("another team", {}, {"team": "8"}, "identity: wrong claim"),
                ("no team", {}, {"team": None}, "identity: wrong claim"),
                ("team is a list", {}, {"team": ["7"]}, "identity: wrong claim"),
                ("team is 7.0", {}, {"team": 7.0}, "identity: wrong claim"),
                ("a megabyte", {}, {"x": "x" * 20_000}, "assertion: too long"),
            )
        ),
    ],
)
def test_any_other_token_is_refused_alike_and_the_log_says_why(
    make: Callable[[Issuer], str],
    reason: str,
    log_in: Callable[..., Any],
    issuer: Issuer,
    identity: WorkloadIdentity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "api.audit"):
        response = log_in(make(issuer))
    assert_error(response, 401, "invalid_client", REFUSED)
    assert response["WWW-Authenticate"] == 'Basic realm="authdemo", charset="UTF-8"'
    (line,) = [one for one in caplog.records if one.__dict__.get("event") == "login_failed"]
    assert line.__dict__["reason"] == reason


def test_a_token_may_live_a_day_at_most(
    log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity
) -> None:
    def living(seconds: int) -> str:
        issued_at = jwt.decode(issuer.token(), options={"verify_signature": False})["iat"]
        return issuer.token(team="7", exp=issued_at + seconds)

    assert log_in(living(24 * 60 * 60)).status_code == 200
    assert_error(log_in(living(24 * 60 * 60 + 120)), 401, "invalid_client", REFUSED)
    assert_error(log_in(living(YEAR)), 401, "invalid_client", REFUSED)


def test_our_own_access_token_is_no_assertion(
    log_in: Callable[..., Any], identity: WorkloadIdentity, get_token: Callable[[], str]
) -> None:
    assert_error(log_in(get_token()), 401, "invalid_client", REFUSED)


def test_another_audience_can_be_demanded(
    log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity
) -> None:
    trust_issuer(issuer.url, given=issuer.jwks(), audience="workloads")
    assert log_in(issuer.token(team="7", aud="workloads")).status_code == 200
    assert log_in(issuer.token(team="7", aud=["workloads"])).status_code == 200
    assert_error(log_in(issuer.token(team="7")), 401, "invalid_client", REFUSED)


@pytest.mark.parametrize(
    ("expected", "value"),
    [("7", "7"), ("7", 7), ("true", True), ("False", "False"), ("", "")],
)
def test_claims_are_compared_as_text(
    expected: str,
    value: Any,
    log_in: Callable[..., Any],
    issuer: Issuer,
    identity: WorkloadIdentity,
) -> None:
    WorkloadIdentity.objects.update(claims={"team": expected})
    assert log_in(issuer.token(team=value)).status_code == 200


def test_a_client_id_beside_the_token_must_agree(
    log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity
) -> None:
    create_client("another")
    token = issuer.token(team="7")
    assert log_in(token, client_id="reporting").status_code == 200
    assert log_in(token, client_id=SUBJECT).status_code == 200  # as SPIFFE's draft has it
    assert_error(log_in(token, client_id="another"), 401, "invalid_client", REFUSED)


def test_a_token_that_fails_never_falls_back_to_a_secret(
    http: APIClient, issuer: Issuer, identity: WorkloadIdentity, credentials: dict[str, str]
) -> None:
    sentence = "Use one client authentication method only, for one client."
    for token in (issuer.token(team="7"), "wrong"):
        both = http.post("/login", form(token) | credentials, format="json")
        assert_error(both, 400, "invalid_request", sentence)
        header = basic(*credentials.values())
        both = http.post("/login", form(token), headers=header, format="json")
        assert_error(both, 400, "invalid_request", sentence)


@pytest.mark.parametrize(
    "change",
    [{}, {"iss": "https://unknown.example"}, {"sub": "unknown"}, {"kid": "unknown"}],
    ids=["wrong signature", "unknown issuer", "unknown subject", "unknown kid"],
)
def test_a_refusal_verifies_one_signature_whatever_is_unknown(
    change: dict[str, str],
    log_in: Callable[..., Any],
    issuer: Issuer,
    identity: WorkloadIdentity,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verified = count_verifications(monkeypatch)
    headers = {"kid": change["kid"]} if "kid" in change else {}
    claims = {name: value for name, value in change.items() if name != "kid"}
    forged = Issuer(issuer.url).token(headers, team="7", **claims)
    assert_error(log_in(forged), 401, "invalid_client", REFUSED)
    assert verified == ["ES256"]


def test_a_flood_of_failures_does_not_refuse_a_good_token(
    log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity, settings: Any
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = (3, 60)
    statuses = [log_in(Issuer(issuer.url).token(team="7")).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert log_in(issuer.token(team="7")).status_code == 200


SVID = "spiffe://example.org/reporting"


@pytest.fixture
def spiffe(client_row: Client) -> Issuer:
    """A trust domain, whose keys are for JWT-SVIDs, with an identity of `reporting`."""
    issuer = Issuer("spiffe://example.org")
    trusted = trust_issuer(issuer.url, given=issuer.jwks(use="jwt-svid"))
    add_identity(client_row, trusted, SVID, {})
    return issuer


@pytest.mark.parametrize("typ", ["JWT", "JOSE", None])
@pytest.mark.parametrize("named", [{}, {"client_id": SVID}, {"client_id": "reporting"}])
def test_a_jwt_svid_is_of_the_trust_domain_of_its_subject(
    typ: str | None, named: dict[str, str], log_in: Callable[..., Any], spiffe: Issuer
) -> None:
    svid = spiffe.token({"typ": typ}, iss=None, sub=SVID)
    assert log_in(svid, SPIFFE_TYPE, **named).status_code == 200


def test_a_jwt_svid_of_another_trust_domain_is_refused(
    log_in: Callable[..., Any], spiffe: Issuer
) -> None:
    other = Issuer("spiffe://evil.example")
    trust_issuer(other.url, given=other.jwks(use="jwt-svid"))
    for svid in (
        other.token(iss=None, sub=SVID),
        other.token(iss=other.url, sub=SVID),
        spiffe.token(iss=None, sub="spiffe://evil.example/reporting"),
        spiffe.token(iss=None, sub="spiffe://example.org@evil.example/reporting"),
        spiffe.token(iss=None, sub="reporting"),
    ):
        assert_error(log_in(svid, SPIFFE_TYPE), 401, "invalid_client", REFUSED)
    assert_error(log_in(spiffe.token(iss=None, sub=SVID)), 401, "invalid_client", REFUSED)


def test_a_jwt_svid_may_name_the_issuer_of_a_discovery_provider(
    log_in: Callable[..., Any], issuer: Issuer, client_row: Client
) -> None:
    add_identity(client_row, trust_issuer(issuer.url, given=issuer.jwks()), SVID, {})
    assert log_in(issuer.token(sub=SVID), SPIFFE_TYPE).status_code == 200


def test_another_assertion_type_is_refused(
    log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity
) -> None:
    response = log_in(issuer.token(team="7"), "urn:ietf:params:oauth:client-assertion-type:saml2")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_the_token_names_no_issuer_or_subject(
    log_in: Callable[..., Any], issuer: Issuer, identity: WorkloadIdentity
) -> None:
    """Services that read our tokens learn the client, not where it runs."""
    text = log_in(issuer.token(team="7")).json()["access_token"]
    claims = jwt.decode(text, options={"verify_signature": False})
    assert claims[FINGERPRINT_CLAIM].startswith(f"identity:{identity.pk}.")
    assert not {issuer.url, SUBJECT} & set(map(str, claims.values()))
    assert TrustedIssuer.objects.count() == 1


KUBERNETES = {
    "aud": ["http://localhost:8000"],
    "jti": "0b5e8a5d-5f0c-4cb1-b3e9-6f2c5a6f4a11",
    "kubernetes.io": {
        "namespace": "default",
        "node": {"name": "node-1", "uid": "5c8f1e0e-3f9c-4f3a-9d1e-b3b6f4c0a001"},
        "pod": {"name": "reporting-7d9c", "uid": "9f1c2f0e-1d2c-4a58-8a43-1c5e7f3b0002"},
        "serviceaccount": {"name": "reporting", "uid": "3e2a7b1c-6a51-4b0e-8f60-9a1b2c3d0003"},
    },
}
ACTIONS = {
    "repository": "octo/app",
    "repository_id": "456789",
    "repository_owner": "octo",
    "repository_owner_id": "123456",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "run_attempt": "1",
    "runner_environment": "github-hosted",
}
GITLAB = {
    "namespace_id": "72",
    "namespace_path": "group",
    "project_id": "456789",
    "project_path": "group/app",
    "ref": "main",
    "ref_type": "branch",
    "ref_protected": "true",
    "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
}


@pytest.mark.parametrize(
    ("url", "subject", "claims", "demanded", "kind"),
    [
        pytest.param(
            "https://kubernetes.default.svc.cluster.local",
            SUBJECT,
            KUBERNETES,
            {},
            ASSERTION_TYPE,
            id="Kubernetes",
        ),
        pytest.param(
            "https://token.actions.githubusercontent.com",
            "repo:octo/app:ref:refs/heads/main",
            ACTIONS,
            {"repository_id": "456789"},
            ASSERTION_TYPE,
            id="GitHub Actions",
        ),
        pytest.param(
            "https://token.actions.githubusercontent.com",
            "repo:octo@123456/app@456789:ref:refs/heads/main",
            ACTIONS,
            {},
            ASSERTION_TYPE,
            id="GitHub Actions, immutable subject",
        ),
        pytest.param(
            "https://gitlab.com",
            "project_path:group/app:ref_type:branch:ref:main",
            GITLAB,
            {"project_id": "456789", "ref_protected": "true"},
            ASSERTION_TYPE,
            id="GitLab CI",
        ),
        pytest.param(
            "https://oidc.example.org",
            "spiffe://example.org/ns/default/sa/reporting",
            {"aud": ["http://localhost:8000"]},
            {},
            SPIFFE_TYPE,
            id="SPIRE with its discovery provider",
        ),
    ],
)
def test_token_of_a_platform_logs_in(
    url: str,
    subject: str,
    claims: dict[str, Any],
    demanded: dict[str, str],
    kind: str,
    log_in: Callable[..., Any],
    client_row: Client,
) -> None:
    """Tokens and keys have the members that the platforms document."""
    platform = Issuer(url, "RS256")
    published = platform.jwks(use="sig", alg="RS256", x5t="bm90IGEgdGh1bWJwcmludA")
    add_identity(client_row, trust_issuer(url, given=published), subject, demanded)
    assert log_in(platform.token(sub=subject, **claims), kind).status_code == 200
    for name in demanded:
        other = platform.token(sub=subject, **{**claims, name: "1"})
        assert_error(log_in(other, kind), 401, "invalid_client", REFUSED)


def test_of_a_spiffe_bundle_only_the_keys_for_svids_are_used(
    log_in: Callable[..., Any], spiffe: Issuer
) -> None:
    web = Issuer(spiffe.url)
    web.rotate("web")
    bundle = json.loads(spiffe.jwks(use="jwt-svid"))
    bundle["keys"] += json.loads(web.jwks(use="x509-svid"))["keys"]
    bundle |= {"spiffe_sequence": 1, "spiffe_refresh_hint": 600}
    trust_issuer(spiffe.url, given=json.dumps(bundle))
    assert log_in(spiffe.token(iss=None, sub=SVID), SPIFFE_TYPE).status_code == 200
    stolen = web.token(iss=None, sub=SVID)
    assert_error(log_in(stolen, SPIFFE_TYPE), 401, "invalid_client", REFUSED)
