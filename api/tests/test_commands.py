"""What operators do on the command line: output a script can read, a clear no where it fails."""

import json
import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from api import keys, tokens
from api.clients import rotate_secret
from api.credentials import check, create_client
from api.hashers import is_generated
from api.management import records
from api.models import (
    Client,
    ClientUsage,
    Resource,
    ResourceGrant,
    RetiredSecret,
    RevokedToken,
    SigningKey,
    UsageTotal,
)
from api.tests.support.responses import basic, bearer, is_good

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def logs_in(http: APIClient, credentials: dict[str, str]) -> bool:
    parts = {name: credentials[name] for name in ("client_id", "client_secret")}
    return bool(http.post("/login", parts, format="json").status_code == 200)


# createclient

CLIENT_IDS = [
    pytest.param("https://app.example:8443/?a=b&c#d", id="URL"),
    pytest.param("urn:example:app", id="URN"),
    pytest.param("spiffe://example.org/ns/prod/sa/billing", id="SPIFFE id"),
    pytest.param("a:b", id="colon"),
    pytest.param("'\"\\;$(x)<b>`", id="quotes and brackets"),
    pytest.param("e+mail@example.com", id="address"),
    pytest.param("\ufb01x\uff41", id="NFKC would change it"),
    pytest.param("x" * 150, id="150 characters"),
]


@pytest.mark.parametrize("client_id", CLIENT_IDS)
def test_client_has_the_id_that_was_typed_and_logs_in_by_every_method(
    http: APIClient, client_id: str
) -> None:
    made = json.loads(run("createclient", "--", client_id))
    assert made["client_id"] == client_id == Client.objects.get().username
    secret = made["client_secret"]
    assert logs_in(http, made)
    for pair in ((client_id, secret), (quote_plus(client_id), quote_plus(secret))):
        grant = "grant_type=client_credentials"
        form = "application/x-www-form-urlencoded"
        response = http.generic("POST", "/login", grant, content_type=form, headers=basic(*pair))
        assert response.status_code == 200, pair
        assert response.json()["access_token"]
    token = http.post("/login", made, format="json").json()["access_token"]
    private = http.get("/private", headers=bearer(token)).json()
    assert (private["sub"], private["client_id"]) == (client_id, client_id)


@pytest.mark.parametrize("client_id", [*CLIENT_IDS, "a b", "a%20b", "e\u0301", "x" * 151])
def test_import_accepts_and_refuses_the_ids_that_createclient_does(
    http: APIClient, tmp_path: Path, client_id: str
) -> None:
    row = {"client_id": client_id, "client_secret": "bar"}
    (tmp_path / "clients.jsonl").write_text(json.dumps(row))
    with suppress(CommandError):
        run("importclients", str(tmp_path / "clients.jsonl"))
    imported = list(Client.objects.values_list("username", flat=True))
    assert logs_in(http, row) == (imported == [client_id])
    Client.objects.all().delete()
    with suppress(CommandError):
        run("createclient", "--", client_id)
    assert imported == list(Client.objects.values_list("username", flat=True))


def test_createclient_prints_credentials_that_log_in(http: APIClient) -> None:
    output = run("createclient", "foo", "--name", "Foo", "--scope", "write", "--scope", "read")
    shown = json.loads(output)
    assert output.count("\n") == 1
    assert shown.keys() == {"client_id", "client_secret", "scope"}
    assert (shown["client_id"], shown["scope"]) == ("foo", "read write")
    assert is_generated(shown["client_secret"])
    assert logs_in(http, shown)
    assert Client.objects.get().first_name == "Foo"


def test_createclient_generates_an_id(http: APIClient) -> None:
    shown = json.loads(run("createclient"))
    assert len(shown["client_id"]) == 36
    assert logs_in(http, shown)


