"""Which pages of other sites may call which endpoint, and what a browser is told about it."""

from typing import Any

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from api.tests.support.responses import assert_error, bearer

APP = "https://app.example.com"
PUBLISHED = [
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
]
CALLED = ["/login", "/private", "/public", "/introspect", "/revoke", "/register", "/"]
ALLOWED = {
    "Access-Control-Allow-Origin": APP,
    "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
    "Access-Control-Allow-Headers": (
        "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with, if-match"
    ),
    "Access-Control-Max-Age": "86400",
    "Access-Control-Expose-Headers": "ETag, Location, Retry-After, WWW-Authenticate",
}
FOREIGN = [
    pytest.param("https://evil.example", id="another"),
    pytest.param("http://app.example.com", id="another-scheme"),
    pytest.param("https://app.example.com:8443", id="another-port"),
    pytest.param("https://app.example.com.evil.example", id="longer"),
    pytest.param("https://evil-app.example.com", id="prefix"),
    pytest.param("null", id="null"),
    pytest.param("", id="empty"),
    pytest.param("https://[", id="malformed"),
]


@pytest.fixture
def origins(settings: Settings) -> None:
    """Settings as `CORS_ORIGINS` makes them."""
    settings.CORS_ALLOWED_ORIGINS = [APP]
    settings.CORS_URLS_REGEX = r"^/(?!admin/)"


def preflight(http: APIClient, path: str, origin: str, method: str = "POST") -> Any:
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return http.options(path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site", **asked})


def cors_headers(response: Any) -> dict[str, str]:
    return {
        name.title(): value
        for name, value in response.items()
        if name.lower().startswith("access-control-")
    }


@pytest.mark.parametrize("path", PUBLISHED)
@pytest.mark.parametrize("origin", [APP, "https://anybody.example", "null"])
def test_keys_and_metadata_are_read_by_all_sites(
    http: APIClient, path: str, origin: str, db: None
) -> None:
    answer = preflight(http, path, origin, "GET")
    assert (answer.status_code, answer.content) == (200, b"")
    assert cors_headers(answer) == ALLOWED | {"Access-Control-Allow-Origin": origin}
    response = http.get(path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Credentials" not in response


@pytest.mark.parametrize("path", PUBLISHED)
def test_cache_is_told_that_the_origin_matters_also_by_the_answer_to_a_program(
    http: APIClient, path: str, db: None
) -> None:
    assert "origin" in http.get(path)["Vary"]


@pytest.mark.parametrize("path", [*CALLED, "/admin/login/", "/logout"])
def test_nothing_else_is_called_by_another_site_unless_it_is_configured(
    http: APIClient, path: str, db: None
) -> None:
    assert cors_headers(preflight(http, path, APP)) == {}
    response = http.get(path, headers={"Origin": APP, "Sec-Fetch-Site": "cross-site"})
    assert cors_headers(response) == {}


@pytest.mark.parametrize("path", CALLED)
@pytest.mark.usefixtures("origins")
def test_preflight_of_a_configured_site_is_answered(http: APIClient, path: str) -> None:
    answer = preflight(http, path, APP)
    assert (answer.status_code, answer.content) == (200, b"")
    assert cors_headers(answer) == ALLOWED


@pytest.mark.usefixtures("origins")
def test_page_of_a_configured_site_logs_in_and_calls(
    http: APIClient, credentials: dict[str, str]
) -> None:
    browser = {"Origin": APP, "Sec-Fetch-Site": "cross-site", "Accept": "*/*"}
    answer = http.post("/login", credentials, format="json", headers=browser)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == APP
    assert not answer.cookies
    token = answer.json()["access_token"]
    answer = http.get("/private", headers=browser | bearer(token))
    assert answer.json()["sub"] == credentials["client_id"]
    assert answer["Access-Control-Allow-Origin"] == APP


@pytest.mark.usefixtures("origins")
def test_page_of_a_configured_site_reads_why_it_is_refused(http: APIClient, db: None) -> None:
    browser = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    wrong = {"client_id": "foo", "client_secret": "wrong"}
    answer = http.post("/login", wrong, format="json", headers=browser)
    assert_error(answer, 401, "invalid_client", "The client credentials are not valid.")
    assert answer["Access-Control-Allow-Origin"] == APP
    exposed = answer["Access-Control-Expose-Headers"]
    assert exposed == ALLOWED["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(
    "site", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {}]
)
@pytest.mark.usefixtures("origins")
def test_no_other_site_is_let_in_beside_a_configured_one(
    http: APIClient, credentials: dict[str, str], origin: str, site: dict[str, str]
) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(http, "/login", origin)
    headers = {"Origin": origin, **site}
    answer = http.post("/login", credentials, format="json", headers=headers)
    assert_error(answer, 403, "access_denied", "Requests from pages of other sites are refused.")
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/password_change/"])
@pytest.mark.usefixtures("origins")
def test_admin_is_for_its_own_pages_alone(http: APIClient, db: None, path: str) -> None:
    assert cors_headers(preflight(http, path, APP)) == {}
    browser = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    answer = http.post(path, {"username": "boss", "password": "x"}, headers=browser)
    assert_error(answer, 403, "access_denied", "Requests from pages of other sites are refused.")


@pytest.mark.usefixtures("origins")
def test_foreign_host_is_refused_before_a_preflight_is_answered(http: APIClient) -> None:
    answer = http.options(
        "/login",
        headers={
            "Host": "evil.example",
            "Origin": APP,
            "Access-Control-Request-Method": "POST",
        },
    )
    assert answer.status_code == 400
    assert cors_headers(answer) == {}
