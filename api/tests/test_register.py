"""Dynamic client registration (RFC 7591): who may, what is given, and what is not."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from pytest_django import Settings
from rest_framework.test import APIClient

from api.credentials import create_client
from api.hashers import is_generated
from api.models import Client
from api.tests.support.responses import (
    BEARER,
    assert_error,
    assert_lacks_scope,
    assert_refused_token,
    basic,
    bearer,
)

Login = Callable[..., str]


@pytest.fixture
def login(http: APIClient, db: None) -> Login:
    """Return a function that makes a client with these scopes and returns a token of its."""

    def token(*scopes: str, **asked: str) -> str:
        client, secret = create_client(scopes=scopes)
        body = {"client_id": client.username, "client_secret": secret, **asked}
        return str(http.post("/login", body, format="json").json()["access_token"])

    return token


def register(http: APIClient, token: str = "", **metadata: Any) -> Any:
    headers = bearer(token) if token else {}
    return http.post("/register", metadata, format="json", headers=headers)


@pytest.mark.django_db
def test_registered_client_is_told_what_rfc_7591_asks(http: APIClient) -> None:
    response = register(http, client_name="Billing")
    body = response.json()
    client = Client.objects.get(username=body["client_id"])
    assert response.status_code == 201
    assert body == {
        "client_id": str(uuid.UUID(body["client_id"])),
        "client_secret": body["client_secret"],
        "client_id_issued_at": int(client.date_joined.timestamp()),
        "client_secret_expires_at": 0,
        "client_name": "Billing",
        "scope": "",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    assert is_generated(body["client_secret"])
    assert response["Cache-Control"] == "no-store"
    assert response["Pragma"] == "no-cache"


def test_scope_that_was_taken_away_is_not_passed_on(http: APIClient, login: Login) -> None:
    token = login("register", "read")
    # By a way that Django has no signal for; any other ends the token.
    User.groups.through.objects.filter(group__name="read").delete()
    response = register(http, token, scope="read register")
    assert (response.status_code, response.json()["scope"]) == (201, "register")


@pytest.mark.django_db
def test_registered_client_can_log_in_as_it_was_told(http: APIClient) -> None:
    body = register(http).json()
    form = "application/x-www-form-urlencoded"
    headers = basic(body["client_id"], body["client_secret"])
    response = http.post(
        "/login", "grant_type=client_credentials", content_type=form, headers=headers
    )
    assert response.status_code == 200
    token = response.json()["access_token"]
    assert http.get("/private", headers=bearer(token)).json()["sub"] == body["client_id"]


@pytest.mark.django_db
def test_secret_is_stored_as_its_digest_alone(
    http: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    body = register(http).json()
    row = Client.objects.get(username=body["client_id"])
    assert row.password.startswith("generated_sha256$")
    assert body["client_secret"] not in row.password + caplog.text


@pytest.mark.django_db
def test_id_and_secret_are_never_the_callers_choice(http: APIClient) -> None:
    body = register(http, client_id="admin", client_secret="bar", username="admin").json()
    assert body["client_id"] != "admin"
    assert body["client_secret"] != "bar"
    assert not Client.objects.filter(username="admin").exists()


@pytest.mark.django_db
def test_nobody_registers_staff(http: APIClient) -> None:
    body = register(http, is_staff=True, is_superuser=True, is_active=False).json()
    client = Client.objects.get(username=body["client_id"])
    assert (client.is_staff, client.is_superuser, client.is_active) == (False, False, True)


# Whose scopes


@pytest.mark.parametrize(
    ("held", "asked", "given"),
    [
        pytest.param(["register", "read"], "read", "read", id="held-and-asked"),
        pytest.param(["register", "read"], "read write", "read", id="asked-for-more"),
        pytest.param(["register", "read"], "", "", id="asked-for-none"),
        pytest.param(["register", "read"], "write read register", "read register", id="in-order"),
        pytest.param(["read"], "read", "read", id="without-the-scope-register"),
    ],
)
def test_client_gets_of_the_scopes_it_asks_for_those_of_the_callers_token(
    http: APIClient, login: Login, held: list[str], asked: str, given: str
) -> None:
    response = register(http, login(*held), scope=asked)
    assert (response.status_code, response.json()["scope"]) == (201, given)
    client = Client.objects.get(username=response.json()["client_id"])
    assert sorted(client.groups.values_list("name", flat=True)) == given.split()


def test_it_is_the_token_that_counts_and_not_the_client(http: APIClient, login: Login) -> None:
    narrow = login("register", "read", "write", scope="register read")
    assert register(http, narrow, scope="read write").json()["scope"] == "read"


@pytest.mark.django_db
def test_who_has_no_token_has_no_scope_to_give(http: APIClient) -> None:
    before = set(Group.objects.values_list("name", flat=True))
    assert register(http, scope="register introspect new").json()["scope"] == ""
    assert set(Group.objects.values_list("name", flat=True)) == before


# Who may


def test_open_registration_refuses_a_bad_token_all_the_same(http: APIClient, db: None) -> None:
    assert_refused_token(register(http, "nonsense"))


def test_closed_registration_needs_a_token_with_the_scope(
    http: APIClient, login: Login, settings: Settings
) -> None:
    settings.REGISTRATION = "closed"
    response = register(http)
    description = "An access token is required; get one from /login."
    assert_error(response, 403, "missing_token", description)
    assert response["WWW-Authenticate"] == BEARER
    response = register(http, login("read"))
    assert_lacks_scope(response, "register")
    assert register(http, login("register")).status_code == 201


def test_closed_registration_is_closed_to_credentials(
    http: APIClient, credentials: dict[str, str], settings: Settings
) -> None:
    settings.REGISTRATION = "closed"
    response = http.post("/register", {}, format="json", headers=basic(**credentials))
    assert response.json()["error"] == "missing_token"


def test_registrations_of_an_address_are_limited_but_not_those_of_the_scope_register(
    http: APIClient, login: Login, settings: Settings
) -> None:
    settings.REGISTRATIONS_PER_ADDRESS = (1, 60)
    assert register(http).status_code == 201
    response = register(http)
    assert_error(response, 429, "slow_down", "Too many attempts; try again later.")
    assert 1 <= int(response["Retry-After"]) <= 60
    assert register(http, login("read")).status_code == 429
    assert register(http, login("register")).status_code == 201


# Metadata


@pytest.mark.django_db
@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"client_name": "x" * 151}, id="name-too-long"),
        pytest.param({"client_name": ["x"]}, id="name-array"),
        pytest.param({"client_name": "a\0b"}, id="name-nul"),
        pytest.param({"client_name": "a\nb"}, id="name-of-two-lines"),
        pytest.param({"client_name": "a\u202eb"}, id="name-that-turns-the-text-round"),
        pytest.param({"scope": ["read"]}, id="scope-array"),
    ],
)
def test_malformed_metadata_is_told_as_such(http: APIClient, metadata: dict[str, Any]) -> None:
    response = register(http, **metadata)
    description = "The client metadata is malformed."
    assert_error(response, 400, "invalid_client_metadata", description)
    assert not Client.objects.exists()


@pytest.mark.django_db
def test_metadata_that_is_not_honoured_is_answered_with_what_is(http: APIClient) -> None:
    body = register(
        http, grant_types=["implicit"], redirect_uris=["x"], token_endpoint_auth_method="none"
    ).json()
    assert body["grant_types"] == ["client_credentials"]
    assert body["token_endpoint_auth_method"] == "client_secret_basic"
    assert "redirect_uris" not in body


def test_scope_may_be_as_long_as_a_token_allows(http: APIClient, login: Login) -> None:
    scopes = sorted(f"a-scope-with-{number:08}" for number in range(230))
    asked = " ".join(scopes)
    assert register(http, login(*scopes), scope=asked).json()["scope"] == asked


@pytest.mark.django_db
def test_name_may_be_in_any_script(http: APIClient) -> None:
    name = "  Rechnungswesen — 請求 ☃  "
    assert register(http, client_name=name).json()["client_name"] == name
