"""Every row of the table of errors: status, whole body, headers."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client as Browser
from django.urls import path as url
from django.utils import timezone
from pytest_django import Settings
from rest_framework.authentication import BasicAuthentication
from rest_framework.test import APIClient
from rest_framework.views import APIView

from api.models import Client, ClientProfile, SigningKey
from api.tests.support.responses import (
    BEARER,
    assert_error,
    assert_refused_token,
    basic,
    bearer,
)
from authdemo import urls as project_urls

UNCACHED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
NOT_JSON = "The request body could not be parsed as JSON."
NOT_A_FORM = "The request body could not be parsed as a form."
NOT_UTF_8 = "The request body is not UTF-8."
JSON_AS_FORM = (
    "The body is JSON, but it was sent as a form; add --header 'Content-Type: application/json'."
)
LINE_BREAK = (
    "A form must have no line break, not even at its end "
    "(with curl: --data instead of --data-binary)."
)
MULTIPART = (
    "A multipart body is not supported; send application/x-www-form-urlencoded "
    "(with curl: --data instead of --form)."
)
OTHER_MEDIA_TYPE = (
    "The Content-Type must be application/json or application/x-www-form-urlencoded; "
    "for JSON add --header 'Content-Type: application/json'."
)
FORM = "application/x-www-form-urlencoded"
ENDPOINTS = ["/login", "/register", "/introspect", "/revoke"]


class PeopleView(APIView):
    """A view that somebody adds, for people."""

    authentication_classes = (BasicAuthentication,)


urlpatterns = [
    *project_urls.urlpatterns,
    url("people", PeopleView.as_view(), name="people"),
    url("trials/<str:name>", PeopleView.as_view(), name="trial"),
]
handler404 = project_urls.handler404


def assert_uncached(response: Any) -> None:
    assert {name: response[name] for name in UNCACHED} == UNCACHED


def test_no_token_is_403_with_a_bare_challenge(http: APIClient) -> None:
    response = http.get("/private")
    description = "An access token is required; get one from /login."
    assert_error(response, 403, "missing_token", description)
    assert response["WWW-Authenticate"] == BEARER
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
        f'{BEARER}, error="insufficient_scope", '
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


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke"])
@pytest.mark.parametrize(
    "present",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"client_id": "foo"}, id="only-the-id"),
        pytest.param({"client_id": "foo", "client_secret": ""}, id="empty-secret"),
    ],
)
@pytest.mark.parametrize("scheme", ["", "Bearer x", "Digest x"])
def test_form_without_client_authentication_is_challenged(
    http: APIClient, path: str, present: dict[str, str], scheme: str
) -> None:
    body = urlencode({"grant_type": "client_credentials", "token": "t", **present})
    headers = {"Authorization": scheme} if scheme else {}
    response = http.generic("POST", path, body, content_type=FORM, headers=headers)
    description = (
        "Send the client id and the secret, as HTTP Basic or in the body, or an assertion."
    )
    assert_error(response, 401, "invalid_client", description)
    assert response["WWW-Authenticate"] == 'Basic realm="authdemo", charset="UTF-8"'
    assert_uncached(response)


@pytest.mark.urls(__name__)
def test_challenge_of_an_authentication_class_that_somebody_adds_is_sent(
    http: APIClient, db: None
) -> None:
    response = http.get("/people", headers=basic("nobody", "wrong"))
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Basic realm="api"'


def test_wrong_unknown_inactive_and_expired_are_one_answer(
    http: APIClient, credentials: dict[str, str], client_row: Client
) -> None:
    presented = {
        "wrong": credentials | {"client_secret": "wrong"},
        "unknown": credentials | {"client_id": "nobody"},
        "inactive": credentials,
        "expired": credentials,
    }
    answers = []
    for case, body in presented.items():
        if case == "expired":
            ClientProfile.objects.create(client=client_row, secret_expires_at=timezone.now())
        Client.objects.filter(pk=client_row.pk).update(is_active=case != "inactive")
        response = http.post("/login", body, format="json")
        assert_error(response, 401, "invalid_client", "The client credentials are not valid.")
        assert_uncached(response)
        answers.append((response.content, dict(response.headers)))
    assert answers[0] == answers[1] == answers[2] == answers[3]
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
    ("media_type", "description"),
    [
        pytest.param("text/plain", OTHER_MEDIA_TYPE, id="text"),
        pytest.param("application/xml", OTHER_MEDIA_TYPE, id="xml"),
        pytest.param("multipart/form-data; boundary=b", MULTIPART, id="multipart"),
        pytest.param("Multipart/Mixed", MULTIPART, id="multipart-of-another-kind"),
        pytest.param("application/vnd.api+json", OTHER_MEDIA_TYPE, id="suffix"),
        pytest.param("application/json, text/plain", OTHER_MEDIA_TYPE, id="two"),
        pytest.param("nonsense", OTHER_MEDIA_TYPE, id="nonsense"),
        pytest.param("", OTHER_MEDIA_TYPE, id="none"),
    ],
)
def test_other_media_types_are_415(
    http: APIClient, path: str, media_type: str, description: str
) -> None:
    response = http.generic("POST", path, "{}", content_type=media_type)
    assert_error(response, 415, "invalid_request", description)


@pytest.mark.django_db
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate, gzip"])
@pytest.mark.parametrize("media_type", ["application/json", FORM])
def test_compressed_body_is_415_and_says_so(http: APIClient, media_type: str, coding: str) -> None:
    headers = {"Content-Encoding": coding}
    body = gzip.compress(b"{}")
    response = http.post("/login", body, content_type=media_type, headers=headers)
    description = (
        "The body is compressed, which is not supported; send it without Content-Encoding."
    )
    assert_error(response, 415, "invalid_request", description)
    assert response["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_body_that_is_said_to_be_as_it_is_is_read(
    http: APIClient, credentials: dict[str, str], coding: str
) -> None:
    headers = {"Content-Encoding": coding}
    assert http.post("/login", credentials, format="json", headers=headers).status_code == 200


@pytest.mark.parametrize("media_type", ["application/json", FORM])
def test_byte_order_mark_is_ignored(
    http: APIClient, credentials: dict[str, str], media_type: str
) -> None:
    form = {"grant_type": "client_credentials", **credentials}
    body = json.dumps(credentials) if media_type == "application/json" else urlencode(form)
    response = http.post("/login", f"\ufeff{body}".encode(), content_type=media_type)
    assert response.status_code == 200


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
        ("/.well-known/oauth-protected-resource", "GET, HEAD, OPTIONS"),
        ("/authorize", "GET, HEAD, OPTIONS"),
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
    "path",
    [
        "/nothing",
        "/nothing/",
        "/Login",
        "/login%00",
        "/%ff",
        "/.well-known",
        "/static/%00",
        "/log/in",
    ],
)
def test_other_paths_are_404(http: APIClient, path: str) -> None:
    assert_error(http.get(path), 404, "invalid_request", "There is nothing at this path.")


@pytest.mark.parametrize("path", ["//a", "//admin/login/", "//static/api/pages.css", "/trials//"])
@pytest.mark.urls(__name__)
def test_path_that_is_no_endpoint_without_its_slashes_either_is_404(
    http: APIClient, path: str
) -> None:
    response = http.generic("GET", "/", PATH_INFO=path)
    assert_error(response, 404, "invalid_request", "There is nothing at this path.")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/login/", "/login"),
        ("//login", "/login"),
        ("/login//", "/login"),
        ("/.well-known//jwks.json", "/.well-known/jwks.json"),
        ("//", "/"),
        ("/trials/x/", "/trials/{name}"),
    ],
)
@pytest.mark.urls(__name__)
def test_path_that_has_only_slashes_too_many_is_404_and_told_the_right_one(
    http: APIClient, method: str, path: str, right: str
) -> None:
    response = http.generic(method, "/", PATH_INFO=path)
    description = f"There is nothing at this path; use {right} instead."
    assert_error(response, 404, "invalid_request", description)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "a b", "[::1", "\xff", ""]
)
def test_foreign_host_is_400(http: APIClient, host: str) -> None:
    assert http.get("/public").status_code == 200  # with a host of ours, by the same client
    for _ in range(2):
        response = http.get("/public", headers={"Host": host})
        assert_error(response, 400, "invalid_request", "The request is malformed.")


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
        pytest.param(b" ", NOT_JSON, id="blank"),
        pytest.param(b"{", NOT_JSON, id="cut-short"),
        pytest.param(b"{}{}", NOT_JSON, id="two"),
        pytest.param(b'{"client_id": NaN}', NOT_JSON, id="nan"),
        pytest.param(b'{"client_id": -Infinity}', NOT_JSON, id="infinity"),
        pytest.param(b'{"client_id": ' + b"9" * 5000 + b"}", NOT_JSON, id="endless-number"),
        pytest.param(b'{"client_id": "\xff"}', NOT_UTF_8, id="not-utf-8"),
        pytest.param(b'{"client_id": "\xed\xa0\x80"}', NOT_UTF_8, id="encoded-surrogate"),
        pytest.param("{}".encode("utf-16"), NOT_UTF_8, id="utf-16"),
        pytest.param(b'{"client_id": "a\x00"}', NOT_JSON, id="raw-nul"),
        pytest.param(b"[" * 5000 + b"]" * 5000, NOT_JSON, id="5000-arrays"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, NOT_JSON, id="5000-objects"),
        pytest.param(b"[" * 60_000, NOT_JSON, id="60000-arrays"),
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
        pytest.param(b"client_id=%ff", NOT_UTF_8, id="escaped-not-utf-8"),
        pytest.param(b"client_id=\xff", NOT_UTF_8, id="not-utf-8"),
        pytest.param(b"client_id=%ed%a0%80", NOT_UTF_8, id="surrogate"),
        pytest.param(b"&".join(b"%d=" % i for i in range(101)), NOT_A_FORM, id="101-parameters"),
        pytest.param(
            b"token=a&token=a", "A parameter is repeated; send each one once.", id="given-twice"
        ),
        pytest.param(b"token=a\n", LINE_BREAK, id="newline"),
        pytest.param(b"token=a\r\n", LINE_BREAK, id="crlf"),
        pytest.param(b"token=a\n&x=a", LINE_BREAK, id="newline-inside"),
        pytest.param(b'{"token": "a"}', JSON_AS_FORM, id="json"),
        pytest.param(b'\xef\xbb\xbf\n{\n"token": "a"\n}\n', JSON_AS_FORM, id="json-with-newlines"),
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
    ["text/csv", "*", ",,,;;;", "\xff", "/", "text/html; x*=bogus''%41", "a/b;" + "x;" * 20_000],
    ids=["csv", "star", "commas", "latin-1", "slash", "rfc-2231", "40-kB"],
)
@pytest.mark.parametrize("path", ["/public", "/.well-known/jwks.json", "/schema"])
def test_accept_header_that_nothing_satisfies_gets_json(
    http: APIClient, path: str, accept: str, db: None
) -> None:
    response = http.get(path, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.json()


@pytest.mark.django_db
@pytest.mark.parametrize("cookie", ["%00", "x", '"\\777"', "a" * 5000, "", "é", ";=;"])
@pytest.mark.parametrize("name", ["access_token", "sessionid", "csrftoken", "messages"])
@pytest.mark.parametrize("path", ["/private", "/public", "/admin/login/"])
def test_no_cookie_is_an_error_of_ours(client: Browser, path: str, name: str, cookie: str) -> None:
    response = client.get(path, headers={"Cookie": f"{name}={cookie}"})
    assert response.status_code in {200, 401, 403}