def test_createclient_without_a_secret_waits_for_a_key_or_an_identity() -> None:
    shown = json.loads(run("createclient", "foo", "--no-secret", "--scope", "read"))
    assert shown == {"client_id": "foo", "scope": "read"}
    assert not Client.objects.get().has_usable_password()
    with pytest.raises(CommandError, match="not allowed with argument"):
        run("createclient", "bar", "--no-secret", "--key", "public.pem")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["boss"], "This client id is taken. Choose another, or rotate the secret"),
        (["a b"], "A client id has at most 150 letters"),
        (["os:root"], "nor `os:` at its beginning"),
        (["foo", "--scope", "a b"], "'a b' is not a scope"),
    ],
)
def test_createclient_says_why_not(arguments: list[str], complaint: str) -> None:
    User.objects.create_superuser("boss")
    with pytest.raises(CommandError, match=complaint):
        run("createclient", *arguments)
    assert not Client.objects.exists()


# createresource


def test_createresource_makes_an_api_that_clients_are_granted() -> None:
    run("createclient", "gateway")
    made = run(
        *("createresource", "https://orders.example.com", "--name", "Orders"),
        *("--scope", "write", "--scope", "read", "--server", "gateway"),
    )
    assert made.count("\n") == 1
    assert json.loads(made) == {
        "resource": "https://orders.example.com",
        "scope": "read write",
        "server": "gateway",
    }
    assert json.loads(run("createresource", "urn:example:stock")) == {
        "resource": "urn:example:stock",
        "scope": "",
        "server": None,
    }
    run("createclient", "one", "--resource", "https://orders.example.com/")
    run(
        *("createclient", "two", "--resource", "https://orders.example.com"),
        *("--default-resource", "urn:example:stock"),
    )
    grants = ResourceGrant.objects.order_by("client__username", "resource")
    assert list(grants.values_list("client__username", "resource__name", "is_default")) == [
        ("one", "Orders", False),
        ("two", "Orders", False),
        ("two", "", True),
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["createresource", "orders"], "Enter an absolute URI"),
        (["createresource", "urn:x:there"], "There is an API with this identifier"),
        (["createresource", "urn:x:new", "--scope", "a b"], "'a b' is not a scope"),
        (["createresource", "urn:x:new", "--server", "boss"], "There is no client 'boss'."),
        (["createclient", "foo", "--resource", "urn:x:new"], "There is no API 'urn:x:new'."),
        (["createclient", "foo", "--default-resource", ""], "There is no API ''."),
    ],
)
def test_what_names_no_api_or_no_server_changes_nothing(
    arguments: list[str], complaint: str
) -> None:
    User.objects.create_superuser("boss")
    run("createresource", "urn:x:there")
    with pytest.raises(CommandError, match=complaint):
        run(*arguments)
    assert Resource.objects.count() == 1
    assert not Client.objects.exists()


# rotatesecret


@pytest.mark.parametrize(
    ("arguments", "grace"),
    [
        (["--now"], None),
        (["--grace", "90s"], timedelta(seconds=90)),
        (["--grace", "30m"], timedelta(minutes=30)),
        (["--grace", "24h"], timedelta(hours=24)),
        (["--grace=7d"], timedelta(days=7)),
    ],
)
def test_rotatesecret_prints_a_secret_and_leaves_the_old_one_its_grace(
    http: APIClient,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    arguments: list[str],
    grace: timedelta | None,
) -> None:
    token = get_token()
    shown = json.loads(run("rotatesecret", credentials["client_id"], *arguments))
    assert shown.keys() == {"client_id", "client_secret"}
    assert shown["client_id"] == credentials["client_id"]
    assert logs_in(http, shown)
    assert logs_in(http, credentials) == bool(grace)
    assert is_good(http, token) == bool(grace)
    if grace:
        left = RetiredSecret.objects.get().expires_at - timezone.now()
        assert grace - timedelta(seconds=30) < left <= grace


