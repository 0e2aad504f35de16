"""JSON or a page, where the Accept header alone does not tell."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client as Browser
from rest_framework.test import APIClient

from api.tests.support.responses import assert_error, basic

FORM = "application/x-www-form-urlencoded"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"  # what HttpURLConnection sends
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
ACCEPTS = [JAVA, CHROMIUM, "text/html", "text/csv", "nonsense"]
ENDPOINTS = ["/login", "/introspect", "/revoke", "/register"]


def post(client: Any, path: str, form: dict[str, str], **headers: str) -> Any:
    return client.generic("POST", path, urlencode(form), content_type=FORM, headers=headers)


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("path", ENDPOINTS)
def test_post_of_a_program_gets_json_whatever_it_accepts(
    http: APIClient, credentials: dict[str, str], path: str, accept: str
) -> None:
    form = {"grant_type": "client_credentials", "token": "t", **credentials}
    response = post(http, path, form, Accept=accept)
    assert response.status_code == (201 if path == "/register" else 200)
    assert response["Content-Type"] == "application/json"
    assert not response.cookies


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("path", ["/login", "/nowhere", "/logout", "/admin/login/"])
def test_refused_post_of_a_program_is_json_whatever_it_accepts(
    http: APIClient, db: None, path: str, accept: str
) -> None:
    browser = Browser(enforce_csrf_checks=True)
    response = post(browser, path, {"grant_type": "password"}, Accept=accept)
    assert response["Content-Type"] == "application/json"
    assert response.json()["error"] in {
        "unsupported_grant_type",
        "invalid_request",
        "access_denied",
    }


@pytest.mark.parametrize("accept", ACCEPTS)
def test_other_methods_of_a_program_get_json_too(http: APIClient, accept: str) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        response = http.generic(method, "/login", headers={"Accept": accept})
        assert (response.status_code, response["Content-Type"]) == (405, "application/json")


@pytest.mark.parametrize("sign", ["cookie", "same-origin", "both"])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_post_of_our_own_page_gets_a_page(path: str, sign: str, db: None) -> None:
    browser = Browser(enforce_csrf_checks=True, headers={"Accept": CHROMIUM})
    if sign != "same-origin":
        assert "csrftoken" in browser.get(path).cookies
    headers = {} if sign == "cookie" else {"Sec-Fetch-Site": "same-origin"}
    response = post(browser, path, {}, **headers)
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert response.status_code == 403
    assert "The CSRF token is missing or wrong." in response.content.decode()


def test_page_that_an_old_browser_shows_is_challenged_without_a_dialog(db: None) -> None:
    browser = Browser(headers={"Accept": CHROMIUM})
    browser.get("/login")
    wrong = {"grant_type": "client_credentials", "client_id": "foo", "client_secret": "wrong"}
    response = post(browser, "/login", wrong)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Form realm="authdemo", charset="UTF-8"'
    assert "The client credentials are not valid." in response.content.decode()


def test_what_a_program_accepts_of_json_is_heeded(
    http: APIClient, credentials: dict[str, str]
) -> None:
    form = {"grant_type": "client_credentials", **credentials}
    response = post(http, "/login", form, Accept="text/html, application/json; indent=2")
    assert response.content.startswith(b'{\n  "access_token"')


def test_wrong_basic_credentials_of_a_program_are_challenged_whatever_it_accepts(
    http: APIClient, db: None
) -> None:
    headers = basic("foo", "wrong") | {"Accept": JAVA}
    response = post(http, "/login", {"grant_type": "client_credentials"}, **headers)
    assert_error(response, 401, "invalid_client", "The client credentials are not valid.")
    assert response["WWW-Authenticate"] == 'Basic realm="authdemo", charset="UTF-8"'


FOR_PROGRAMS = ["/livez", "/readyz", "/.well-known/jwks.json", "/.well-known/openid-configuration"]
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("path", FOR_PROGRAMS)
def test_what_programs_fetch_is_json_whatever_they_accept(
    http: APIClient, db: None, path: str, accept: str
) -> None:
    usual = http.get(path)
    for more in ({}, NAVIGATION | {"Sec-Fetch-Dest": "empty"}, NAVIGATION | {"Accept": "*/*"}):
        response = http.get(path, headers={"Accept": accept} | more)
        assert (response.content, response.headers) == (usual.content, usual.headers)
        assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", FOR_PROGRAMS)
def test_browser_that_opens_it_gets_a_page(http: APIClient, db: None, path: str) -> None:
    response = http.get(path, headers={"Accept": CHROMIUM} | NAVIGATION)
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert response["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/jwk-set+json", "application/jwk-set+json"),
        ("application/jwk-set+json, text/html", "application/jwk-set+json"),
        ("application/json, application/jwk-set+json", "application/json"),
        ("application/*", "application/json"),
        ("*/*", "application/json"),
        ("text/plain", "application/json"),
        (JAVA, "application/json"),
    ],
)
def test_keys_go_by_both_media_types(
    http: APIClient, db: None, accept: str, media_type: str
) -> None:
    response = http.get("/.well-known/jwks.json", headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, media_type)
    assert response.json().keys() == {"keys"}
