"""Secrets that expire: who decides when, and what ends then."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client as Browser
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from api import client_keys, client_search, clients, credentials, expiry, public_keys, tokens
from api.claims import LIFETIME
from api.clients import register_client, remove_secret, rotate_secret
from api.credentials import NO_SECRET, create_client
from api.models import Client, ClientKey, ClientProfile, RetiredSecret
from api.tests.support.assertions import KeyPair, claims_of, presented
from api.tests.support.responses import assert_error, basic, is_good

pytestmark = pytest.mark.django_db
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
NOW = timezone.now().replace(microsecond=250_000)
TODAY = NOW.replace(microsecond=0)  # times of secrets are whole seconds


@pytest.fixture(autouse=True)
def clock() -> Iterator[Any]:
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


def log_in(http: APIClient, secret: str) -> Any:
    body = {"client_id": "expiring", "client_secret": secret}
    return http.post("/login", body, format="json")


def get_token(http: APIClient, secret: str) -> str:
    return str(log_in(http, secret).json()["access_token"])


def expiring(**arguments: Any) -> tuple[Client, str]:
    return create_client("expiring", **arguments)


# When


@pytest.mark.parametrize(
    ("max_age", "given", "end"),
    [
        pytest.param(None, None, None, id="never"),
        pytest.param(None, HOUR, TODAY + HOUR, id="given"),
        pytest.param(DAY, None, TODAY + DAY, id="policy"),
        pytest.param(DAY, HOUR, TODAY + HOUR, id="given, within the policy"),
        pytest.param(DAY, 2 * DAY, TODAY + DAY, id="given, beyond the policy"),
        pytest.param(None, SECOND, TODAY + SECOND, id="soon"),
    ],
)
@pytest.mark.parametrize("way", ["create", "rotate", "register"])
def test_secret_expires_when_given_and_never_after_the_policy(
    settings: Settings,
    way: str,
    max_age: timedelta | None,
    given: timedelta | None,
    end: datetime | None,
) -> None:
    expires_at = NOW + given if given else None
    if way == "rotate":
        client, _ = expiring()
    settings.SECRET_MAX_AGE = max_age or timedelta()
    match way:
        case "create":
            client, _ = expiring(secret_expires_at=expires_at)
        case "rotate":
            rotate_secret(client, expires_at=expires_at)
        case "register":
            client, _ = register_client(name="", scopes=(), address="192.0.2.1")
            end = TODAY + max_age if max_age else None  # nobody asks for a time
    assert expiry.of(client) == end


@pytest.mark.parametrize("ago", [timedelta(), SECOND, 1000 * DAY], ids=str)
def test_secret_that_would_have_expired_is_not_made(ago: timedelta) -> None:
    client, _ = expiring()
    for make in (
        lambda: create_client("another", secret_expires_at=NOW - ago),
        lambda: rotate_secret(client, grace=HOUR, expires_at=NOW - ago),
    ):
        with pytest.raises(ValidationError, match=r"^\['The secret would have expired already.'\]"):
            make()
    assert Client.objects.get().password == client.password
    assert not RetiredSecret.objects.exists()


def set_password(client: User, password: str | None) -> None:
    client.set_password(password)
    client.save()


def save(client: Client, **changed: Any) -> None:
    vars(client).update(changed)
    client.save()


WAYS: dict[str, tuple[Callable[[Client], object], timedelta | None]] = {
    "rotation": (rotate_secret, DAY),
    "rotation with a time": (lambda client: rotate_secret(client, expires_at=NOW + HOUR), HOUR),
    "removal": (remove_secret, None),
    "Django's set_password": (lambda client: set_password(client, "another"), DAY),
    "of User": (lambda client: set_password(User.objects.get(), "another"), DAY),
    "Django's set_unusable_password": (lambda client: set_password(client, None), None),
    "staff": (lambda client: save(client, is_staff=True), None),
    "another name": (lambda client: save(client, first_name="Another"), 2 * DAY),
    "switched off": (lambda client: save(client, is_active=False), 2 * DAY),
    # Django tells nobody.
    "QuerySet.update": (lambda _: Client.objects.update(password="x"), 2 * DAY),
}


@pytest.mark.parametrize("way", WAYS)
def test_another_secret_has_a_time_of_its_own(settings: Settings, way: str) -> None:
    client, _ = expiring(secret_expires_at=NOW + 2 * DAY)
    settings.SECRET_MAX_AGE = DAY
    change, age = WAYS[way]
    change(client)
    end = ClientProfile.objects.values_list("secret_expires_at", flat=True).get()
    assert end == (TODAY + age if age else None)


def test_password_that_django_sets_is_good_though_the_one_before_has_expired(
    http: APIClient, clock: Any
) -> None:
    client, secret = expiring(secret_expires_at=NOW + HOUR)
    clock.shift(2 * HOUR)
    set_password(client, "another")
    assert log_in(http, secret).status_code == 401
    assert log_in(http, "another").status_code == 200


def test_policy_leaves_the_secrets_that_there_are(
    http: APIClient, settings: Settings, clock: Any
) -> None:
    _, secret = expiring()
    settings.SECRET_MAX_AGE = SECOND
    clock.shift(DAY)
    assert log_in(http, secret).status_code == 200


# What ends


@pytest.mark.parametrize("kind", ["generated", "chosen"])
def test_secret_and_its_tokens_end_at_its_time(http: APIClient, clock: Any, kind: str) -> None:
    chosen = {"secret": "chosen"} if kind == "chosen" else {}
    _, secret = expiring(secret_expires_at=NOW + HOUR, **chosen)
    assert log_in(http, secret).json()["expires_in"] == LIFETIME
    clock.move_to(TODAY + HOUR - 10 * SECOND)
    answer = log_in(http, secret)
    assert answer.json()["expires_in"] == 10
    token = answer.json()["access_token"]
    clock.shift(timedelta(seconds=9.9))
    assert is_good(http, token)
    assert log_in(http, secret).json()["expires_in"] == 1
    clock.shift(timedelta(seconds=0.1))
    assert not is_good(http, token)
    refused = log_in(http, secret)
    assert_error(refused, 401, "invalid_client", "The client credentials are not valid.")
    other = create_client("other", scopes=["introspect"])[1]
    shown = http.post("/introspect", {"token": token}, format="json", headers=basic("other", other))
    assert shown.json() == {"active": False}


def test_login_that_takes_longer_than_its_secret_is_good_gets_a_token_that_has_ended(
    http: APIClient, clock: Any
) -> None:
    _, secret = expiring(secret_expires_at=NOW + HOUR)
    login = credentials.check("expiring", secret, address="192.0.2.1")
    clock.shift(2 * HOUR)
    token = tokens.issue(login, ())
    assert token.expires_in == 0
    assert not is_good(http, token.text)


def test_expired_secret_counts_as_a_wrong_one(
    http: APIClient, settings: Settings, clock: Any
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = (2, 60)
    _, secret = expiring(secret_expires_at=NOW + HOUR)
    clock.shift(HOUR)
    assert [log_in(http, secret).status_code for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize(
    ("own", "grace", "end"),
    [
        pytest.param(2 * HOUR, HOUR, HOUR, id="grace is shorter"),
        pytest.param(HOUR, 2 * HOUR, HOUR, id="own time is shorter"),
        pytest.param(None, HOUR, HOUR, id="no time"),
    ],
)
def test_rotated_secret_ends_with_its_grace_or_at_its_own_time(
    http: APIClient, clock: Any, own: timedelta | None, grace: timedelta, end: timedelta
) -> None:
    clock.move_to(TODAY)
    client, old = expiring(secret_expires_at=own and NOW + own)
    new = rotate_secret(client, grace=grace, expires_at=NOW + DAY)
    assert clients.grace_end(client) == TODAY + end
    clock.move_to(TODAY + end - 10 * SECOND)
    answer = log_in(http, old)
    assert answer.json()["expires_in"] == 10
    clock.shift(10 * SECOND)
    assert not is_good(http, answer.json()["access_token"])
    assert log_in(http, old).status_code == 401
    assert log_in(http, new).json()["expires_in"] == LIFETIME


def test_expired_secret_has_no_grace(http: APIClient, clock: Any) -> None:
    client, old = expiring(secret_expires_at=NOW + HOUR)
    clock.shift(HOUR)
    new = rotate_secret(client, grace=HOUR)
    assert clients.grace_end(client) is None
    assert [log_in(http, secret).status_code for secret in (old, new)] == [401, 200]


def test_stored_anew_a_secret_keeps_its_time(http: APIClient, clock: Any) -> None:
    client, _ = expiring(secret_expires_at=NOW + HOUR)
    encoded = PBKDF2PasswordHasher().encode("chosen", "salt", 1000)
    Client.objects.update(password=encoded)
    clock.move_to(TODAY + HOUR - 10 * SECOND)
    before, after = get_token(http, "chosen"), get_token(http, "chosen")
    assert Client.objects.get().password != encoded
    assert expiry.of(client) == TODAY + HOUR
    clock.shift(10 * SECOND)
    assert not is_good(http, before)
    assert not is_good(http, after)
    assert log_in(http, "chosen").status_code == 401


def test_key_and_its_tokens_outlive_the_secret(http: APIClient, clock: Any) -> None:
    """And a token does not outlive its key, not even for those who verify it offline."""
    client, _ = expiring(secret_expires_at=NOW + HOUR)
    pair = KeyPair.generate()
    clock.move_to(TODAY)
    client_keys.add(client, public_keys.read(pair.public_pem), expires_at=NOW + 2 * HOUR)

    def log_in_by_key() -> Any:
        return http.post("/login", presented(pair.sign(claims_of("expiring"))), format="json")

    clock.shift(HOUR - SECOND)
    token = log_in_by_key().json()["access_token"]
    clock.shift(10 * SECOND)
    assert is_good(http, token)
    clock.move_to(TODAY + 2 * HOUR - 10 * SECOND)
    assert log_in_by_key().json()["expires_in"] == 10


def test_client_without_a_secret_has_no_time(settings: Settings) -> None:
    settings.SECRET_MAX_AGE = DAY
    client, _ = expiring(secret=NO_SECRET)
    assert expiry.of(client) is None


# Who says so


@pytest.mark.parametrize("max_age", [timedelta(), DAY], ids=["never", "policy"])
def test_registration_tells_the_time_in_seconds(
    http: APIClient, settings: Settings, max_age: timedelta
) -> None:
    settings.SECRET_MAX_AGE = max_age
    end = int((TODAY + max_age).timestamp()) if max_age else 0
    told = http.post("/register", {"client_name": "Billing"}, format="json").json()
    assert told["client_secret_expires_at"] == end


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ("90s", TODAY + timedelta(seconds=90)),
        ("90d", TODAY + 90 * DAY),
        ("2999-12-31", datetime(2999, 12, 31, tzinfo=UTC)),
        ("2999-12-31T12:30+02:00", datetime(2999, 12, 31, 10, 30, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize(
    "command", [["createclient", "expiring"], ["rotatesecret", "expiring", "--now"]], ids=str
)
def test_commands_take_a_duration_or_a_date(command: list[str], given: str, end: datetime) -> None:
    if command[0] == "rotatesecret":
        expiring()
    out = StringIO()
    call_command(*command, "--expires", given, stdout=out)
    assert json.loads(out.getvalue())["secret_expires_at"] == f"{end:%Y-%m-%dT%H:%M:%SZ}"
    assert expiry.of(Client.objects.get()) == end


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("2026-01-01", "The secret would have expired already."),
        ("soon", "'soon' is not a time such as 90d or 2030-12-31"),
        ("0d", "is not a time"),
        ("9999999d", "is not a time"),
        ("2026-99-99", "is not a time such as 90d or 2030-12-31"),
        ("9999-12-31T23:30-02:00", "is not a time"),
    ],
)
def test_commands_refuse_what_is_no_time_to_come(given: str, complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        call_command("createclient", "another", "--expires", given, stdout=StringIO())
    client, _ = expiring()
    with pytest.raises(CommandError, match=complaint):
        call_command("rotatesecret", "expiring", "--now", "--expires", given, stdout=StringIO())
    assert Client.objects.get().password == client.password


def test_nothing_to_expire_is_told() -> None:
    with pytest.raises(CommandError, match="nothing that could expire"):
        call_command("createclient", "another", "--no-secret", "--expires", "90d")
    assert not Client.objects.exists()


def test_createclient_lets_keys_expire(tmp_path: Path) -> None:
    file = tmp_path / "public.pem"
    file.write_text(KeyPair.generate().public_pem)
    arguments = ("createclient", "expiring", "--key", str(file), "--expires", "90d")
    call_command(*arguments, stdout=StringIO())
    assert ClientKey.objects.get().expires_at == NOW + 90 * DAY
    assert not ClientProfile.objects.exists()


# The admin


@pytest.fixture
def admin(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


TOMORROW = (TODAY + DAY).replace(hour=0, minute=0, second=0)
ADD = "/admin/api/client/add/"


def rotation_of(client: Client, expires: str) -> tuple[str, dict[str, str]]:
    data = {"grace": "24", "version": clients.secret_version(client), "expires": expires}
    return f"/admin/api/client/{client.pk}/rotate/", data


@pytest.mark.parametrize("way", ["add", "rotate"])
def test_admin_lets_a_secret_expire_and_shows_when(admin: Browser, way: str) -> None:
    shown, date = f"{TOMORROW:%Y-%m-%d %H:%M} UTC", f"{TOMORROW:%Y-%m-%d}"
    url, data = ADD, {"secret_expires": date}
    if way == "rotate":
        url, data = rotation_of(expiring()[0], date)
    page = admin.post(url, data).content.decode()
    assert f"<dt>Expires</dt>\n<dd>{shown}</dd>" in page
    client = Client.objects.get()
    assert expiry.of(client) == TOMORROW
    change = f"/admin/api/client/{client.pk}/change/"
    assert f'<td data-label="Expires">{shown}</td>' in admin.get(change).content.decode()
    ClientProfile.objects.update(secret_expires_at=NOW)
    expired = f'<td data-label="Expires">expired {NOW:%Y-%m-%d %H:%M} UTC</td>'
    assert expired in admin.get(change).content.decode()


@pytest.mark.parametrize(
    ("expires", "complaint"),
    [
        (f"{TODAY:%Y-%m-%d}", "The secret would have expired already."),
        ("soon", "Enter a valid date/time."),
        ("9999-99-99", "Enter a valid date/time."),
    ],
)
def test_admin_refuses_what_is_no_time_to_come(
    admin: Browser, expires: str, complaint: str
) -> None:
    assert complaint in admin.post(ADD, {"secret_expires": expires}).content.decode()
    assert not Client.objects.exists()
    client, _ = expiring()
    url, data = rotation_of(client, expires)
    assert complaint in admin.post(url, data).content.decode()
    assert Client.objects.get().password == client.password


def test_form_of_a_client_changes_no_time(admin: Browser) -> None:
    client, _ = expiring(secret_expires_at=NOW + HOUR)
    sent = {"first_name": "Another", "is_active": "on", "secret_expires": "2999-01-01"}
    assert admin.post(f"/admin/api/client/{client.pk}/change/", sent).status_code == 302
    assert Client.objects.get().first_name == "Another"
    assert expiry.of(client) == TODAY + HOUR


def test_old_secret_that_ends_before_its_grace_is_told_so(admin: Browser) -> None:
    client, _ = expiring(secret_expires_at=NOW + HOUR)
    url, data = rotation_of(client, "")
    end = f"{TODAY + HOUR:%Y-%m-%d %H:%M} UTC"
    assert f"The old secret is good until {end}." in admin.post(url, data).content.decode()


def test_list_is_filtered_by_what_expires(admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {"long-past": -9, "past": -1, "week": 6, "month": 29, "later": 31}
    for name, days in ends.items():
        client, _ = create_client(f"secret-{name}")
        end = NOW + days * DAY
        ClientProfile.objects.create(client=client, secret_expires_at=end)
        another, _ = create_client(f"key-{name}", secret=NO_SECRET)
        ClientKey.objects.create(client=another, kid="", jwk={}, expires_at=end)
    create_client("never")

    def listed(query: str) -> list[str]:
        found = admin.get(f"/admin/api/client/?expires={query}").context["cl"].result_list
        return [client.username for client in found]

    assert listed("week") == ["key-week", "secret-week"]
    assert listed("month") == ["key-month", "secret-month", "key-week", "secret-week"]
    assert listed("past") == ["key-past", "secret-past", "key-long-past", "secret-long-past"]
    monkeypatch.setattr(client_search, "MAX_FOUND", 1)
    assert listed("month") == ["key-week", "secret-week"]
    assert listed("past") == ["key-past", "secret-past"]
