"""The token endpoint of RFC 6749: every way to present credentials, and every way to get it wrong.

What goes wrong with the bytes of a body is in `test_errors.py`.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import jwt
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group, User
from rest_framework.test import APIClient

from api import credentials
from api.claims import LIFETIME
from api.credentials import create_client
from api.models import Client
from api.tests.support.responses import INVALID_SCOPE, assert_error, basic, bearer, is_good
from api.token_backend import MAX_LENGTH

FORM = "application/x-www-form-urlencoded"
GRANT = {"grant_type": "client_credentials"}
TWO_WAYS = "Use one client authentication method only, for one client."
Post = Callable[..., Any]

ONLY_GRANT_TYPE = "The only grant_type is client_credentials."
MISSPELT_GRANT_TYPE = (
    "grant_type must be client_credentials, in lower case and without spaces or line breaks."
)
GRANT_TYPE_REQUIRED = (
    "grant_type is required unless the body is application/json; add grant_type=client_credentials."
)


@pytest.fixture
def post_form(http: APIClient) -> Post:
    def post(parameters: dict[str, str], path: str = "/login", **headers: str) -> Any:
        body = urlencode(parameters)
        return http.generic("POST", path, body, content_type=FORM, headers=headers)

    return post


def claims_of(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    claims: dict[str, Any] = jwt.decode(
        response.json()["access_token"], options={"verify_signature": False}
    )
    return claims


def chosen(secret: str, client_id: str = "foo") -> None:
    create_client(client_id, secret=secret)


def test_answer_is_that_of_rfc_6749(http: APIClient, credentials: dict[str, str]) -> None:
    response = http.post("/login", credentials, format="json")
    body = response.json()
    assert body == {
        "access_token": body["access_token"],
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "scope": "read write",
    }
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "no-store"
    assert response["Pragma"] == "no-cache"
    assert not response.cookies


def test_token_says_what_rfc_9068_asks(http: APIClient, credentials: dict[str, str]) -> None:
    response = http.post("/login", credentials, format="json")
    claims = claims_of(response)
    assert claims == {
        "iss": "http://localhost:8000",
        "aud": "http://localhost:8000",
        "sub": "reporting",
        "client_id": "reporting",
        "iat": claims["iat"],
        "exp": claims["iat"] + LIFETIME,
        "jti": claims["jti"],
        "scope": "read write",
        "secret_fp": claims["secret_fp"],
    }
    header = jwt.get_unverified_header(response.json()["access_token"])
    assert header == {"alg": "ES256", "kid": header["kid"], "typ": "at+jwt"}


def test_no_two_tokens_are_the_same(http: APIClient, credentials: dict[str, str]) -> None:
    tokens = [claims_of(http.post("/login", credentials, format="json")) for _ in range(2)]
    assert tokens[0]["jti"] != tokens[1]["jti"]


# Where the credentials are


def test_form_body_logs_in(post_form: Post, credentials: dict[str, str]) -> None:
    assert claims_of(post_form(GRANT | credentials))["sub"] == "reporting"


def test_basic_header_logs_in(post_form: Post, credentials: dict[str, str]) -> None:
    response = post_form(GRANT, **basic(**credentials))
    assert claims_of(response)["sub"] == "reporting"


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
def test_scheme_is_matched_in_any_case(
    post_form: Post, credentials: dict[str, str], scheme: str
) -> None:
    header = basic(**credentials)["Authorization"].replace("Basic", scheme)
    assert claims_of(post_form(GRANT, Authorization=header))["sub"] == "reporting"


@pytest.mark.parametrize("media_type", ["Application/JSON", "application/json ; charset=UTF-8"])
def test_media_type_is_matched_in_any_case(
    http: APIClient, credentials: dict[str, str], media_type: str
) -> None:
    response = http.generic("POST", "/login", json.dumps(credentials), content_type=media_type)
    assert response.status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("encode", [quote, quote_plus, str], ids=["percent", "plus", "not-at-all"])
@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("p:s w+d", id="colon-space-plus"),
        pytest.param("100%", id="percent"),
        pytest.param("50%20off", id="looks-encoded"),
        pytest.param("p%ffw", id="looks-encoded-badly"),
        pytest.param("a%00b", id="looks-like-nul"),
        pytest.param("pässwörd ☃", id="not-ascii"),
        pytest.param("%" * 1000, id="long"),
    ],
)
def test_basic_header_is_read_form_urlencoded_and_raw(
    post_form: Post, secret: str, encode: Callable[[str], str]
) -> None:
    chosen(secret)
    response = post_form(GRANT, **basic("foo", encode(secret)))
    assert claims_of(response)["sub"] == "foo"


@pytest.mark.django_db
def test_client_id_too_may_be_form_urlencoded(post_form: Post) -> None:
    chosen("bar", "a@b.example")
    for client_id in ("a@b.example", "a%40b.example"):
        response = post_form(GRANT, **basic(client_id, "bar"))
        assert claims_of(response)["sub"] == "a@b.example"


@pytest.mark.django_db
def test_secret_that_is_no_reading_of_the_header_is_refused(post_form: Post) -> None:
    chosen("a b")
    response = post_form(GRANT, **basic("foo", "a%2520b"))
    assert_error(response, 401, "invalid_client", "The client credentials are not valid.")


def test_client_id_beside_basic_may_be_the_same(
    post_form: Post, credentials: dict[str, str]
) -> None:
    parameters = GRANT | {"client_id": credentials["client_id"]}
    assert post_form(parameters, **basic(**credentials)).status_code == 200


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param({"client_id": "somebody"}, id="another-id"),
        pytest.param({"client_id": "reporting", "client_secret": "x"}, id="both"),
        pytest.param({"client_secret": "x"}, id="secret"),
        pytest.param({"client_secret": ["x"]}, id="ill-typed-secret"),
        pytest.param({"client_id": ["reporting"]}, id="ill-typed-id"),
        pytest.param({"client_id": {}}, id="object"),
    ],
)
def test_two_ways_at_once_are_400(
    http: APIClient, credentials: dict[str, str], beside: dict[str, Any]
) -> None:
    headers = basic(**credentials)
    response = http.post("/login", GRANT | beside, format="json", headers=headers)
    assert_error(response, 400, "invalid_request", TWO_WAYS)


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
@pytest.mark.parametrize("value", ["x", "", "%ff"])
def test_credentials_in_the_url_are_400(
    post_form: Post, credentials: dict[str, str], path: str, name: str, value: str
) -> None:
    parameters = GRANT | credentials | {"token": "t"}
    response = post_form(parameters, f"{path}?{name}={value}")
    assert_error(
        response,
        400,
        "invalid_request",
        "Send credentials in a header or in the body, not in the URL.",
    )


def test_parameters_in_the_url_are_not_those_of_the_request(
    post_form: Post, credentials: dict[str, str]
) -> None:
    response = post_form(credentials, "/login?grant_type=client_credentials")
    assert_error(response, 400, "invalid_request", GRANT_TYPE_REQUIRED)


# grant_type


def test_grant_type_may_be_absent_in_json_alone(
    http: APIClient, post_form: Post, credentials: dict[str, str]
) -> None:
    assert http.post("/login", credentials, format="json").status_code == 200
    assert http.post("/login", credentials | GRANT, format="json").status_code == 200
    assert_error(post_form(credentials), 400, "invalid_request", GRANT_TYPE_REQUIRED)
    empty = credentials | {"grant_type": ""}
    assert_error(post_form(empty), 400, "invalid_request", GRANT_TYPE_REQUIRED)
    bare = http.generic("POST", "/login", headers=basic(**credentials))
    assert_error(bare, 400, "invalid_request", GRANT_TYPE_REQUIRED)


@pytest.mark.parametrize(
    ("grant_type", "description"),
    [
        ("password", ONLY_GRANT_TYPE),
        ("authorization_code", ONLY_GRANT_TYPE),
        ("client-credentials", ONLY_GRANT_TYPE),
        ("CLIENT_CREDENTIALS", MISSPELT_GRANT_TYPE),
        ("Client_Credentials", MISSPELT_GRANT_TYPE),
        ("client_credentials ", MISSPELT_GRANT_TYPE),
        ("client_credentials\n", MISSPELT_GRANT_TYPE),
    ],
)
def test_no_other_grant_type_is_supported(
    post_form: Post, credentials: dict[str, str], grant_type: str, description: str
) -> None:
    response = post_form(credentials | {"grant_type": grant_type})
    assert_error(response, 400, "unsupported_grant_type", description)


# scope


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("read", "read"),
        ("write", "write"),
        ("write read", "read write"),
        ("read read", "read"),
        ("", "read write"),
        (" ", "read write"),
        ("read ", "read"),
        ("  write   read  ", "read write"),
    ],
)
def test_scope_narrows(
    post_form: Post, credentials: dict[str, str], asked: str, given: str
) -> None:
    response = post_form(GRANT | credentials | {"scope": asked})
    assert claims_of(response)["scope"] == response.json()["scope"] == given


@pytest.mark.parametrize(
    "asked",
    ["admin", "read admin", "READ", "read\twrite", "read\n", "read,write", "read+write", "é"],
)
def test_scope_that_is_not_the_clients_is_refused(
    post_form: Post, credentials: dict[str, str], asked: str
) -> None:
    response = post_form(GRANT | credentials | {"scope": asked})
    assert_error(response, 400, "invalid_scope", INVALID_SCOPE)


def test_scope_is_told_to_nobody_without_the_secret(
    post_form: Post, credentials: dict[str, str]
) -> None:
    response = post_form(GRANT | credentials | {"client_secret": "x", "scope": "admin"})
    assert response.json()["error"] == "invalid_client"


@pytest.mark.django_db
def test_client_without_scopes_gets_the_empty_scope(post_form: Post) -> None:
    chosen("bar")
    response = post_form(GRANT | {"client_id": "foo", "client_secret": "bar"})
    assert claims_of(response)["scope"] == response.json()["scope"] == ""


# Tokens that are too long

TOO_LONG = "The token would be too long; ask for fewer scopes."


@pytest.fixture
def many(db: None) -> dict[str, str]:
    """The credentials of a client with more scopes than a token can name."""
    scopes = [f"a-scope-with-{number:08}" for number in range(300)]
    client, secret = create_client("many", scopes=scopes)
    return {"client_id": client.username, "client_secret": secret}


def longest(http: APIClient, credentials: dict[str, str]) -> str:
    """Return the longest token that the client gets by asking for one scope less each time."""
    groups = Group.objects.filter(user__username=credentials["client_id"])
    names = sorted(groups.values_list("name", flat=True))
    while names:
        body = credentials | {"scope": " ".join(names)}
        response = http.post("/login", body, format="json")
        if response.status_code == 200:
            assert response.json()["scope"] == body["scope"]
            return str(response.json()["access_token"])
        assert_error(response, 400, "invalid_scope", TOO_LONG)
        names.pop()
    raise AssertionError("No token was short enough.")


def test_token_is_refused_at_login_if_it_is_too_long_to_be_used(
    http: APIClient, many: dict[str, str]
) -> None:
    assert_error(http.post("/login", many, format="json"), 400, "invalid_scope", TOO_LONG)
    token = longest(http, many)
    assert MAX_LENGTH - 60 < len(token) <= MAX_LENGTH
    assert len(f"Authorization: Bearer {token}\r\n") < 8190, "Apache takes no longer line"
    introspected = http.post("/introspect", many | {"token": token}, format="json")
    assert introspected.json()["active"] is True
    assert is_good(http, token)
    assert http.post("/revoke", many | {"token": token}, format="json").status_code == 200
    assert not is_good(http, token)


@pytest.mark.parametrize(
    "client_id", ["a\nb", "a\u200bb", "\U0001f511", "\U00020000" * 150], ids=ascii
)
def test_row_of_another_project_gets_tokens_that_are_good(
    http: APIClient, db: None, client_id: str
) -> None:
    """Django's `create_user` refuses no name."""
    User.objects.create_user(client_id, password="bar")
    body = {"client_id": client_id, "client_secret": "bar"}
    token = http.post("/login", body, format="json").json()["access_token"]
    assert is_good(http, token)
    assert http.get("/private", headers=bearer(token)).json()["sub"] == client_id


