"""Every row of the table of errors: status, whole body, headers."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from pytest_django import Settings
from rest_framework.test import APIClient

from api.models import Client, SigningKey
from api.tests.support.responses import assert_error, assert_refused_token, basic, bearer

UNCACHED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
MALFORMED = "The request body could not be parsed."
ENDPOINTS = ["/login", "/register", "/introspect", "/revoke"]


def assert_uncached(response: Any) -> None:
    assert {name: response[name] for name in UNCACHED} == UNCACHED


def test_no_token_is_403_with_a_bare_challenge(http: APIClient) -> None:
    response = http.get("/private")
    description = "An access token is required; get one from /login."
    assert_error(response, 403, "missing_token", description)
    assert response["WWW-Authenticate"] == 'Bearer realm="authdemo"'
    assert_uncached(response)


@pytest.mark.django_db
def test_bad_token_is_401(http: APIClient) -> None:
    response = http.get("/private", headers=bearer("nonsense"))
    assert_refused_token(response)
    assert_uncached(response)


def test_token_without_the_scope_is_403(
    http: APIClient, get_token: Callable[[], str], settings: Settings
) -> None:
    settings.REGISTRATION = "closed"
    response = http.post("/register", {}, format="json", headers=bearer(get_token()))
    assert_error(response, 403, "insufficient_scope", "The access token lacks a required scope.")
    assert response["WWW-Authenticate"] == (
        'Bearer realm="authdemo", error="insufficient_scope", '
        'error_description="The access token lacks a required scope.", scope="register"'
    )


@pytest.mark.django_db
@pytest.mark.parametrize("missing", ["client_id", "client_secret"])
@pytest.mark.parametrize("value", ["absent", "", None])
@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
def test_missing_credentials_are_400(
    http: APIClient, path: str, missing: str, value: str | None
) -> None:
    body = {"client_id": "foo", "client_secret": "bar", "token": "t", missing: value}
    if value == "absent":
        del body[missing]
    response = http.post(path, body, format="json")
    assert_error(response, 400, "invalid_request", f"{missing} is required.")
    assert_uncached(response)


def test_wrong_unknown_and_inactive_are_one_answer(
    http: APIClient, credentials: dict[str, str], client_row: Client
) -> None:
    presented = {
        "wrong": credentials | {"client_secret": "wrong"},
        "unknown": credentials | {"client_id": "nobody"},
        "inactive": credentials,
    }
    answers = []
    for case, body in presented.items():
        Client.objects.filter(pk=client_row.pk).update(is_active=case != "inactive")
        response = http.post("/login", body, format="json")
        assert_error(response, 401, "invalid_client", "The client credentials are not valid.")
        assert_uncached(response)
        answers.append((response.content, dict(response.headers)))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1]["WWW-Authenticate"] == 'Basic realm="authdemo", charset="UTF-8"'


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
def test_wrong_basic_credentials_are_401_with_a_basic_challenge(http: APIClient, path: str) -> None:
    body = {"grant_type": "client_credentials", "token": "t"}
    response = http.post(path, body, format="json", headers=basic("foo", "wrong"))
    assert_error(response, 401, "invalid_client", "The client credentials are not valid.")
    assert response["WWW-Authenticate"] == 'Basic realm="authdemo", charset="UTF-8"'
    assert_uncached(response)


def test_foreign_grant_type_is_400(http: APIClient, credentials: dict[str, str]) -> None:
    response = http.post("/login", credentials | {"grant_type": "password"}, format="json")
    description = "The only grant_type is client_credentials."
    assert_error(response, 400, "unsupported_grant_type", description)
    assert_uncached(response)


def test_scope_of_somebody_else_is_400(http: APIClient, credentials: dict[str, str]) -> None:
    response = http.post("/login", credentials | {"scope": "read admin"}, format="json")
    description = "The client does not have the requested scope."
    assert_error(response, 400, "invalid_scope", description)
    assert_uncached(response)


def test_one_failure_too_many_is_429(
    http: APIClient, credentials: dict[str, str], settings: Settings
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = (1, 60)
    wrong = credentials | {"client_secret": "wrong"}
    assert http.post("/login", wrong, format="json").status_code == 401
    response = http.post("/login", wrong, format="json")
    assert_error(response, 429, "slow_down", "Too many attempts; try again later.")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert_uncached(response)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "media_type", ["application/json", "application/x-www-form-urlencoded"], ids=["json", "form"]
)
def test_body_beyond_64_kib_is_413(
    http: APIClient, credentials: dict[str, str], path: str, media_type: str
) -> None:
    body = json.dumps(credentials).ljust(64 * 1024 + 1)
    response = http.post(path, body, content_type=media_type)
    assert_error(response, 413, "invalid_request", "The request body is larger than 64 KiB.")


def test_body_of_64_kib_is_read(http: APIClient, credentials: dict[str, str]) -> None:
    body = json.dumps(credentials).ljust(64 * 1024)
    assert http.post("/login", body, content_type="application/json").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "media_type",
    [
        pytest.param("text/plain", id="text"),
        pytest.param("application/xml", id="xml"),
        pytest.param("multipart/form-data; boundary=b", id="multipart"),
        pytest.param("application/vnd.api+json", id="suffix"),
        pytest.param("application/json, text/plain", id="two"),
        pytest.param("nonsense", id="nonsense"),
        pytest.param("", id="none"),
    ],
)
def test_other_media_types_are_415(http: APIClient, path: str, media_type: str) -> None:
    response = http.generic("POST", path, "{}", content_type=media_type)
    description = "Send the body as JSON or as a form; no other media type is supported."
    assert_error(response, 415, "invalid_request", description)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "FOO"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/public", "GET, HEAD, OPTIONS"),
        ("/register", "POST, OPTIONS"),
        ("/introspect", "POST, OPTIONS"),
        ("/revoke", "POST, OPTIONS"),
        ("/.well-known/jwks.json", "GET, HEAD, OPTIONS"),
        ("/.well-known/oauth-authorization-server", "GET, HEAD, OPTIONS"),
        ("/livez", "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods_are_405_and_told_which_are_allowed(
    http: APIClient, method: str, path: str, allowed: str
) -> None:
    response = http.generic(method, path)
    assert_error(
        response,
        405,
        "invalid_request",
        "This path does not support the method; see the Allow header.",
    )
    assert response["Allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/nothing", "/login/", "/public/", "/login%00", "/%ff", "/.well-known", "/static/%00"]
)
def test_other_paths_are_404(http: APIClient, path: str) -> None:
    assert_error(http.get(path), 404, "invalid_request", "There is nothing at this path.")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "a b", "[::1", "\xff", ""]
)
def test_foreign_host_is_400(http: APIClient, host: str) -> None:
    assert http.get("/public").status_code == 200  # with a host of ours, by the same client
    for _ in range(2):
        response = http.get("/public", headers={"Host": host})
        assert_error(response, 400, "invalid_request", "The request is malformed.")


def test_accept_that_nothing_here_satisfies_is_406(http: APIClient) -> None:
    response = http.get("/public", headers={"Accept": "text/csv"})
    description = "No media type in the Accept header is available here."
    assert_error(response, 406, "invalid_request", description)


def test_no_signing_key_is_503(http: APIClient, credentials: dict[str, str]) -> None:
    SigningKey.objects.all().delete()
    response = http.post("/login", credentials, format="json")
    description = "The service is temporarily unavailable; try again shortly."
    assert_error(response, 503, "temporarily_unavailable", description)
    assert response["Retry-After"] == "2"
    assert_uncached(response)


# What no sane client sends

FIELDS = [
    *[("/login", name) for name in ("client_id", "client_secret", "grant_type", "scope")],
    *[("/register", name) for name in ("client_name", "scope")],
    *[("/introspect", name) for name in ("client_id", "client_secret", "token", "token_type_hint")],
    *[("/revoke", name) for name in ("client_id", "client_secret", "token", "token_type_hint")],
]


@pytest.mark.parametrize(("path", "field"), FIELDS)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("[]", id="array"),
        pytest.param('["foo"]', id="array-of-text"),
        pytest.param("{}", id="object"),
        pytest.param('{"foo": "bar"}', id="object-of-text"),
        pytest.param("0", id="zero"),
        pytest.param("-1.5", id="number"),
        pytest.param("1e999", id="infinite"),
        pytest.param("9" * 4000, id="huge"),
        pytest.param("true", id="true"),
        pytest.param("false", id="false"),
        pytest.param(r'"a\u0000b"', id="nul"),
        pytest.param(r'"\u0000"', id="only-nul"),
        pytest.param(r'"\ud800"', id="lone-surrogate"),
        pytest.param(r'"\udc00\ud800"', id="swapped-surrogates"),
    ],
)
def test_field_that_is_no_text_is_malformed(
    http: APIClient, credentials: dict[str, str], path: str, field: str, value: str
) -> None:
    good = {name: text for name, text in (credentials | {"token": "t"}).items() if name != field}
    body = f'{json.dumps(good)[:-1]}, "{field}": {value}}}'
    response = http.post(path, body, content_type="application/json")
    if path == "/register":
        description = "The client metadata is malformed."
        assert_error(response, 400, "invalid_client_metadata", description)
    else:
        assert_error(response, 400, "invalid_request", f"{field} is malformed.")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("body", "description"),
    [
        pytest.param(b"null", "The request body must be a JSON object.", id="null"),
        pytest.param(b"[]", "The request body must be a JSON object.", id="array"),
        pytest.param(b'"foo"', "The request body must be a JSON object.", id="text"),
        pytest.param(b"5", "The request body must be a JSON object.", id="number"),
        pytest.param(b"true", "The request body must be a JSON object.", id="boolean"),
        pytest.param(b"1e999", "The request body must be a JSON object.", id="infinite"),
        pytest.param(b" ", MALFORMED, id="blank"),
        pytest.param(b"{", MALFORMED, id="cut-short"),
        pytest.param(b"{}{}", MALFORMED, id="two"),
        pytest.param(b'{"client_id": NaN}', MALFORMED, id="nan"),
        pytest.param(b'{"client_id": -Infinity}', MALFORMED, id="infinity"),
        pytest.param(b'{"client_id": ' + b"9" * 5000 + b"}", MALFORMED, id="endless-number"),
        pytest.param(b'{"client_id": "\xff"}', MALFORMED, id="not-utf-8"),
        pytest.param(b'{"client_id": "\xed\xa0\x80"}', MALFORMED, id="encoded-surrogate"),
        pytest.param(b"\xef\xbb\xbf{}", MALFORMED, id="byte-order-mark"),
        pytest.param("{}".encode("utf-16"), MALFORMED, id="utf-16"),
        pytest.param(b'{"client_id": "a\x00"}', MALFORMED, id="raw-nul"),
        pytest.param(b"[" * 5000 + b"]" * 5000, MALFORMED, id="5000-arrays"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, MALFORMED, id="5000-objects"),
        pytest.param(b"[" * 60_000, MALFORMED, id="60000-arrays"),
        pytest.param(
            b'{"token": "a", "token": "a"}',
            "A parameter is repeated; send each one once.",
            id="given-twice",
        ),
        pytest.param(
            b'{"x": {"y": 1, "y": 2}}',
            "A parameter is repeated; send each one once.",
            id="given-twice-inside",
        ),
    ],
)
def test_json_that_is_no_object_of_parameters_is_400(
    http: APIClient, path: str, body: bytes, description: str
) -> None:
    response = http.post(path, body, content_type="application/json")
    assert_error(response, 400, "invalid_request", description)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.django_db
def test_100000_arrays_are_413(http: APIClient, path: str) -> None:
    body = b"[" * 100_000 + b"]" * 100_000
    response = http.post(path, body, content_type="application/json")
    assert_error(response, 413, "invalid_request", "The request body is larger than 64 KiB.")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("body", "description"),
    [
        pytest.param(b"client_id=%ff", MALFORMED, id="escaped-not-utf-8"),
        pytest.param(b"client_id=\xff", MALFORMED, id="not-utf-8"),
        pytest.param(b"client_id=%ed%a0%80", MALFORMED, id="surrogate"),
        pytest.param(b"&".join(b"%d=" % i for i in range(101)), MALFORMED, id="101-parameters"),
        pytest.param(
            b"token=a&token=a", "A parameter is repeated; send each one once.", id="given-twice"
        ),
        pytest.param(
            b"x=a&x=", "A parameter is repeated; send each one once.", id="unknown-given-twice"
        ),
    ],
)
def test_form_that_is_no_list_of_parameters_is_400(
    http: APIClient, path: str, body: bytes, description: str
) -> None:
    form = "application/x-www-form-urlencoded"
    response = http.post(path, body, content_type=form)
    assert_error(response, 400, "invalid_request", description)


@pytest.mark.parametrize("field", ["client_id", "client_secret"])
def test_form_field_with_nul_is_malformed(
    http: APIClient, credentials: dict[str, str], field: str
) -> None:
    form = {"grant_type": "client_credentials", **credentials}
    form[field] += "\0"
    body = "&".join(f"{name}={value}" for name, value in form.items()).replace("\0", "%00")
    response = http.generic(
        "POST", "/login", body, content_type="application/x-www-form-urlencoded"
    )
    assert_error(response, 400, "invalid_request", f"{field} is malformed.")


@pytest.mark.django_db
@pytest.mark.parametrize(("field", "length"), [("client_id", 151), ("client_secret", 1025)])
def test_overlong_field_is_malformed(http: APIClient, field: str, length: int) -> None:
    body = {"client_id": "foo", "client_secret": "bar"} | {field: "x" * length}
    response = http.post("/login", body, format="json")
    assert_error(response, 400, "invalid_request", f"{field} is malformed.")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer", id="bare"),
        pytest.param("Bearer ", id="empty"),
        pytest.param("Bearer  ", id="blank"),
        pytest.param("Bearer a b", id="two-words"),
        pytest.param("Bearer \xff", id="latin-1"),
        pytest.param("Bearer ☃".encode().decode("latin-1"), id="utf-8"),
        pytest.param("Bearer " + "a" * 1_000_000, id="1-MB"),
        pytest.param("Bearer a.b.c", id="three-letters"),
        pytest.param("Bearer ..", id="dots"),
        pytest.param("bearer " + "a" * 8192 + ".b.c", id="long"),
    ],
)
@pytest.mark.parametrize("path", ["/private", "/register"])
def test_any_bearer_header_that_is_no_token_is_401(http: APIClient, path: str, header: str) -> None:
    method = "GET" if path == "/private" else "POST"
    assert_refused_token(http.generic(method, path, headers={"Authorization": header}))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "header", ["Basic Zm9vOmJhcg==", "Digest a=b", "Bearerx", "x", " ", "\xff", "Bearer\tx"]
)
def test_header_of_another_scheme_is_no_token(http: APIClient, header: str) -> None:
    response = http.get("/private", headers={"Authorization": header})
    description = "An access token is required; get one from /login."
    assert_error(response, 403, "missing_token", description)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="nothing"),
        pytest.param("!!!", id="not-base64"),
        pytest.param("Zm9vOmJhcg", id="no-padding"),
        pytest.param("Zm9v", id="no-colon"),
        pytest.param("OmJhcg==", id="no-id"),
        pytest.param("Zm9vOg==", id="no-secret"),
        pytest.param("/zpiYXI=", id="not-utf-8"),
        pytest.param("Zm9vOmEAYg==", id="nul"),
        pytest.param("\xff", id="latin-1"),
        pytest.param("Zm9v OmJhcg==", id="space"),
        pytest.param("QUFB" * 250_000, id="1-MB"),
    ],
)
def test_malformed_basic_credentials_are_400(http: APIClient, path: str, encoded: str) -> None:
    form = "application/x-www-form-urlencoded"
    body = "grant_type=client_credentials&token=t"
    headers = {"Authorization": f"Basic {encoded}"}
    response = http.generic("POST", path, body, content_type=form, headers=headers)
    assert_error(response, 400, "invalid_request", "The Basic credentials are malformed.")


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param("*/*", id="anything"),
        pytest.param("application/json; indent=999999999", id="indent"),
        pytest.param("application/json; indent=x", id="bad-indent"),
        pytest.param("application/json; charset=utf-16", id="charset"),
        pytest.param("text/html;q=0.9, application/json;q=0.1", id="json-too"),
        pytest.param("text/csv, */*;q=0.1", id="with-a-fallback"),
    ],
)
def test_accept_header_that_takes_json_gets_json(
    http: APIClient, credentials: dict[str, str], accept: str
) -> None:
    response = http.post("/login", credentials, format="json", headers={"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("application/json")
    assert response.json()["token_type"] == "Bearer"


@pytest.mark.parametrize(
    "accept",
    ["*", ",,,;;;", "\xff", "/", "a/b", "text/html; x*=bogus''%41", "a/b;" + "x;" * 20_000],
    ids=["star", "commas", "latin-1", "slash", "unknown", "rfc-2231", "40-kB"],
)
def test_accept_header_that_says_nothing_is_406(http: APIClient, accept: str) -> None:
    response = http.get("/public", headers={"Accept": accept})
    description = "No media type in the Accept header is available here."
    assert_error(response, 406, "invalid_request", description)


@pytest.mark.django_db
@pytest.mark.parametrize("cookie", ["%00", "x", '"\\777"', "a" * 5000, "", "é", ";=;"])
@pytest.mark.parametrize("name", ["access_token", "sessionid", "csrftoken", "messages"])
@pytest.mark.parametrize("path", ["/private", "/public", "/admin/login/"])
def test_no_cookie_is_an_error_of_ours(client: Browser, path: str, name: str, cookie: str) -> None:
    response = client.get(path, headers={"Cookie": f"{name}={cookie}"})
    assert response.status_code in {200, 401, 403}
