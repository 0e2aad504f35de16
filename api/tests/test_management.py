"""The management API: what it does, what it refuses, and that nobody gets more than they have."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.utils import timezone
from rest_framework.test import APIClient

from api import resources
from api.credentials import create_client
from api.hashers import generate_secret
from api.models import (
    Client,
    ClientKey,
    ClientProfile,
    ClientUsage,
    Resource,
    ResourceGrant,
    RetiredSecret,
    SigningKey,
    TokenGeneration,
    WorkloadIdentity,
)
from api.tests.support.assertions import KeyPair
from api.tests.support.responses import assert_error, assert_lacks_scope, basic, bearer, is_good

pytestmark = pytest.mark.django_db
ORDERS, STOCK = "https://orders.example.com", "https://stock.example.com"
MANAGER = ("clients:read", "clients:write", "read", "write")
SECRET, OLD = generate_secret(), generate_secret()
SEARCH = (
    "search must be the beginning of a client id, or of words in a name, at most 150 characters"
)
NO_CLIENT = "There is no client with this id."
ITSELF = "A client cannot change itself."
STRONGER_SCOPE = "The client has a scope that your token lacks."
STRONGER_API = "The client has an API that yours does not have."
SCOPE = "Your token lacks a scope that the client would have."
API = "Your client may not call an API that the client would have."

Call = Callable[..., Any]


@pytest.fixture
def manager(db: None) -> Client:
    """A client that manages others, and may call one API."""
    client, _ = create_client("manager", scopes=MANAGER, secret=SECRET)
    resources.set_grants(client, [resources.create_resource(ORDERS)])
    resources.create_resource(STOCK)
    return client


def log_in(client_id: str, secret: str, **more: str) -> str | None:
    response = APIClient().post(
        "/login", {"client_id": client_id, "client_secret": secret, **more}, format="json"
    )
    token: str | None = response.data.get("access_token")
    return token


@pytest.fixture
def call(manager: Client) -> Call:
    """Return a function that calls the API as the manager, with all its scopes or with some."""

    def call(method: str, path: str, body: Any = None, **options: Any) -> Any:
        token = log_in("manager", SECRET, scope=options.pop("scope", ""))
        headers = bearer(str(token)) | options
        content = {"data": json.dumps(body), "content_type": "application/json"}
        sent = {} if body is None else content
        return getattr(APIClient(), method)(path, headers=headers, **sent)

    return call


@pytest.fixture
def client(manager: Client) -> Client:
    """A client that holds some of what the manager does."""
    client, _ = create_client("billing", name="Billing", scopes=["read"], secret=OLD)
    resources.set_grants(client, [Resource.objects.get(identifier=ORDERS)])
    return client


def everything() -> str:
    """Return all rows that a refused request must leave as they are."""
    models = (User, Group, ClientProfile, ClientKey, RetiredSecret, TokenGeneration, Resource)
    kept = (*models, ResourceGrant, SigningKey, WorkloadIdentity)
    rows = [row for model in kept for row in model.objects.order_by("pk")]
    return str(serializers.serialize("json", rows))


# What it does


def test_client_is_created_with_a_secret_that_is_shown_once(call: Call) -> None:
    expires_at = (timezone.now() + timedelta(days=90)).replace(microsecond=0)
    response = call(
        "post",
        "/clients",
        {
            "client_name": "Billing",
            "scope": "write  read",
            "resources": [f"{ORDERS}/"],
            "secret_expires_at": expires_at.isoformat(),
        },
    )
    body = response.json()
    secret = body.pop("client_secret")
    made = Client.objects.get(username=body["client_id"])
    assert response.status_code == 201
    assert body == {
        "client_id": made.username,
        "client_name": "Billing",
        "active": True,
        "scope": "read write",
        "resources": [ORDERS],
        "default_resource": None,
        "token_endpoint_auth_method": "",
        "client_id_issued_at": int(made.date_joined.timestamp()),
        "client_secret_expires_at": int(expires_at.timestamp()),
        "last_used_at": None,
    }
    assert response["Location"] == f"http://testserver/clients/{made.username}"
    assert response["Cache-Control"] == "no-store"
    assert log_in(made.username, secret, resource=ORDERS)
    shown = call("get", response["Location"])
    assert (shown.json(), shown["ETag"]) == (body, response["ETag"])
    assert call("get", "/clients").json()["results"][0] == body


def test_client_with_keys_gets_no_secret(call: Call) -> None:
    keys = {"keys": [KeyPair.generate().jwk]}
    response = call("post", "/clients", {"jwks": keys, "secret_expires_at": None})
    body = response.json()
    assert response.status_code == 201
    assert "client_secret" not in body
    assert body["client_secret_expires_at"] is None
    assert ClientKey.objects.get().client.username == body["client_id"]


def test_client_is_changed(call: Call, client: Client) -> None:
    body = {"client_name": "B", "active": False, "scope": "write", "resources": []}
    response = call("patch", "/clients/billing", body)
    shown = call("get", "/clients/billing")
    assert (response.status_code, response.json()) == (200, shown.json())
    assert response["ETag"] == shown["ETag"]
    assert {name: response.json()[name] for name in body} == body


def test_empty_change_changes_nothing(call: Call, client: Client) -> None:
    before = everything()
    assert call("patch", "/clients/billing", {}).status_code == 200
    assert everything() == before


def test_secret_is_rotated_with_grace(call: Call, client: Client) -> None:
    expires_at = (timezone.now() + timedelta(days=30)).replace(microsecond=0)
    body = {"grace": 3600, "expires_at": expires_at.isoformat()}
    response = call("post", "/clients/billing/secret", body)
    secret = response.json()["client_secret"]
    assert response.status_code == 200
    assert response.json()["client_secret_expires_at"] == int(expires_at.timestamp())
    assert log_in("billing", secret)
    assert log_in("billing", OLD)
    with time_machine.travel(timezone.now() + timedelta(seconds=3601)):
        assert log_in("billing", secret)
        assert not log_in("billing", OLD)


def test_secret_is_rotated_at_once_without_grace(call: Call, client: Client) -> None:
    token = log_in("billing", OLD)
    secret = call("post", "/clients/billing/secret").json()["client_secret"]
    assert log_in("billing", secret)
    assert not log_in("billing", OLD)
    assert not is_good(APIClient(), token)


def test_credentials_are_listed_and_ended(call: Call, client: Client) -> None:
    call("post", "/clients/billing/secret", {"grace": 3600})
    listed = call("get", "/clients/billing/credentials").json()["credentials"]
    assert [one["id"] for one in listed] == ["secret", "previous_secret"]
    response = call("delete", "/clients/billing/credentials/previous_secret")
    assert (response.status_code, response.content) == (204, b"")
    assert not log_in("billing", OLD)
    again = call("delete", "/clients/billing/credentials/previous_secret")
    assert_error(again, 404, "invalid_request", "The client has no such credential.")


def test_tokens_are_revoked(call: Call, client: Client) -> None:
    token = log_in("billing", OLD)
    assert call("post", "/clients/billing/revocation").status_code == 204
    assert not is_good(APIClient(), token)
    assert log_in("billing", OLD)


def test_client_is_deleted(call: Call, client: Client) -> None:
    assert call("delete", "/clients/billing").status_code == 204
    assert_error(call("get", "/clients/billing"), 404, "invalid_request", NO_CLIENT)
    assert not log_in("billing", OLD)


def test_usage_is_shown_by_the_hour(call: Call, client: Client) -> None:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for hours, outcome, count in ((0, "success", 3), (0, "wrong secret", 1), (200, "success", 2)):
        hour = now - timedelta(hours=hours)
        ClientUsage.objects.create(client=client, hour=hour, outcome=outcome, count=count)
    this_hour = {"hour": f"{now:%Y-%m-%dT%H:00:00Z}", "outcomes": {"success": 3, "wrong secret": 1}}
    assert call("get", "/clients/billing/usage").json() == {"hours": [this_hour]}
    since = quote((now - timedelta(days=9)).isoformat())
    hours = call("get", f"/clients/billing/usage?since={since}").json()["hours"]
    assert [hour["outcomes"] for hour in hours] == [{"success": 2}, this_hour["outcomes"]]


def test_signing_key_is_rotated_once_at_a_time(call: Call, manager: Client) -> None:
    manager.groups.add(Group.objects.get_or_create(name="keys:write")[0])
    response = call("post", "/keys")
    key = SigningKey.objects.first()
    assert key
    assert (response.status_code, response.json()) == (
        201,
        {"kid": key.kid, "alg": "ES256", "signs_from": f"{key.signs_from:%Y-%m-%dT%H:%M:%SZ}"},
    )
    again = call("post", "/keys")
    sentence = "A new key is already published and does not sign yet."
    assert_error(again, 409, "invalid_request", sentence)
    assert SigningKey.objects.count() == 2


def test_changes_are_recorded_with_the_caller(
    call: Call, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    call("patch", "/clients/billing", {"client_name": "B", "active": False})
    call("post", "/clients/billing/secret")
    call("post", "/clients/billing/revocation")
    call("delete", "/clients/billing/credentials/secret")
    call("delete", "/clients/billing")
    created = call("post", "/clients").json()["client_id"]
    lines = [line.message for line in caplog.records if "by=" in line.message]
    actor = 'by="manager" address="127.0.0.1"'
    assert lines == [
        f'client_deactivated client="billing" {actor}',
        f'client_changed client="billing" {actor}',
        f'secret_rotated client="billing" {actor}',
        f'tokens_revoked client="billing" {actor}',
        f'secret_removed client="billing" credential="secret" {actor}',
        f'client_deleted client="billing" {actor}',
        f'client_created client="{created}" {actor}',
    ]


# The list


def test_list_has_pages_of_a_hundred(call: Call) -> None:
    User.objects.bulk_create(User(username=f"c{number:03}") for number in range(201))
    User.objects.create_superuser("staff")
    pages, url = [], "/clients"
    while url:
        body = call("get", url).json()
        pages.append([client["client_id"] for client in body["results"]])
        url = body["next"]
    assert [len(page) for page in pages] == [100, 100, 2]
    newest_first = [*(f"c{number:03}" for number in reversed(range(201))), "manager"]
    assert [client_id for page in pages for client_id in page] == newest_first
    assert call("get", body["previous"]).json()["results"][0]["client_id"] == pages[1][0]


def test_list_is_narrowed(call: Call, client: Client) -> None:
    ago = timezone.now() - timedelta(days=40)
    User.objects.filter(pk=client.pk).update(last_login=ago)
    ClientProfile.objects.update_or_create(
        client=client, defaults={"secret_expires_at": timezone.now() + timedelta(days=3)}
    )
    month_ago, week = (
        quote((timezone.now() + timedelta(days=days)).isoformat()) for days in (-30, 7)
    )
    for query in (
        "search=bil",
        "search=Bill&active=true",
        "active=true&scope=read&resource=https://orders.example.com/&search=b",
        f"unused_since={month_ago}",
        f"expiring_before={week}",
    ):
        found = call("get", f"/clients?{query}").json()["results"]
        assert [one["client_id"] for one in found] == ["billing"], query
    for query in ("search=x", "active=false", "scope=other", f"resource={STOCK}"):
        assert call("get", f"/clients?{query}").json()["results"] == [], query


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("page=2&limit=9", "limit is unknown; page is unknown."),
        ("active=perhaps&x=", "active must be true or false; x is unknown."),
        ("active=true&active=true", "active must be true or false."),
        ("active=1", "active must be true or false."),
        ("active=", "active must be true or false."),
        ("scope=", "scope must be a scope."),
        ("cursor=", "cursor must come from a page of the list."),
        ("scope=a&scope=b", "scope must be a scope."),
        ("scope=%00", "scope must be a scope."),
        (f"scope={'x' * 151}", "scope must be a scope."),
        ("unused_since=90d", "unused_since must be a time, such as 2026-01-31T12:00:00Z."),
        (
            "expiring_before=0001-01-01T00:00:00%2B14:00&search=%00",
            f"{SEARCH}; expiring_before must be a time, such as 2026-01-31T12:00:00Z.",
        ),
        ("%3Cscript%3E=1", "another field is unknown."),
        ("cursor=x", "cursor is malformed."),
        ("cursor=%F0%9F%98%80", "cursor is malformed."),
        ("cursor=cD0=", "cursor is malformed."),  # p=
        ("cursor=cD1hYmM=", "cursor is malformed."),  # p=abc
        ("cursor=cD0tMQ==", "cursor is malformed."),  # p=-1
        ("cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "cursor is malformed."),
        ("cursor=cj14", "cursor is malformed."),  # r=x
    ],
)
def test_bad_query_is_refused(call: Call, query: str, sentence: str) -> None:
    assert_error(call("get", f"/clients?{query}"), 400, "invalid_request", sentence)


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param("cD05OTk5OTk5OTk5OTk5OTk5OTk=", id="p=999999999999999999"),
        pytest.param("bz05OTk5OTk5OQ==", id="o=9999999"),
        pytest.param("cj0xJnA9MA==", id="r=1&p=0"),
    ],
)
def test_cursor_beyond_the_list_is_no_error(call: Call, cursor: str) -> None:
    assert call("get", f"/clients?cursor={cursor}").status_code == 200


# What it refuses

NAME = "client_name must be a text of at most 150 printable characters"
SCOPES = "scope must be scopes with spaces between them"
RESOURCES = "resources must be a list of the identifiers of APIs, each an absolute URI"
TO_COME = "must be at least a minute ahead, such as 2030-01-31T12:00:00Z"
GRACE = "grace must be seconds, at most 7776000"
JWKS = "jwks is not usable: A JWK Set is an object whose `keys` is a list of JWKs"
DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("path", "body", "problems"),
    [
        ("", {"client_name": "x" * 151}, [NAME]),
        (
            "",
            {"client_name": "\u202eevil", "scope": 1, "resources": ORDERS},
            [NAME, SCOPES, RESOURCES],
        ),
        (
            "",
            {"client_name": "\0", "scope": 'a"b', "resources": ["orders"]},
            [NAME, SCOPES, RESOURCES],
        ),
        ("", {"client_name": "\ud800", "scope": "\ud800"}, [NAME, SCOPES]),
        (
            "",
            {"client_name": None, "scope": None, "resources": None},
            [NAME, SCOPES, RESOURCES],
        ),
        ("", {"client_name": DEEP, "scope": DEEP, "resources": DEEP}, [NAME, SCOPES, RESOURCES]),
        ("", {"resources": [f"{ORDERS}/{number}" for number in range(1001)]}, [RESOURCES]),
        ("", {"jwks": {}}, [JWKS]),
        (
            "",
            {"jwks": {"keys": DEEP}, "secret_expires_at": 1},
            [JWKS, f"secret_expires_at {TO_COME}"],
        ),
        ("", {"secret_expires_at": "2020-01-01T00:00:00Z"}, [f"secret_expires_at {TO_COME}"]),
        ("", {"secret_expires_at": "9999-12-31T23:59:59-23:00"}, [f"secret_expires_at {TO_COME}"]),
        (
            "",
            {"client_id": "mine", "client_secret": "mine"},
            ["client_id is unknown", "client_secret is unknown"],
        ),
        ("", {"is_staff": True, "<b>": 1}, ["is_staff is unknown", "another field is unknown"]),
        (
            "",
            {f"f{number:02}": 1 for number in range(12)},
            [*(f"f{number:02} is unknown" for number in range(10)), "another field is unknown"],
        ),
        (
            "/billing",
            {"active": "perhaps", "jwks": {}},
            ["active must be true or false", "jwks is unknown"],
        ),
        ("/billing", {"active": None}, ["active must be true or false"]),
        ("/billing", {"active": 1}, ["active must be true or false"]),
        ("/billing", {"active": "true"}, ["active must be true or false"]),
        ("/billing/secret", {"grace": -1, "expires_at": DEEP}, [GRACE, f"expires_at {TO_COME}"]),
        ("/billing/secret", {"grace": 7776001}, [GRACE]),
        ("/billing/secret", {"grace": True}, [GRACE]),
        ("/billing/secret", {"grace": "1h"}, [GRACE]),
        ("/billing/secret", {"grace": DEEP}, [GRACE]),
        ("/billing/secret", {"grace": 10**400, "secret": "x"}, [GRACE, "secret is unknown"]),
        ("/billing/revocation", {"all": True}, ["all is unknown"]),
    ],
)
def test_all_wrong_fields_are_named(
    call: Call, client: Client, path: str, body: Any, problems: list[str]
) -> None:
    before = everything()
    method = "patch" if path == "/billing" else "post"
    response = call(method, f"/clients{path}", body)
    assert_error(response, 400, "invalid_request", f"{'; '.join(problems)}.")
    assert everything() == before


def test_no_depth_of_a_value_is_a_fault(call: Call, client: Client) -> None:
    http = APIClient(headers=bearer(str(log_in("manager", SECRET))))
    for depth in range(900, 1000):  # Python gives up at some depth, and elsewhere at another
        body = f'{{"grace": {"[" * depth}{"]" * depth}}}'
        response = http.post("/clients/billing/secret", body, content_type="application/json")
        assert response.status_code == 400, depth


def test_client_with_keys_has_no_secret_to_expire(call: Call) -> None:
    body = {
        "jwks": {"keys": [KeyPair.generate().jwk]},
        "secret_expires_at": "2999-01-01T00:00:00Z",
    }
    sentence = (
        "secret_expires_at must be left out beside jwks, because a client with keys gets no secret."
    )
    assert_error(call("post", "/clients", body), 400, "invalid_request", sentence)


ON_A_CLIENT: tuple[tuple[str, str, Any], ...] = (
    ("patch", "", {"client_name": "X"}),
    ("patch", "", {"scope": "", "resources": []}),
    ("patch", "", {"active": True}),
    ("patch", "", {"active": False}),
    ("patch", "", {}),
    ("delete", "", None),
    ("post", "/secret", {"grace": 60}),
    ("post", "/revocation", None),
    ("delete", "/credentials/secret", None),
)
WRITES = pytest.mark.parametrize(
    ("method", "below", "body"),
    [pytest.param(*row, id=f"{row[0]}{row[1]}-{row[2]}") for row in ON_A_CLIENT],
)


@WRITES
def test_nobody_changes_or_takes_over_a_stronger_client(
    call: Call, client: Client, method: str, below: str, body: Any
) -> None:
    client.groups.add(Group.objects.create(name="admin"))
    User.objects.filter(pk=client.pk).update(is_active=body != {"active": True})
    before = everything()
    response = call(method, f"/clients/billing{below}", body)
    assert_error(response, 403, "access_denied", STRONGER_SCOPE)
    assert everything() == before


@pytest.mark.parametrize(
    ("stronger_by", "scope", "sentence"),
    [
        ("grant", "", STRONGER_API),
        ("server", "", STRONGER_API),
        ("token", "clients:write", STRONGER_SCOPE),
    ],
)
def test_grant_server_and_token_decide_too_who_is_stronger(
    call: Call, client: Client, stronger_by: str, scope: str, sentence: str
) -> None:
    stock = Resource.objects.get(identifier=STOCK)
    if stronger_by == "grant":
        ResourceGrant.objects.create(client=client, resource=stock)
    elif stronger_by == "server":
        Resource.objects.filter(pk=stock.pk).update(server=client)
    response = call("post", "/clients/billing/secret", scope=scope)
    assert_error(response, 403, "access_denied", sentence)
    assert log_in("billing", OLD)


@WRITES
def test_nobody_changes_itself(call: Call, method: str, below: str, body: Any) -> None:
    before = everything()
    response = call(method, f"/clients/manager{below}", body)
    assert_error(response, 403, "access_denied", ITSELF)
    assert everything() == before


@pytest.mark.parametrize("rights", ["is_staff", "is_superuser"])
def test_staff_are_no_clients(call: Call, client: Client, rights: str) -> None:
    User.objects.filter(pk=client.pk).update(**{rights: True})
    before = everything()
    reads = [("get", below, None) for below in ("", "/credentials", "/usage")]
    for method, below, body in (*ON_A_CLIENT, *reads):
        refused = call(method, f"/clients/billing{below}", body)
        assert_error(refused, 404, "invalid_request", NO_CLIENT)
    assert everything() == before
    assert call("get", "/clients?search=billing").json()["results"] == []


@pytest.mark.parametrize(
    ("body", "scope", "sentence"),
    [
        pytest.param({"scope": "admin"}, "", SCOPE, id="scope"),
        pytest.param({"scope": "nobody-has-it"}, "", SCOPE, id="unknown-scope"),
        pytest.param({"scope": "keys:write"}, "", SCOPE, id="rotation-of-keys"),
        pytest.param({"scope": "read Write"}, "", SCOPE, id="scope-in-another-case"),
        pytest.param({"scope": "clients:write write"}, "clients:write read", SCOPE, id="token"),
        pytest.param({"resources": [ORDERS, STOCK]}, "", API, id="api"),
        pytest.param({"resources": ["urn:x"]}, "", API, id="unknown-api"),
        pytest.param({"resources": ["http://localhost:8000"]}, "", API, id="this-service"),
        pytest.param({"resources": [ORDERS.upper()]}, "", None, id="api-in-another-case"),
    ],
)
@pytest.mark.parametrize("method", ["post", "patch"])
def test_nobody_passes_on_what_its_token_lacks(
    call: Call, client: Client, method: str, body: Any, scope: str, sentence: str | None
) -> None:
    Group.objects.create(name="admin")
    before = everything()
    path = "/clients" if method == "post" else "/clients/billing"
    response = call(method, path, body, scope=scope)
    if sentence:
        assert_error(response, 403, "access_denied", sentence)
    else:
        assert_error(response, 400, "invalid_request", f"{RESOURCES}.")
    assert everything() == before


@pytest.mark.parametrize(
    ("method", "path", "scope", "needed"),
    [
        ("get", "/clients", "clients:write", "clients:read"),
        ("get", "/clients/billing", "clients:write", "clients:read"),
        ("get", "/clients/billing/credentials", "clients:write", "clients:read"),
        ("get", "/clients/billing/usage", "clients:write", "clients:read"),
        ("post", "/clients", "clients:read", "clients:write"),
        *(
            (method, f"/clients/billing{below}", "clients:read", "clients:write")
            for method, below, _ in ON_A_CLIENT
        ),
        ("post", "/keys", "clients:read clients:write", "keys:write"),
    ],
)
def test_each_needs_its_scope(
    call: Call, client: Client, method: str, path: str, scope: str, needed: str
) -> None:
    before = everything()
    response = call(method, path, scope=scope)
    assert_lacks_scope(response, needed)
    assert everything() == before


def test_scope_that_the_caller_has_lost_counts_no_longer(
    call: Call, manager: Client, client: Client
) -> None:
    token = log_in("manager", SECRET)
    User.groups.through.objects.filter(
        user=manager, group__name__in=["write", "clients:read"]
    ).delete()  # unlike `groups.remove`, this revokes no tokens
    http = APIClient(headers=bearer(str(token)))
    assert http.get("/clients").json()["error"] == "insufficient_scope"
    before = everything()
    refused = http.post("/clients", {"scope": "write"}, format="json")
    assert_error(refused, 403, "access_denied", SCOPE)
    assert everything() == before


@pytest.mark.parametrize("method", ["get", "post"])
def test_token_for_another_api_is_refused(call: Call, method: str) -> None:
    token = log_in("manager", SECRET, resource=ORDERS)
    response = getattr(APIClient(), method)("/clients", headers=bearer(str(token)))
    assert response.json()["error"] == "invalid_token"


@pytest.mark.parametrize(
    "path", ["/clients", "/clients/billing", "/clients/billing/secret", "/keys"]
)
def test_options_are_described(call: Call, client: Client, manager: Client, path: str) -> None:
    manager.groups.add(Group.objects.get_or_create(name="keys:write")[0])
    assert call("options", path).status_code == 200


def test_browser_needs_a_csrf_token_beside_its_cookie(call: Call, client: Client) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.cookies["access_token"] = str(log_in("manager", SECRET))
    before = everything()
    for method, path in (("delete", "/clients/billing"), ("patch", "/clients/billing")):
        refused = getattr(browser, method)(path, {"active": False}, format="json")
        assert_error(refused, 403, "access_denied", "The CSRF token is missing or wrong.")
    assert browser.get("/clients/billing").status_code == 200
    assert everything() == before


def test_caller_without_a_token_or_only_with_its_secret_is_refused(call: Call) -> None:
    for headers in ({}, basic("manager", SECRET)):
        for path in ("/clients", "/clients/manager", "/clients/manager/credentials"):
            assert APIClient().get(path, headers=headers).json()["error"] == "missing_token"


# What was ended stays ended


def test_rotation_with_grace_does_not_revive_an_expired_secret(call: Call, client: Client) -> None:
    ClientProfile.objects.update_or_create(
        client=client, defaults={"secret_expires_at": timezone.now() - timedelta(seconds=1)}
    )
    for body in ({"active": False}, {"active": True}):
        call("patch", "/clients/billing", body)
    call("post", "/clients/billing/secret", {"grace": 3600})
    assert not log_in("billing", OLD)
    listed = call("get", "/clients/billing/credentials").json()["credentials"]
    assert [one["id"] for one in listed] == ["secret"]


# Lost updates


@WRITES
def test_client_that_has_changed_meanwhile_is_left_alone(
    call: Call, client: Client, method: str, below: str, body: Any
) -> None:
    before = everything()
    response = call(method, f"/clients/billing{below}", body, **{"If-Match": '"x"'})
    sentence = "The client has been changed in the meantime; get it again."
    assert_error(response, 412, "invalid_request", sentence)
    assert everything() == before


@pytest.mark.parametrize("tag", ['W/"{now}"', "{now}", "", '"*"', '"', '"x", "y"'])
def test_tag_that_is_not_the_clients_matches_nothing(call: Call, client: Client, tag: str) -> None:
    now = call("get", "/clients/billing")["ETag"].strip('"')
    response = call("delete", "/clients/billing", **{"If-Match": tag.format(now=now)})
    assert response.status_code == 412
    assert Client.objects.filter(pk=client.pk).exists()


@pytest.mark.parametrize("tag", ["{}", "*", '"x", {}'])
def test_client_that_is_as_expected_is_changed(call: Call, client: Client, tag: str) -> None:
    for body in ({"client_name": "A"}, {"active": False}, {"scope": ""}):
        expected = tag.format(call("get", "/clients/billing")["ETag"])
        assert call("patch", "/clients/billing", body, **{"If-Match": expected}).status_code == 200
        if "{" in tag:
            again = call("patch", "/clients/billing", body, **{"If-Match": expected})
            assert again.status_code == 412


def test_second_of_two_rotations_from_the_same_state_fails(call: Call, client: Client) -> None:
    tag = {"If-Match": call("get", "/clients/billing")["ETag"]}
    first = call("post", "/clients/billing/secret", **tag)
    assert call("post", "/clients/billing/secret", **tag).status_code == 412
    assert log_in("billing", first.json()["client_secret"])
    tag = {"If-Match": first["ETag"]}
    assert call("post", "/clients/billing/secret", **tag).status_code == 200


def test_use_of_a_client_is_no_change(call: Call, client: Client) -> None:
    tag = call("get", "/clients/billing")["ETag"]
    User.objects.filter(pk=client.pk).update(last_login=timezone.now())
    assert call("get", "/clients/billing")["ETag"] == tag


# Client ids in paths


@pytest.mark.parametrize(
    "client_id",
    [
        "https://app.example.com/a//b/",
        "a@b+c;d&e=f?g#h",
        "été漢",
        "'\"<>`{|}\\^~",
        "billing/secret/",
        "x/credentials",
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_any_client_id_can_stand_in_a_path(call: Call, client_id: str, times: int) -> None:
    create_client(client_id)
    path = client_id
    for _ in range(times):
        path = quote(path, safe="")
    if client_id == "x/credentials" and times == 1:
        assert call("get", f"/clients/{path}").status_code == 404
        return
    assert call("get", f"/clients/{path}").json()["client_id"] == client_id
    assert call("get", f"/clients/{path}/credentials").json()["credentials"][0]["id"] == "secret"
    assert call("delete", f"/clients/{path}/credentials/secret").status_code == 204
    assert call("delete", f"/clients/{path}").status_code == 204


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nobody", NO_CLIENT),
        ("%00", NO_CLIENT),
        ("%2500", NO_CLIENT),
        ("x" * 1000, NO_CLIENT),
        ("billing/", NO_CLIENT),
        ("%25FF", "There is nothing at this path."),
        ("%FF", "There is nothing at this path."),
        ("", "There is nothing at this path; use /clients instead."),
    ],
)
def test_path_to_no_client_is_not_found(
    call: Call, client: Client, path: str, sentence: str
) -> None:
    for method in ("get", "delete"):
        assert_error(call(method, f"/clients/{path}"), 404, "invalid_request", sentence)