# What is ignored, and what is not


def test_unknown_parameters_are_ignored(http: APIClient, credentials: dict[str, str]) -> None:
    more: dict[str, Any] = {
        "resources": "x",
        "audience": ["y"],
        "": {},
        "\ud800": "\ud800",
        "\0": None,
    }
    body = json.dumps(credentials | more)
    response = http.generic("POST", "/login", body, content_type="application/json")
    assert response.status_code == 200


def test_empty_parameters_count_as_absent(post_form: Post, credentials: dict[str, str]) -> None:
    parameters = GRANT | {"scope": "", "client_id": "", "client_secret": "", "x": ""}
    response = post_form(parameters, **basic(**credentials))
    assert claims_of(response)["scope"] == "read write"


@pytest.mark.django_db
@pytest.mark.parametrize("stored", [" bar", "bar ", "bar\n", "\tbar", "bar\u00a0", " "])
def test_secrets_are_compared_exactly_as_sent(http: APIClient, stored: str) -> None:
    chosen(stored)
    sent = {"client_id": "foo", "client_secret": stored}
    assert http.post("/login", sent, format="json").status_code == 200
    for other in (stored.strip() or "bar", stored + " ", " " + stored, stored + "\r"):
        response = http.post("/login", sent | {"client_secret": other}, format="json")
        assert response.status_code == 401


