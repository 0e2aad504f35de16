"""The protected route, called as curl does and as a browser does."""

from collections.abc import Callable

import jwt
import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser
from pytest_django import Settings
from rest_framework.test import APIClient

from api.tests.support.responses import assert_error, assert_refused_token, basic, bearer


def test_answer_is_a_greeting_and_what_the_token_says(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    token = get_token()
    claims = jwt.decode(token, options={"verify_signature": False})
    del claims["secret_fp"]  # for us alone
    response = http.get("/private", headers=bearer(token))
    assert response.status_code == 200
    assert response.json() == {"message": "Welcome to the protected area :)", **claims}
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_is_matched_in_any_case(
    http: APIClient, get_token: Callable[[], str], scheme: str
) -> None:
    headers = {"Authorization": f"{scheme} {get_token()}"}
    assert http.get("/private", headers=headers).status_code == 200


def test_spaces_around_a_token_are_no_part_of_it(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    headers = {"Authorization": f"Bearer   {get_token()} "}
    assert http.get("/private", headers=headers).status_code == 200


def test_credentials_are_no_token(http: APIClient, credentials: dict[str, str]) -> None:
    response = http.get("/private", headers=basic(**credentials))
    assert response.json()["error"] == "missing_token"


def test_token_in_the_url_is_no_token(http: APIClient, get_token: Callable[[], str]) -> None:
    response = http.get("/private", {"access_token": get_token()})
    assert response.json()["error"] == "missing_token"


@pytest.mark.django_db
def test_session_of_the_admin_is_no_token(client: Browser) -> None:
    client.force_login(User.objects.create_superuser("admin", password="x"))
    assert client.get("/private").json()["error"] == "missing_token"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer é", id="latin-1"),
        pytest.param("", id="as granian hands over what is not ASCII"),
        pytest.param("Bearer", id="no token"),
    ],
)
def test_header_without_a_readable_token_is_a_bad_token(
    http: APIClient, get_token: Callable[[], str], header: str
) -> None:
    assert_refused_token(http.get("/private", headers={"Authorization": header}))
    http.cookies["access_token"] = get_token()
    assert_refused_token(http.get("/private", headers={"Authorization": header}))


# The browser's cookie


@pytest.mark.parametrize("other", ["theme=blå", "theme=bl\xc3\xa5", 'a="; b=é'])
def test_cookie_counts_beside_one_that_is_not_ascii(
    http: APIClient, get_token: Callable[[], str], other: str
) -> None:
    headers = {"Cookie": f"{other}; access_token={get_token()}"}
    assert http.get("/private", headers=headers).status_code == 200


def test_cookie_counts_where_there_is_no_header(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    token = get_token()
    http.cookies["access_token"] = token
    assert http.get("/private").status_code == 200
    assert_refused_token(http.get("/private", headers=bearer("nonsense")))
    other = http.get("/private", headers={"Authorization": "Basic Zm9vOmJhcg=="})
    assert other.json()["error"] == "missing_token"


def test_cookie_under_another_name_is_no_token(
    http: APIClient, get_token: Callable[[], str], settings: Settings
) -> None:
    http.cookies["access_token"] = get_token()
    settings.ACCESS_TOKEN_COOKIE = "__Host-access_token"
    assert http.get("/private").json()["error"] == "missing_token"


def test_unsafe_method_with_the_cookie_alone_needs_the_csrf_token(
    get_token: Callable[[], str],
) -> None:
    token = get_token()
    http = APIClient(enforce_csrf_checks=True)
    http.cookies["access_token"] = token
    response = http.post("/register", {}, format="json")
    assert_error(response, 403, "access_denied", "The CSRF token is missing or wrong.")

    http.cookies["csrftoken"] = "a" * 32
    headers = {"X-CSRFToken": "a" * 32}
    assert http.post("/register", {}, format="json", headers=headers).status_code == 201
    wrong = {"X-CSRFToken": "b" * 32}
    assert http.post("/register", {}, format="json", headers=wrong).status_code == 403
    assert http.post("/register", {}, format="json", headers=bearer(token)).status_code == 201