def test_rotatesecret_tells_of_the_secret_that_it_ends(
    credentials: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for told in ("", "An older secret was still in its grace period; it has ended now.\n"):
        call_command("rotatesecret", credentials["client_id"], "--grace", "24h")
        assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nobody", "--now"], "There is no client 'nobody'."),
        (["boss", "--now"], "There is no client 'boss'."),
        (["reporting"], "one of the arguments --grace --now is required"),
        (["reporting", "--now", "--grace", "1h"], "not allowed with argument"),
        (["reporting", "--grace", "soon"], "'soon' is not a duration such as 30m, 24h or 7d"),
        (["reporting", "--grace", "0h"], "is not a duration"),
        (["reporting", "--grace", "-1h"], "expected one argument"),
        (["reporting", "--grace", "91d"], "The grace period is longer than 90 days"),
    ],
)
def test_rotatesecret_says_why_not_and_does_nothing(
    http: APIClient, credentials: dict[str, str], arguments: list[str], complaint: str
) -> None:
    User.objects.create_superuser("boss", password="a password of theirs")
    before = list(User.objects.order_by("pk").values())
    with pytest.raises(CommandError, match=complaint):
        run("rotatesecret", *arguments)
    assert list(User.objects.order_by("pk").values()) == before
    assert logs_in(http, credentials)


# serve


@pytest.mark.parametrize("port", ["-1", "65536", "9" * 30, "9" * 5000, "http"], ids=len)
def test_serve_refuses_what_is_no_port(port: str) -> None:
    with pytest.raises(CommandError, match="argument --port: "):
        run("serve", f"--port={port}")


# clearexpired


@pytest.fixture
def half_expired(credentials: dict[str, str]) -> None:
    """Of each kind one row that has expired, and one that has not where a clock is behind."""
    now = timezone.now()
    for client_id, ends_in in (("old", -11), ("current", -9)):
        client, _ = create_client(client_id)
        rotate_secret(client, grace=timedelta(hours=1))
        expires_at = now + timedelta(seconds=ends_in)
        RetiredSecret.objects.filter(client_id=client.pk).update(expires_at=expires_at)
        RevokedToken.objects.create(jti=client_id, expires_at=expires_at)
    keys.rotate(immediately=True)
    for days in (89, 91):
        hour = now - timedelta(days=days)
        ClientUsage.objects.create(client=client, hour=hour, outcome="success", count=days)
        UsageTotal.objects.create(hour=hour, outcome="success", count=days)


def left() -> tuple[list[str], list[str], int, list[list[int]]]:
    retired = RetiredSecret.objects.order_by("pk").values_list("client__username", flat=True)
    revoked = RevokedToken.objects.order_by("-jti").values_list("jti", flat=True)
    usage = [
        list(model.objects.values_list("count", flat=True)) for model in (ClientUsage, UsageTotal)
    ]
    return list(retired), list(revoked), SigningKey.objects.count(), usage


@pytest.mark.usefixtures("half_expired")
def test_clearexpired_deletes_what_has_expired_and_nothing_else() -> None:
    assert left() == (["old", "current"], ["old", "current"], 2, [[89, 91]] * 2)
    counted = run("clearexpired", "--dry-run")
    assert left() == (["old", "current"], ["old", "current"], 2, [[89, 91]] * 2)
    deleted = run("clearexpired")
    assert left() == (["current"], ["current"], 1, [[89]] * 2)
    assert counted.splitlines() == [
        "1 expired retired secret would be deleted",
        "1 expired revoked token would be deleted",
        "0 expired used assertions would be deleted",
        "1 expired signing key would be deleted",
        "1 expired hour of usage would be deleted",
        "1 expired hour of all usage would be deleted",
    ]
    assert deleted == counted.replace("would be deleted", "deleted")
    assert run("clearexpired").startswith("0 expired retired secrets deleted\n")


@pytest.mark.usefixtures("half_expired")
def test_login_depends_on_no_clearing(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str]
) -> None:
    token = get_token()
    tokens.revoke(token, check(*credentials.values(), address=""))
    run("clearexpired")
    assert not is_good(http, token)
    assert is_good(http, get_token())