@pytest.mark.parametrize("client_id", ["Reporting", " reporting", "reporting ", "reportin\u0261"])
def test_client_ids_are_compared_exactly_as_sent(
    http: APIClient, credentials: dict[str, str], client_id: str
) -> None:
    response = http.post("/login", credentials | {"client_id": client_id}, format="json")
    assert response.json()["error"] == "invalid_client"


@pytest.mark.django_db
@pytest.mark.parametrize("nuls", ["\0", "\0\0\0"])
@pytest.mark.parametrize("scheme", ["json", "basic"])
def test_right_secret_with_nul_bytes_is_refused_even_where_pbkdf2_takes_it(
    http: APIClient, post_form: Post, scheme: str, nuls: str
) -> None:
    chosen("bar")
    hasher = PBKDF2PasswordHasher()
    encoded = hasher.encode("bar", "salt", iterations=10)
    assert hasher.verify("bar" + nuls, encoded), "then there is nothing to guard against"
    Client.objects.filter(username="foo").update(password=encoded)
    if scheme == "json":
        sent = {"client_id": "foo", "client_secret": "bar" + nuls}
        response = http.post("/login", sent, format="json")
        assert_error(response, 400, "invalid_request", "client_secret is malformed.")
    else:
        response = post_form(GRANT, **basic("foo", "bar" + nuls))
        description = "The Basic credentials are malformed."
        assert_error(response, 400, "invalid_request", description)
    with pytest.raises(credentials.BadCredentialsError):
        credentials.check("foo", "bar" + nuls, address="192.0.2.1")
    credentials.check("foo", "bar", address="192.0.2.1")
