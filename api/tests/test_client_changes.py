"""Changes of a client by the management API and the commands, and what they record."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.utils import timezone
from rest_framework.test import APIClient

from api import client_changes, client_keys, client_records, clients, resources
from api.client_changes import Changes, NoSuchCredentialError
from api.credentials import create_client
from api.models import Client, ClientKey, RetiredSecret, TrustedIssuer, WorkloadIdentity
from api.public_keys import read
from api.tests.support.assertions import KeyPair
from api.tests.support.responses import is_good

pytestmark = pytest.mark.django_db
ACTOR = {"by": "boss", "address": "192.0.2.7"}
ORDERS, STOCK = "https://orders.example.com", "https://stock.example.com"


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.audit")


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.message for line in caplog.records if line.name == "api.audit"]


def test_client_is_described(client_row: Client) -> None:
    orders, stock = (resources.create_resource(one) for one in (ORDERS, STOCK))
    resources.set_grants(client_row, [stock, orders], default=stock)
    clients.restrict(client_row, "client_secret_basic")
    client_row.groups.add(Group.objects.create(name="no scope"))
    (client,) = client_records.with_details(Client.objects.all())
    assert client_records.describe(client) == {
        "client_id": "reporting",
        "client_name": "Reporting",
        "active": True,
        "scope": "read write",
        "resources": [ORDERS, STOCK],
        "default_resource": STOCK,
        "token_endpoint_auth_method": "client_secret_basic",
        "client_id_issued_at": int(client_row.date_joined.timestamp()),
        "client_secret_expires_at": 0,
        "last_used_at": None,
    }


def test_client_without_profile_or_secret_is_described(client_row: Client) -> None:
    client_row.set_unusable_password()
    described = client_records.describe(client_row)
    assert (described["token_endpoint_auth_method"], described["resources"]) == ("", [])
    assert described["client_secret_expires_at"] is None


@pytest.mark.parametrize("client_id", ["nobody", "staff", "re\0porting", "\udc80"])
def test_staff_and_impossible_ids_are_not_found(client_row: Client, client_id: str) -> None:
    User.objects.create_superuser("staff")
    for lock in (False, True):
        with pytest.raises(Client.DoesNotExist):
            client_records.find(client_id, lock=lock)


def test_only_what_differs_is_changed_and_recorded(
    client_row: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client_row.groups.add(Group.objects.create(name="no scope"))
    same = Changes(name="Reporting", active=True, scopes=["write", "read"], resources=[])
    client_changes.update(client_row, same, actor=ACTOR)
    client_changes.update(client_row, Changes(), actor=ACTOR)
    assert events(caplog) == []
    orders = resources.create_resource(ORDERS)
    client_changes.update(
        client_row, Changes(name="R", scopes=["read", "new"], resources=[orders]), actor=ACTOR
    )
    assert events(caplog) == [
        'client_changed client="reporting" by="boss" address="192.0.2.7"',
    ]
    described = client_records.describe(client_records.find("reporting"))
    assert described["client_name"] == "R"
    assert (described["scope"], described["resources"]) == ("new read", [ORDERS])
    assert client_row.groups.filter(name="no scope").exists()


def test_change_of_apis_keeps_the_default_one_while_granted(client_row: Client) -> None:
    orders, stock = (resources.create_resource(one) for one in (ORDERS, STOCK))
    resources.set_grants(client_row, [orders], default=orders)
    client = client_records.find("reporting")
    for given, default in (([orders, stock], ORDERS), ([stock], None)):
        client_changes.update(client, Changes(resources=given), actor=ACTOR)
        assert client_records.describe(client)["default_resource"] == default
        assert client_records.describe(client_records.find("reporting"))["resources"] == [
            one.identifier for one in given
        ]


def test_default_api_is_changed_and_taken_back(
    client_row: Client, caplog: pytest.LogCaptureFixture
) -> None:
    orders, stock = (resources.create_resource(one) for one in (ORDERS, STOCK))
    resources.set_grants(client_row, [orders, stock], default=orders)
    taken_back = Changes(default_resource="")
    for changes, default in (
        (Changes(default_resource=stock), STOCK),
        (taken_back, None),
        (taken_back, None),
    ):
        client_changes.update(client_row, changes, actor=ACTOR)
        described = client_records.describe(client_records.find("reporting"))
        assert described["default_resource"] == default
        assert described["resources"] == [ORDERS, STOCK]
    assert len(events(caplog)) == 2


def test_client_that_is_called_as_a_person_at_a_command_line_stays(
    http: APIClient, credentials: dict[str, str], client_row: Client
) -> None:
    Client.objects.filter(pk=client_row.pk).update(username="os:root")  # no new one can have it
    client = client_records.find("os:root")
    client_changes.update(client, Changes(name="R", scopes=["read"]), actor=ACTOR)
    new = {"client_id": "os:root", "client_secret": credentials["client_secret"]}
    assert http.post("/login", new, format="json").status_code == 200


@pytest.mark.parametrize(
    "changes", [Changes(name="x" * 151), Changes(name="New", scopes=["a b"])], ids=["name", "scope"]
)
def test_refused_change_changes_nothing(client_row: Client, changes: Changes) -> None:
    with pytest.raises(ValidationError):
        client_changes.update(client_row, changes, actor=ACTOR)
    described = client_records.describe(client_records.find("reporting"))
    assert (described["client_name"], described["scope"]) == ("Reporting", "read write")


def test_reactivation_revives_neither_tokens_nor_the_previous_secret(
    http: APIClient,
    credentials: dict[str, str],
    client_row: Client,
    get_token: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens = [get_token()]
    secret = clients.rotate_secret(client_row, grace=timedelta(days=1))
    new = {"client_id": "reporting", "client_secret": secret}
    tokens.append(http.post("/login", new, format="json").json()["access_token"])
    User.objects.filter(pk=client_row.pk).update(is_active=False)  # which revokes nothing
    client_changes.update(client_records.find("reporting"), Changes(active=True), actor=ACTOR)
    assert http.post("/login", credentials, format="json").status_code == 401
    assert [is_good(http, token) for token in tokens] == [False, False]
    tokens.append(http.post("/login", new, format="json").json()["access_token"])
    client_changes.update(client_records.find("reporting"), Changes(active=False), actor=ACTOR)
    client_changes.update(client_records.find("reporting"), Changes(active=True), actor=ACTOR)
    assert [is_good(http, token) for token in tokens] == [False, False, False]
    switched = [line.partition(" ")[0] for line in events(caplog) if "by=" in line]
    assert switched == ["client_activated", "client_deactivated", "client_activated"]


def test_previous_secret_of_a_client_that_is_saved_as_inactive_ends_for_good(
    http: APIClient, credentials: dict[str, str], client_row: Client
) -> None:
    clients.rotate_secret(client_row, grace=timedelta(days=1))
    for client_row.is_active in (False, True):
        client_row.save()
    assert http.post("/login", credentials, format="json").status_code == 401


@pytest.fixture
def all_credentials(client_row: Client) -> list[dict[str, Any]]:
    """The credentials of a client that has one of each kind."""
    clients.rotate_secret(client_row, grace=timedelta(days=1))
    client_keys.add(client_row, read(KeyPair.generate().public_pem), name="laptop")
    issuer = TrustedIssuer.objects.create(url="https://issuer.example.com")
    WorkloadIdentity.objects.create(client=client_row, issuer=issuer, subject="pod")
    return client_records.credentials(client_row)


def test_credentials_are_listed(client_row: Client, all_credentials: list[dict[str, Any]]) -> None:
    now = timezone.now()
    ends_at = now + timedelta(hours=1)
    RetiredSecret.objects.update(expires_at=ends_at, last_used_at=now, last_used_from="192.0.2.9")
    listed = client_records.credentials(client_row)
    assert [(one["id"].partition(":")[0], one["name"]) for one in listed] == [
        ("secret", ""),
        ("previous_secret", ""),
        ("key", "laptop"),
        ("identity", "pod of https://issuer.example.com"),
    ]
    assert listed[1] == {
        "id": "previous_secret",
        "name": "",
        "created_at": None,
        "expires_at": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}",
        "last_used_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "last_used_from": "192.0.2.9",
    }


@pytest.mark.parametrize("kind", ["secret", "previous_secret", "key", "identity"])
def test_credential_is_ended_once(
    client_row: Client,
    all_credentials: list[dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    ids = {one["id"].partition(":")[0]: one["id"] for one in all_credentials}
    kid = ClientKey.objects.get().kid
    client_changes.end_credential(client_row, ids[kind], actor=ACTOR)
    with pytest.raises(NoSuchCredentialError):
        client_changes.end_credential(client_row, ids[kind], actor=ACTOR)
    ended = {kind, "previous_secret"} if kind == "secret" else {kind}
    left = {one["id"] for one in client_records.credentials(client_row)}
    assert left == {ids[one] for one in ids.keys() - ended}
    event, named = {
        "key": ("key_removed", f'kid="{kid}" '),
        "identity": ("identity_removed", 'issuer="https://issuer.example.com" subject="pod" '),
    }.get(kind, ("secret_removed", ""))
    actor = 'by="boss" address="192.0.2.7"'
    assert events(caplog) == [f'{event} client="reporting" credential="{ids[kind]}" {named}{actor}']


@pytest.mark.parametrize(
    "credential",
    ["", "key", "key:", "key:0", "key:01", "key:²", "key:-1", f"key:{'9' * 19}", "retired:1"],
)
def test_malformed_credential_is_not_found(client_row: Client, credential: str) -> None:
    with pytest.raises(NoSuchCredentialError):
        client_changes.end_credential(client_row, credential, actor=ACTOR)


def test_credential_of_another_client_is_not_found(
    client_row: Client, all_credentials: list[dict[str, Any]]
) -> None:
    other, _ = create_client("other")
    for credential in (f"key:{ClientKey.objects.get().pk}", all_credentials[-1]["id"]):
        with pytest.raises(NoSuchCredentialError):
            client_changes.end_credential(other, credential, actor=ACTOR)
    assert client_records.credentials(client_row) == all_credentials


def test_tokens_are_revoked_and_clients_deleted(
    http: APIClient,
    client_row: Client,
    get_token: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = get_token()
    client_changes.revoke_tokens(client_row, actor=ACTOR)
    assert not is_good(http, token)
    token = get_token()
    client_changes.delete(client_row, actor=ACTOR)
    assert not is_good(http, token)
    recorded = [line.partition(" ")[0] for line in events(caplog) if "by=" in line]
    assert recorded == ["tokens_revoked", "client_deleted"]