# rotatekeys


def test_rotatekeys_publishes_a_key_and_says_when_it_signs(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    token = get_token()
    first = SigningKey.objects.get()
    output = run("rotatekeys")
    second = SigningKey.objects.exclude(pk=first.pk).get()
    assert output == f"ES256 key {second.kid} signs from {second.signs_from.isoformat()}\n"
    assert second.signs_from > timezone.now()
    assert is_good(http, token)
    with pytest.raises(CommandError, match="is published and signs from"):
        run("rotatekeys")
    assert SigningKey.objects.count() == 2


def test_rotatekeys_now_ends_every_earlier_token(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    token = get_token()
    run("rotatekeys", "--now")
    assert not is_good(http, token)
    assert is_good(http, get_token())


# revokeall


@pytest.mark.parametrize(("arguments", "is_active"), [([], True), (["--clients"], False)])
def test_revokeall_ends_everything_that_somebody_may_still_have(
    arguments: list[str],
    is_active: bool,
    http: APIClient,
    credentials: dict[str, str],
    client_row: Client,
    get_token: Callable[[], str],
) -> None:
    staff = User.objects.create_superuser("boss")
    browser = APIClient()
    browser.force_login(staff)
    token = get_token()
    old = dict(credentials)
    credentials["client_secret"] = rotate_secret(client_row, grace=timedelta(hours=1))
    output = run("revokeall", *arguments)
    key = SigningKey.objects.get(verifies_until=None)
    deactivated = "0 clients" if is_active else "1 client"
    assert output == f"{deactivated} deactivated; key {key.kid} signs from now on\n"
    assert not is_good(http, token)
    assert not logs_in(http, old)
    assert browser.get("/admin/").status_code == 302
    assert logs_in(http, credentials) == is_active
    Client.objects.update(is_active=True)
    assert logs_in(http, credentials)
    assert is_good(http, get_token())
    assert not is_good(http, token)


# The audit log


def test_commands_are_on_record_without_a_secret(
    credentials: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("DEBUG")
    by = f'by="os:{pwd.getpwuid(os.getuid()).pw_name}"'
    monkeypatch.setattr(records, "LOGIN_UID", Path("/nowhere"))
    created = json.loads(run("createclient", "foo"))
    rotated = json.loads(run("rotatesecret", "foo", "--now"))
    run("rotatekeys", "--now")
    kid = SigningKey.objects.get(verifies_until=None).kid
    run("revokeall", "--clients")
    last = SigningKey.objects.get(verifies_until=None).kid
    assert [record.getMessage() for record in caplog.records if record.name == "api.audit"] == [
        f'client_created client="foo" {by}',
        f'secret_rotated client="foo" {by}',
        f'key_rotated kid="{kid}" algorithm="ES256" {by}',
        f'all_revoked kid="{last}" deactivated="2" {by}',
    ]
    for shown in (created, rotated):
        assert shown["client_secret"] not in caplog.text


@pytest.mark.parametrize(
    ("login_uid", "by"),
    [
        pytest.param("0", "os:root", id="who logged in, whatever sudo made of it"),
        pytest.param("4294967295", "os:4242", id="a service, whose user has no name"),
        pytest.param("", "os:4242", id="another kernel"),
    ],
)
def test_audit_line_names_the_user_who_cannot_be_made_up(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    login_uid: str,
    by: str,
) -> None:
    caplog.set_level("INFO", "api.audit")
    monkeypatch.setattr(records, "LOGIN_UID", tmp_path / "loginuid")
    records.LOGIN_UID.write_text(login_uid)
    monkeypatch.setattr("os.getuid", lambda: 4242)
    monkeypatch.setenv("SUDO_USER", "mallory")
    monkeypatch.setenv("USER", "mallory")
    run("createclient", "foo")
    assert caplog.messages == [f'client_created client="foo" by="{by}"']
