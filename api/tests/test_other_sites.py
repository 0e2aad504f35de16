"""What a page of another site can have its visitor's browser do here: nothing that counts."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from rest_framework.test import APIClient

from api.tests.support.responses import OTHER_SITE, assert_error

WRONG = {"client_id": "reporting", "client_secret": "wrong", "token": "t"}


def post(http: APIClient, path: str, site: str) -> Any:
    return http.post(path, WRONG, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})


@pytest.mark.parametrize(
    "path", ["/login", "/introspect", "/revoke", "/register", "/logout", "/admin/login/"]
)
@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Cross-Site"])
@pytest.mark.django_db
def test_request_of_another_site_is_refused(http: APIClient, path: str, site: str) -> None:
    assert_error(post(http, path, site), 403, "access_denied", OTHER_SITE)


@pytest.mark.parametrize("path", ["/login", "/register", "/logout", "/admin/login/"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost", "https://testserver", "null", ""]
)
@pytest.mark.django_db
def test_old_browser_that_names_only_the_origin_is_refused_too(
    http: APIClient, path: str, origin: str
) -> None:
    response = http.post(path, WRONG, headers={"Origin": origin})
    assert_error(response, 403, "access_denied", OTHER_SITE)


def test_word_of_the_browser_counts_more_than_the_origin(http: APIClient, db: None) -> None:
    headers = {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"}
    assert_error(http.post("/login", WRONG, headers=headers), 403, "access_denied", OTHER_SITE)


@pytest.mark.parametrize("origin", ["http://testserver", "http://localhost:8000"])
def test_old_browser_is_served_on_our_own_page(
    http: APIClient, credentials: dict[str, str], origin: str
) -> None:
    response = http.post("/login", credentials, format="json", headers={"Origin": origin})
    assert response.status_code == 200


def test_request_of_another_site_is_not_counted(
    http: APIClient, credentials: dict[str, str], settings: Settings
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = settings.FAILED_LOGINS_PER_ADDRESS = (1, 60)
    settings.REGISTRATIONS_PER_ADDRESS = (1, 60)
    User.objects.create_superuser("boss", password="a good password")
    for path in ("/login", "/admin/login/", "/register"):
        for _ in range(5):
            assert post(http, path, "cross-site").status_code == 403
    assert http.post("/register", {}, format="json").status_code == 201
    form = {"username": "boss", "password": "a good password"}
    assert http.post("/admin/login/", form).status_code == 302
    assert http.post("/login", credentials, format="json").status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_request_of_our_own_page_is_served(
    http: APIClient, credentials: dict[str, str], site: str
) -> None:
    response = http.post("/login", credentials, format="json", headers={"Sec-Fetch-Site": site})
    assert response.status_code == 200


def test_link_from_another_site_is_served(http: APIClient, db: None) -> None:
    for path in ("/", "/public", "/docs", "/admin/login/"):
        response = http.get(path, headers={"Sec-Fetch-Site": "cross-site", "Accept": "text/html"})
        assert response.status_code == 200


@pytest.mark.django_db
def test_challenge_to_our_own_pages_opens_no_dialog_of_the_browsers(http: APIClient) -> None:
    response = http.post("/login", WRONG, format="json", headers={"Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Form realm="authdemo", charset="UTF-8"'
