"""Clients and keys for people: what staff see, may do, and leave behind."""

import json
import logging
import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import time_machine
from django.apps import apps
from django.conf import settings
from django.contrib.admin import site as admin_site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from api import client_keys, client_records, clients, keys, public_keys, resources
from api.admin import ClientAdmin, client_list, forms
from api.credentials import create_client
from api.hashers import GENERATED
from api.models import Client, ClientKey, ClientProfile, RetiredSecret, SigningKey
from api.tests.support.assertions import KeyPair, claims_of, presented
from api.tests.support.responses import is_good

LIST = "/admin/api/client/"
ADD = f"{LIST}add/"
KEYS = "/admin/api/signingkey/"
HISTORY = "Rotated the secret; the old one is no longer good."


def page_of(client: Client, page: str = "change") -> str:
    return f"{LIST}{client.pk}/{page}/"


def sign_in(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("boss")


@pytest.fixture
def admin(superuser: User) -> Browser:
    return sign_in(superuser)


@pytest.fixture
def operator(db: None) -> Callable[..., Browser]:
    """Return a function that signs in staff with no more than the permissions it names."""

    def make(*codenames: str) -> Browser:
        user = User.objects.create_user("operator", is_staff=True)
        permissions = Permission.objects.filter(codename__in=codenames)
        assert permissions.count() == len(codenames)
        user.user_permissions.set(permissions)
        return sign_in(user)

    return make


@pytest.fixture
def audit_log(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines of the audit log, as they come."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("api.audit")
    logger.addHandler(handler)
    caplog.set_level(logging.INFO, "api.audit")
    yield lines
    logger.removeHandler(handler)


def shown_secret(response: Any) -> str:
    """Return the secret on the page that shows one."""
    assert response.status_code == 200
    match = re.search(r'<code id="client-secret">([^<]*)</code>', response.content.decode())
    assert match, response.content.decode()
    assert GENERATED.fullmatch(match[1])
    return match[1]


def logs_in(http: APIClient, client_id: str, secret: str) -> bool:
    credentials = {"client_id": client_id, "client_secret": secret}
    response = http.post("/login", credentials, format="json")
    assert response.status_code in {200, 401}
    return bool(response.status_code == 200)


def rotate(browser: Browser, client: Client, hours: int) -> Any:
    page = browser.get(page_of(client, "rotate"))
    version = page.context["form"]["version"].value()
    return browser.post(page_of(client, "rotate"), {"grace": hours, "version": version})


def listed(browser: Browser, query: str = "") -> list[str]:
    response = browser.get(LIST + query)
    assert response.status_code == 200, response.headers
    return [client.username for client in response.context["cl"].result_list]


# The list


def test_list_tells_of_clients_in_their_own_words(
    admin: Browser, client_row: Client, operator: Callable[..., Browser]
) -> None:
    operator()
    page = admin.get(LIST).content.decode()
    table = page[page.index('<table id="result_list"') :]
    table = table[: table.index("</table>")]
    assert [text.strip() for text in re.findall(r">([^<>]+)<", table) if text.strip()] == [
        "Client id",
        "Name",
        "Active",
        "Scopes",
        "Last used",
        "Created",
        "reporting",
        "Reporting",
        "read write",
        "never",
        f"{client_row.date_joined:%Y-%m-%d %H:%M} UTC",
    ]


def test_no_page_of_a_client_has_its_hash_or_a_password(admin: Browser, client_row: Client) -> None:
    for page in ("change", "history", "delete", "rotate", "revoke"):
        text = admin.get(page_of(client_row, page)).content.decode()
        assert client_row.password not in text
        assert client_row.password.split("$")[1][:6] not in text
        assert 'type="password"' not in text


def test_list_takes_as_many_queries_for_many_clients_as_for_few(admin: Browser) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as context:
            admin.get(LIST)
        return len(context)

    create_client(scopes=["read"])
    few = queries()
    for _ in range(20):
        create_client(scopes=["read", "write"])
    assert queries() == few


def test_list_ends_at_its_bound_and_says_so(
    admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_list, "MAX_LISTED", 3)
    for number in range(5):
        create_client(f"client-{number}")
    page = admin.get(LIST).content.decode()
    assert "The first 3 clients; search or filter to find others." in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("job-1", ["job-1", "job-10"], id="id"),
        pytest.param("JOB-1", [], id="an id has one case"),
        pytest.param("Night", ["job-1"], id="name"),
        pytest.param("nIGHT j", ["job-1"], id="name in any case"),
        pytest.param("ob-1", [], id="not within an id"),
        pytest.param("job", ["job-1", "job-10", "umlaut"], id="word within a name"),
        pytest.param("NI jo", ["job-1"], id="beginnings of words"),
        pytest.param("job night", ["job-1"], id="words in any order"),
        pytest.param("shift", ["umlaut"], id="word beside a hyphen"),
        pytest.param("night shift", [], id="all of the words"),
        pytest.param("ight", [], id="not within a word"),
        pytest.param("d", [], id="word by one letter"),
        pytest.param("42", ["umlaut"], id="number"),
        pytest.param("äther", ["umlaut"], id="any case beyond ASCII"),
        pytest.param("ather", [], id="no other letter"),
        pytest.param("night) OR NOT (job", [], id="no operator"),
        pytest.param("night | shift", [], id="no operator of PostgreSQL"),
        pytest.param('"', [], id="no words"),
        pytest.param("x" * 3000, [], id="long word"),
        pytest.param("night " * 500, [], id="many words"),
        pytest.param("%", [], id="no wildcard"),
        pytest.param("j_b", [], id="no single wildcard"),
        pytest.param("Ä", ["umlaut"], id="beyond ASCII"),
        pytest.param("  job-10 ", ["job-10"], id="pasted with spaces"),
    ],
)
def test_search_finds_the_beginning_of_an_id_or_of_words_in_a_name(
    admin: Browser, query: str, found: list[str]
) -> None:
    for client_id, name in (
        ("job-1", "Night job"),
        ("job-10", ""),
        ("umlaut", "Äther job_42 of day-shift"),
    ):
        create_client(client_id, name=name)
    response = admin.get(LIST, {"q": query})
    assert sorted(client.username for client in response.context["cl"].result_list) == found


def test_filters(admin: Browser) -> None:
    now = timezone.now()
    for client_id, days in (("today", 0.5), ("this-month", 20), ("long-ago", 40), ("never", None)):
        client, _ = create_client(client_id, scopes=["read", client_id])
        client.last_login = None if days is None else now - timedelta(days=days)
        client.is_active = client_id != "never"
        client.save()
    assert listed(admin) == ["never", "long-ago", "this-month", "today"]
    assert listed(admin, "?last_used=day") == ["today"]
    assert listed(admin, "?last_used=month") == ["today", "this-month"]
    assert listed(admin, "?last_used=before") == ["long-ago"]
    assert listed(admin, "?last_used=never") == ["never"]
    assert listed(admin, "?is_active__exact=0") == ["never"]
    assert listed(admin, "?is_active__exact=1") == ["long-ago", "this-month", "today"]
    assert listed(admin, "?scope=today") == ["today"]
    assert listed(admin, "?scope=read&last_used=day") == ["today"]
    assert listed(admin, "?scope=nobody") == listed(admin, "?scope=%00") == []
    assert listed(admin, "?q=t&last_used=month") == ["today", "this-month"]


# Adding a client, and its secret


def test_added_client_has_a_secret_that_its_page_alone_shows(
    admin: Browser, superuser: User, http: APIClient, audit_log: list[str]
) -> None:
    read = Group.objects.create(name="read")
    response = admin.post(ADD, {"first_name": "Billing", "groups": [read.pk]})
    secret = shown_secret(response)
    client = Client.objects.get()
    assert "no-store" in response["Cache-Control"]
    assert re.fullmatch(r"[0-9a-f-]{36}", client.username)
    assert (client.first_name, client.is_active) == ("Billing", True)
    assert list(client.groups.all()) == [read]
    assert "It is not shown again" in response.content.decode()
    assert logs_in(http, client.username, secret)
    assert audit_log[0] == (
        f'client_created client="{client.username}" staff="boss" address="127.0.0.1"'
    )
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (superuser, client.username)
    assert str(entry) == f"Added “{client.username}”."


def test_form_that_is_sent_again_adds_no_second_client(
    admin: Browser, http: APIClient, audit_log: list[str]
) -> None:
    new_id = re.search(r'name="new_id" value="([^"]+)"', admin.get(ADD).content.decode())
    assert new_id
    form = {"first_name": "Billing", "new_id": new_id[1]}
    secret = shown_secret(admin.post(ADD, form))
    again = admin.post(ADD, form, follow=True)
    client = Client.objects.get()
    assert client.username == new_id[1]
    assert again.redirect_chain == [(page_of(client), 302)]
    assert [str(message) for message in again.context["messages"]] == [
        "This client is already added, and its secret was shown. If it is lost, rotate it."
    ]
    assert len(audit_log) == LogEntry.objects.count() == 1
    assert logs_in(http, client.username, secret)


def test_client_that_cannot_be_added_is_not_called_added(
    admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = timezone.now() - timedelta(seconds=1)  # which was ahead when the form was checked
    monkeypatch.setattr(forms.SecretExpiryField, "clean", lambda *_: past)
    refused = admin.post(ADD, {"first_name": "Billing", "new_id": uuid.uuid4()}, follow=True)
    assert refused.redirect_chain == [(ADD, 302)]
    assert [str(message) for message in refused.context["messages"]] == [
        "The secret would have expired already."
    ]
    assert not Client.objects.exists()


def test_id_of_a_client_to_add_is_a_random_one(admin: Browser) -> None:
    refused = admin.post(ADD, {"new_id": "reporting"})
    assert "Enter a valid UUID." in refused.content.decode()


def test_shown_curl_command_is_ready_to_run(admin: Browser, http: APIClient) -> None:
    client, _ = create_client("it's/$(x)")  # an id with everything that a shell understands
    page = rotate(admin, client, 0).content.decode()
    match = re.search(r'<code id="curl">([^<]*)</code>', page)
    assert match
    command = shlex.split(unescape(match[1]))
    assert command[0] == "curl"
    assert command[-1] == f"{settings.PUBLIC_URL}/login"
    body = command[command.index("--data") + 1]
    assert http.post("/login", json.loads(body), format="json").status_code == 200


def test_scopes_are_the_groups_whose_names_can_be_scopes(
    admin: Browser, client_row: Client
) -> None:
    people = Group.objects.create(name="Night shift")
    client_row.groups.add(people)
    page = admin.get(page_of(client_row))
    field = page.context["adminform"].form.fields["groups"]
    assert [group.name for group in field.queryset] == ["introspect", "read", "register", "write"]
    boxes = re.findall(r'<input type="checkbox" name="groups"[^>]*>', page.content.decode())
    assert len(boxes) == 4
    write = Group.objects.get(name="write")
    admin.post(page_of(client_row), {"first_name": "R", "is_active": "on", "groups": [write.pk]})
    assert set(client_row.groups.all()) == {write, people}
    response = admin.post(page_of(client_row), {"is_active": "on", "groups": [people.pk]})
    assert "groups" in response.context["adminform"].form.errors


# Rotating a secret


@pytest.mark.parametrize("hours", [0, 1, 24, 168])
def test_rotated_secret_works_and_the_old_one_until_its_grace_ends(
    admin: Browser,
    http: APIClient,
    client_row: Client,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    audit_log: list[str],
    hours: int,
) -> None:
    token = get_token()
    audit_log.clear()
    response = rotate(admin, client_row, hours)
    secret = shown_secret(response)
    assert "no-store" in response["Cache-Control"]
    assert audit_log == ['secret_rotated client="reporting" staff="boss" address="127.0.0.1"']
    entry = LogEntry.objects.get()
    assert entry.user.username == "boss"
    assert entry.change_message.startswith("Rotated the secret; the old one is ")
    assert ("good until" in entry.change_message) == bool(hours)
    assert logs_in(http, "reporting", secret)
    assert logs_in(http, "reporting", credentials["client_secret"]) == bool(hours)
    assert is_good(http, token) == bool(hours)
    client_row.refresh_from_db()
    end = clients.grace_end(client_row)
    if hours:
        assert end
        assert abs(end - timezone.now() - timedelta(hours=hours)) < timedelta(minutes=1)
    else:
        assert end is None


@pytest.mark.parametrize("grace", ["", "2", "-1", "now", None])
def test_rotation_with_a_grace_that_is_not_on_offer_does_nothing(
    admin: Browser, client_row: Client, grace: str | None
) -> None:
    version = clients.secret_version(client_row)
    data = {"version": version} if grace is None else {"version": version, "grace": grace}
    response = admin.post(page_of(client_row, "rotate"), data)
    assert response.status_code == 200
    assert response.context["form"].errors.keys() == {"grace"}
    assert Client.objects.get().password == client_row.password


def test_rotation_page_that_is_sent_twice_rotates_once(
    admin: Browser, http: APIClient, client_row: Client, credentials: dict[str, str]
) -> None:
    data = {"grace": "24", "version": clients.secret_version(client_row)}
    secret = shown_secret(admin.post(page_of(client_row, "rotate"), data))
    response = admin.post(page_of(client_row, "rotate"), data, follow=True)
    assert response.redirect_chain == [(page_of(client_row, "rotate"), 302)]
    assert [str(message) for message in response.context["messages"]] == [
        "The secret of reporting has just been changed. It was not rotated again."
    ]
    assert logs_in(http, "reporting", secret)
    assert logs_in(http, "reporting", credentials["client_secret"])
    assert LogEntry.objects.count() == 1


def test_rotation_page_tells_which_secret_it_will_end(admin: Browser, client_row: Client) -> None:
    warning = "If you rotate, it ends at once"
    assert warning not in admin.get(page_of(client_row, "rotate")).content.decode()
    assert "Previous secret" not in admin.get(page_of(client_row)).content.decode()
    clients.rotate_secret(client_row, grace=timedelta(hours=1))
    assert warning in admin.get(page_of(client_row, "rotate")).content.decode()
    assert "Previous secret" in admin.get(page_of(client_row)).content.decode()


def test_saving_a_client_never_brings_back_a_secret_that_was_just_rotated(
    admin: Browser, client_row: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_object = ClientAdmin.get_object

    def get_object_then_rotate(*args: Any, **kwargs: Any) -> Any:
        loaded = get_object(*args, **kwargs)
        clients.rotate_secret(Client.objects.get())
        return loaded

    monkeypatch.setattr(ClientAdmin, "get_object", get_object_then_rotate)
    admin.post(page_of(client_row), {"first_name": "Renamed", "is_active": "on"})
    saved = Client.objects.get()
    assert saved.first_name == "Renamed"
    assert saved.password != client_row.password


# Other acts


@pytest.mark.parametrize("groups", [["write"], []], ids=["one", "all"])
def test_taking_a_scope_away_ends_the_tokens_that_have_it(
    admin: Browser,
    http: APIClient,
    client_row: Client,
    get_token: Callable[[], str],
    groups: list[str],
) -> None:
    token = get_token()
    kept = [group.pk for group in client_row.groups.all()]
    form = {"first_name": "Another name", "is_active": "on"}
    assert admin.post(page_of(client_row), {**form, "groups": kept}).status_code == 302
    assert is_good(http, token)
    kept = [group.pk for group in client_row.groups.filter(name__in=groups)]
    assert admin.post(page_of(client_row), {**form, "groups": kept}).status_code == 302
    assert not is_good(http, token)


def test_switching_a_client_off_on_its_page_ends_its_tokens_for_good(
    admin: Browser, http: APIClient, client_row: Client, get_token: Callable[[], str]
) -> None:
    token = get_token()
    secret = clients.rotate_secret(client_row, grace=timedelta(days=1))
    groups = [group.pk for group in client_row.groups.all()]
    for active in ({}, {"is_active": "on"}):
        form = {"first_name": "Reporting", "groups": groups, **active}
        assert admin.post(page_of(client_row), form).status_code == 302
        assert not is_good(http, token)
    assert logs_in(http, "reporting", secret)
    assert not RetiredSecret.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        LIST + "?password__startswith=argon2",
        LIST + "?email__startswith=a",
        "/admin/api/signingkey/?private_jwk__startswith=g",
    ],
)
def test_no_list_is_filtered_by_what_it_does_not_show(admin: Browser, path: str) -> None:
    assert admin.get(path).status_code == 400


def test_revoking_all_tokens_ends_them_and_leaves_the_secret(
    admin: Browser,
    http: APIClient,
    client_row: Client,
    get_token: Callable[[], str],
    audit_log: list[str],
) -> None:
    token = get_token()
    audit_log.clear()
    assert admin.get(page_of(client_row, "revoke")).status_code == 200
    assert is_good(http, token)
    admin.post(page_of(client_row, "revoke"))
    assert not is_good(http, token)
    assert audit_log == ['tokens_revoked client="reporting" staff="boss" address="127.0.0.1"']
    assert LogEntry.objects.get().change_message == "Revoked all tokens."
    assert is_good(http, get_token())


def test_bulk_actions_switch_clients_off_and_on(
    admin: Browser,
    http: APIClient,
    client_row: Client,
    get_token: Callable[[], str],
    audit_log: list[str],
) -> None:
    other, _ = create_client("other")
    Client.objects.filter(pk=other.pk).update(is_active=False)
    token = get_token()
    secret = clients.rotate_secret(client_row, grace=timedelta(days=1))
    audit_log.clear()
    both = {"_selected_action": [client_row.pk, other.pk]}
    response = admin.post(LIST, {"action": "deactivate", "post": "yes", **both}, follow=True)
    assert "Deactivated 1 of 2 selected clients." in response.content.decode()
    assert not is_good(http, token)
    assert audit_log == ['client_deactivated client="reporting" staff="boss" address="127.0.0.1"']
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(client_row.pk), "Deactivated.")
    admin.post(LIST, {"action": "activate", **both})
    assert Client.objects.filter(is_active=True).count() == 2
    assert not is_good(http, token)  # what was ended does not come back
    assert not RetiredSecret.objects.exists()
    assert logs_in(http, "reporting", secret)
    assert LogEntry.objects.filter(change_message="Activated.").count() == 2


def test_tokens_of_the_selected_clients_are_revoked(
    admin: Browser,
    http: APIClient,
    client_row: Client,
    get_token: Callable[[], str],
    audit_log: list[str],
) -> None:
    token = get_token()
    audit_log.clear()
    selected = {"action": "revoke", "_selected_action": [client_row.pk], "post": "yes"}
    response = admin.post(LIST, selected, follow=True)
    assert "Revoked all tokens of 1 client." in response.content.decode()
    assert not is_good(http, token)
    assert audit_log == ['tokens_revoked client="reporting" staff="boss" address="127.0.0.1"']
    assert LogEntry.objects.get().change_message == "Revoked all tokens."
    assert is_good(http, get_token())


@pytest.mark.parametrize("key", ["", "x", "\0", "²", "9" * 30])
def test_bulk_action_on_what_is_no_client_is_refused(
    admin: Browser, client_row: Client, key: str
) -> None:
    selected = {"action": "deactivate", "_selected_action": [client_row.pk, key], "post": "yes"}
    assert admin.post(LIST, selected).status_code == 400
    client_row.refresh_from_db()
    assert client_row.is_active


@pytest.mark.parametrize("action", ["deactivate", "revoke", "delete_selected"])
def test_bulk_action_that_ends_something_names_the_clients_and_asks(
    admin: Browser, http: APIClient, client_row: Client, get_token: Callable[[], str], action: str
) -> None:
    token = get_token()
    other, _ = create_client("other")
    selected = {"action": action, "_selected_action": [client_row.pk, other.pk], "index": "0"}
    page = admin.post(LIST, selected).content.decode()
    assert re.findall(r"<li>(reporting|other)\b", page) == ["other", "reporting"]
    assert "all their tokens end at once" in page.lower() or "All its tokens end at once" in page
    assert f'name="action" value="{action}"' in page
    assert page.count('type="hidden" name="_selected_action"') == 2
    assert is_good(http, token)


def test_page_of_a_deletion_says_what_ends(admin: Browser, client_row: Client) -> None:
    client_keys.add(client_row, public_keys.read(KeyPair.generate().public_pem), name="laptop")
    resources.create_resource("https://orders.example.com", server="reporting")
    page = unescape(admin.get(page_of(client_row, "delete")).content.decode())
    assert re.findall(r"<li>(.*?)</li>", page[page.index("for ever?") :]) == [
        "It was never used. All its tokens end at once.",
        "Its credentials end: Secret, laptop.",
        "It is the server of https://orders.example.com, which can't introspect tokens any more.",
    ]


def test_changes_and_deletions_are_on_record(
    admin: Browser, client_row: Client, audit_log: list[str]
) -> None:
    admin.post(page_of(client_row), {"first_name": "Renamed"})
    admin.post(page_of(client_row, "delete"), {"post": "yes"})
    other, _ = create_client("other")
    selected = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
    admin.post(LIST, selected)
    assert audit_log == [
        'client_deactivated client="reporting" staff="boss" address="127.0.0.1"',
        'client_changed client="reporting" staff="boss" address="127.0.0.1"',
        'client_deleted client="reporting" staff="boss" address="127.0.0.1"',
        'client_deleted client="other" staff="boss" address="127.0.0.1"',
    ]
    assert [str(entry) for entry in LogEntry.objects.order_by("pk")] == [
        "Changed “reporting” — Changed Name, Active and Scopes.",
        "Deleted “reporting.”",
        "Deleted “other.”",
    ]


def test_history_writes_times_as_all_pages_do(admin: Browser, client_row: Client) -> None:
    admin.post(page_of(client_row), {"first_name": "Renamed"})
    page = admin.get(page_of(client_row, "history")).content.decode()
    assert f">{LogEntry.objects.get().action_time:%Y-%m-%d %H:%M} UTC<" in page


# Who may


@pytest.mark.parametrize(
    ("page", "needs", "link"),
    [
        ("rotate", "rotate_secret", "/rotate/"),
        ("revoke", "revoke_tokens", "/revoke/"),
    ],
)
def test_act_needs_its_permission(
    operator: Callable[..., Browser],
    client_row: Client,
    get_token: Callable[[], str],
    http: APIClient,
    page: str,
    needs: str,
    link: str,
) -> None:
    token = get_token()
    others = {"view_client", "change_client", "add_client", "delete_client"}
    others |= {"rotate_secret", "revoke_tokens"} - {needs}
    browser = operator(*others)
    data = {"grace": "0", "version": clients.secret_version(client_row)}
    assert link not in browser.get(page_of(client_row)).content.decode()
    assert browser.get(page_of(client_row, page)).status_code == 403
    assert browser.post(page_of(client_row, page), data).status_code == 403
    assert is_good(http, token)
    user = User.objects.get(username="operator")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_client", needs]))
    assert link in browser.get(page_of(client_row)).content.decode()
    assert browser.get(page_of(client_row, page)).status_code == 200
    assert browser.post(page_of(client_row, page), data).status_code in {200, 302}
    assert not is_good(http, token)


def test_permission_to_rotate_shows_no_client_to_whom_may_see_none(
    operator: Callable[..., Browser], client_row: Client
) -> None:
    browser = operator("rotate_secret", "revoke_tokens")
    for page in ("rotate", "revoke"):
        assert browser.get(page_of(client_row, page)).status_code == 403


def test_viewing_is_not_changing(operator: Callable[..., Browser], client_row: Client) -> None:
    browser = operator("view_client")
    page = browser.get(LIST).content.decode()
    assert "Add client" not in page
    assert "deactivate" not in page
    assert browser.get(ADD).status_code == 403
    assert browser.post(ADD, {"first_name": "x"}).status_code == 403
    assert browser.get(page_of(client_row, "delete")).status_code == 403
    assert browser.post(page_of(client_row), {"first_name": "x"}).status_code == 403
    for action in ("deactivate", "revoke", "delete_selected"):
        data = {"action": action, "_selected_action": [client_row.pk], "post": "yes"}
        browser.post(LIST, data)
    client = Client.objects.get()
    assert (client.is_active, client.first_name) == (True, "Reporting")


@pytest.mark.parametrize("page", ["", "add/", "change", "delete", "history", "rotate", "revoke"])
def test_nobody_but_staff_sees_a_page(client_row: Client, page: str) -> None:
    url = LIST + page if page in {"", "add/"} else page_of(client_row, page)
    for browser in (Browser(), sign_in(client_row)):
        response = browser.get(url)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={url}")


def test_operator_of_clients_has_no_hold_on_staff(
    operator: Callable[..., Browser], superuser: User
) -> None:
    browser = operator(
        "view_client",
        "add_client",
        "change_client",
        "delete_client",
        "rotate_secret",
        "revoke_tokens",
    )
    User.objects.create_user("colleague", is_staff=True)
    for person in User.objects.all():
        before = User.objects.filter(pk=person.pk).values().get()
        data = {"grace": "0", "version": "x", "post": "yes", "first_name": "x"}
        for page in ("rotate", "revoke"):
            assert browser.post(f"{LIST}{person.pk}/{page}/", data).status_code == 404
        for page in ("change", "delete"):
            assert browser.post(f"{LIST}{person.pk}/{page}/", data)["Location"] == "/admin/"
        for action in ("deactivate", "revoke", "delete_selected"):
            selected = {"action": action, "_selected_action": [person.pk], "post": "yes"}
            browser.post(LIST, selected)
        assert User.objects.filter(pk=person.pk).values().get() == before
        assert browser.get(f"/admin/auth/user/{person.pk}/change/").status_code == 403
    assert listed(browser) == []


def test_no_client_takes_the_name_of_staff(superuser: User) -> None:
    with pytest.raises(ValidationError, match="taken"):
        create_client("boss")


@pytest.mark.parametrize("path", ["999999/rotate/", "x/rotate/", "999999/revoke/", "1_2F/rotate/"])
def test_act_on_no_client_is_not_found(admin: Browser, path: str) -> None:
    assert admin.post(LIST + path).status_code == 404


@pytest.mark.parametrize("number", ["9" * 30, f"-{'9' * 30}", "9" * 5000], ids=len)
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("api/client/add/", "groups"),
        ("api/client/add/", "apis"),
        ("api/client/add/", "default_api"),
        ("api/resource/add/", "scopes"),
        ("auth/group/add/", "permissions"),
    ],
)
def test_choice_that_no_database_can_hold_is_an_error_of_the_form(
    admin: Browser, path: str, field: str, number: str
) -> None:
    response = admin.post(f"/admin/{path}", {field: number})
    assert response.status_code == 200
    assert "valid" in str(response.context["adminform"].errors[field])


def test_object_that_no_database_can_hold_is_not_found(admin: Browser) -> None:
    for kind in ContentType.objects.values_list("pk", flat=True):
        assert admin.get(f"/admin/r/{kind}/{'9' * 30}/").status_code == 404
    for model in filter(admin_site.is_registered, apps.get_models()):
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/{'9' * 30}/"
        assert admin.get(path, follow=True).redirect_chain[-1][0] == "/admin/"


@pytest.mark.parametrize("key", ["x", "9" * 30])
@pytest.mark.parametrize("path", ["auth/user/", "auth/group/", "api/resource/"])
def test_deletion_of_what_is_nothing_is_refused(admin: Browser, path: str, key: str) -> None:
    selected = {"action": "delete_selected", "_selected_action": [key], "post": "yes"}
    assert admin.post(f"/admin/{path}", selected).status_code == 400


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        pytest.param("nothing/", 404, "There is nothing at this path.", id="unknown path"),
        pytest.param("api/client/999/rotate/", 404, "There is nothing at this path.", id="gone"),
        pytest.param("auth/user/", 403, "This is not allowed.", id="not allowed"),
    ],
)
def test_staff_stay_in_the_admin_when_something_is_refused(
    operator: Callable[..., Browser], path: str, status: int, sentence: str
) -> None:
    browser = operator("view_client", "rotate_secret")
    response = browser.get(f"/admin/{path}")
    page = response.content.decode()
    assert response.status_code == status
    assert f"<h1>{sentence}</h1>" in page
    assert 'id="nav-sidebar"' in page
    assert '<a href="/admin/">Back to the first page</a>' in page


# Signing keys


def states(browser: Browser) -> dict[str, str]:
    rows = browser.get(KEYS).context["cl"].result_list
    return {row.kid: row.state for row in rows}


def test_keys_are_listed_with_their_state_and_without_their_private_part(admin: Browser) -> None:
    first = SigningKey.objects.get()
    assert states(admin) == {first.kid: "signing"}
    second = keys.rotate()
    assert states(admin) == {first.kid: "signing", second.kid: "published"}
    SigningKey.objects.filter(pk=second.kid).update(signs_from=timezone.now())
    assert states(admin) == {first.kid: "verifying", second.kid: "signing"}
    third = keys.rotate(immediately=True)
    assert states(admin) == {first.kid: "expired", second.kid: "expired", third.kid: "signing"}
    for page in (KEYS, f"{KEYS}{third.kid}/change/"):
        text = unescape(admin.get(page).content.decode())
        assert third.kid in text
        assert third.private_jwk not in text
        assert "private" not in text


def test_keys_are_not_made_changed_or_deleted_by_hand(admin: Browser) -> None:
    key = SigningKey.objects.get()
    data = {"action": "delete_selected", "_selected_action": [key.pk], "post": "yes"}
    assert admin.post(f"{KEYS}add/", {}).status_code == 403
    assert admin.post(f"{KEYS}{key.pk}/change/", {"algorithm": "HS256"}).status_code == 403
    assert admin.post(f"{KEYS}{key.pk}/delete/", {"post": "yes"}).status_code == 403
    admin.post(KEYS, data)
    assert SigningKey.objects.get().algorithm == key.algorithm


def test_planned_rotation_publishes_a_key_once(admin: Browser, audit_log: list[str]) -> None:
    assert "in 5 minutes and 20 seconds" in admin.get(f"{KEYS}rotate/").content.decode()
    assert SigningKey.objects.count() == 1
    admin.post(f"{KEYS}rotate/")
    published = SigningKey.objects.latest("created_at")
    assert published.signs_from > timezone.now()
    assert audit_log == [
        f'key_rotated kid="{published.kid}" algorithm="ES256" staff="boss" address="127.0.0.1"'
    ]
    assert LogEntry.objects.get().object_id == published.kid
    response = admin.post(f"{KEYS}rotate/", follow=True)
    assert "is published and signs from" in response.content.decode()
    assert SigningKey.objects.count() == 2


def test_rotation_of_a_leaked_key_ends_its_tokens(
    admin: Browser, http: APIClient, get_token: Callable[[], str]
) -> None:
    token = get_token()
    assert "All current tokens" in admin.get(f"{KEYS}rotate/now/").content.decode()
    assert is_good(http, token)
    admin.post(f"{KEYS}rotate/now/")
    assert not is_good(http, token)
    assert is_good(http, get_token())


def test_rotating_keys_needs_its_permission(operator: Callable[..., Browser]) -> None:
    browser = operator("view_signingkey", "change_signingkey", "add_signingkey")
    assert "Rotate" not in browser.get(KEYS).content.decode()
    for page in ("rotate/", "rotate/now/"):
        assert browser.get(KEYS + page).status_code == 403
        assert browser.post(KEYS + page).status_code == 403
    assert SigningKey.objects.count() == 1
    user = User.objects.get(username="operator")
    codenames = ["view_signingkey", "rotate_keys"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    assert "Rotate keys" in browser.get(KEYS).content.decode()
    assert browser.post(f"{KEYS}rotate/").status_code == 302
    assert SigningKey.objects.count() == 2


# Keys


def credentials_of(browser: Browser, client: Client) -> list[list[str]]:
    """Return the table of credentials on a client's page."""
    page = browser.get(page_of(client)).content.decode()
    table = page[page.index('<section class="module credentials"') : page.index("</section>")]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows[1:]]
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in row] for row in cells]


def test_client_page_has_all_credentials_in_one_table(admin: Browser, client_row: Client) -> None:
    now = timezone.now()
    today = f"{now:%Y-%m-%d %H:%M} UTC"
    with time_machine.travel(now, tick=False):
        clients.rotate_secret(client_row, grace=timedelta(minutes=10))
        given = public_keys.read(KeyPair.generate("RS256").public_pem)
        client_keys.add(client_row, given, name="laptop", expires_at=now + timedelta(minutes=20))
        given = public_keys.read(KeyPair.generate().public_pem)
        (key,) = client_keys.add(client_row, given)
        key.last_used_at = now
        key.save()
        ClientProfile.objects.update(secret_used_at=now)
        RetiredSecret.objects.update(last_used_at=now, last_used_from="192.0.2.1")
        later = [f"{now + timedelta(minutes=wait):%Y-%m-%d %H:%M} UTC" for wait in (10, 20)]
        assert credentials_of(admin, client_row) == [
            ["Secret", "secret", today, "never", today, "Rotate Secret Remove Secret"],
            [
                *("Previous secret", "secret", "", later[0], f"{today} from 192.0.2.1"),
                "Remove Previous secret",
            ],
            [key.kid, "key EC P-256", today, "never", today, f"Remove {key.kid}"],
            ["laptop", "key RSA", today, later[1], "never", "Remove laptop"],
        ]
    with time_machine.travel(now + timedelta(minutes=30)):
        rows = credentials_of(admin, client_row)
        assert [row[0] for row in rows] == ["Secret", key.kid, "laptop"]
        assert rows[2][3] == f"expired {later[1]}"


def test_key_is_added_and_removed(
    admin: Browser, client_row: Client, http: APIClient, audit_log: list[str]
) -> None:
    pair = KeyPair.generate()
    pasted = {"key": pair.public_pem, "name": "laptop", "expires": "2100-01-01"}
    response = admin.post(page_of(client_row, "add-key"), pasted)
    assert (response.status_code, response["Location"]) == (302, page_of(client_row))
    key = ClientKey.objects.get()
    assert (key.name, key.expires_at) == ("laptop", datetime(2100, 1, 1, tzinfo=UTC))
    body = presented(pair.sign(claims_of("reporting")))
    token = http.post("/login", body, format="json").json()["access_token"]
    page = page_of(client_row, f"remove/key:{key.pk}")
    assert "key laptop" in admin.get(page).content.decode()
    assert is_good(http, token)
    assert admin.post(page)["Location"] == page_of(client_row)
    assert not is_good(http, token)
    assert admin.post(page).status_code == 404
    kid, staff = f'kid="{pair.kid}"', 'staff="boss" address="127.0.0.1"'
    assert [line for line in audit_log if "key_" in line] == [
        f'key_added client="reporting" {kid} {staff}',
        f'key_removed client="reporting" credential="key:{key.pk}" {kid} {staff}',
    ]
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        f"Added key {pair.kid}.",
        "Removed key laptop.",
    ]


def test_private_key_is_refused_and_repeated_nowhere(
    admin: Browser, client_row: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pem = KeyPair.generate().private_pem
    response = admin.post(page_of(client_row, "add-key"), {"key": pem, "name": "laptop"})
    page = unescape(response.content.decode())
    assert response.status_code == 200
    assert "This is a private key, and it should not have left its machine." in page
    assert 'value="laptop"' in page
    assert pem.splitlines()[1] not in page + caplog.text
    assert not ClientKey.objects.exists()


def test_key_that_the_client_has_is_not_added_again(admin: Browser, client_row: Client) -> None:
    pasted = {"key": KeyPair.generate().public_pem}
    admin.post(page_of(client_row, "add-key"), pasted)
    response = admin.post(page_of(client_row, "add-key"), pasted)
    assert "The client has this key already." in response.content.decode()
    assert ClientKey.objects.count() == LogEntry.objects.count() == 1


def test_secrets_are_removed(
    admin: Browser, client_row: Client, credentials: dict[str, str], http: APIClient
) -> None:
    old, secret = (
        credentials["client_secret"],
        clients.rotate_secret(client_row, grace=timedelta(hours=1)),
    )
    assert logs_in(http, "reporting", old)
    admin.post(page_of(client_row, "remove/previous_secret"))
    assert not logs_in(http, "reporting", old)
    assert logs_in(http, "reporting", secret)
    admin.post(page_of(client_row, "remove/secret"))
    assert not logs_in(http, "reporting", secret)
    assert credentials_of(admin, client_row) == [
        ["The client has no credential, so it cannot log in."]
    ]
    assert "Add secret" in admin.get(page_of(client_row)).content.decode()
    assert logs_in(http, "reporting", shown_secret(rotate(admin, client_row, 24)))
    assert "Add secret" not in admin.get(page_of(client_row)).content.decode()
    assert [row[0] for row in credentials_of(admin, client_row)] == ["Secret"]


def test_secret_that_is_changed_meanwhile_is_not_removed(
    admin: Browser, http: APIClient, client_row: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = clients.remove_secret

    def remove_late(client: Client) -> None:
        clients.rotate_secret(Client.objects.get(pk=client.pk))
        genuine(client)

    monkeypatch.setattr(clients, "remove_secret", remove_late)
    response = admin.post(page_of(client_row, "remove/secret"), follow=True)
    assert response.redirect_chain == [(page_of(client_row, "remove/secret"), 302)]
    assert [str(message) for message in response.context["messages"]] == [
        "The secret of reporting has just been changed. It was not removed."
    ]
    assert LogEntry.objects.count() == 0


def test_credential_that_somebody_else_removes_meanwhile_is_not_found(
    admin: Browser, client_row: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = client_records.credentials(client_row)
    monkeypatch.setattr(client_records, "credentials", lambda _: listed)
    page = page_of(client_row, "remove/secret")
    assert [admin.post(page).status_code for _ in range(2)] == [302, 404]


def test_only_method_is_chosen_on_the_page(admin: Browser, client_row: Client) -> None:
    form = {"first_name": "R", "is_active": "on", "auth_method": "private_key_jwt"}
    admin.post(page_of(client_row), form)
    assert ClientProfile.objects.get().auth_method == "private_key_jwt"
    assert 'value="private_key_jwt" selected' in admin.get(page_of(client_row)).content.decode()
    admin.post(page_of(client_row), form | {"auth_method": ""})
    assert ClientProfile.objects.get().auth_method == ""
    response = admin.post(page_of(client_row), form | {"auth_method": "none"})
    assert response.context["adminform"].form.errors.keys() == {"auth_method"}


@pytest.mark.parametrize(
    ("codenames", "allowed"),
    [
        ([], set()),
        (["add_clientkey"], {"add-key"}),
        (["delete_clientkey"], {"remove/KEY"}),
        (["rotate_secret"], {"remove/secret", "remove/previous_secret"}),
    ],
    ids=str,
)
def test_each_button_needs_its_permission(
    operator: Callable[..., Browser], client_row: Client, codenames: list[str], allowed: set[str]
) -> None:
    clients.rotate_secret(client_row, grace=timedelta(hours=1))
    pair = KeyPair.generate()
    (key,) = client_keys.add(client_row, public_keys.read(pair.public_pem))
    browser = operator("view_client", *codenames)
    shown = browser.get(page_of(client_row)).content.decode()
    for name in ("add-key", "remove/KEY", "remove/secret", "remove/previous_secret"):
        page = page_of(client_row, name.replace("KEY", f"key:{key.pk}"))
        assert (page in shown) == (name in allowed)
        assert browser.get(page).status_code == (200 if name in allowed else 403)


@pytest.mark.parametrize("name", ["add-key", "remove/secret", "remove/unknown"])
def test_staff_have_no_credentials_on_a_clients_pages(
    admin: Browser, superuser: User, name: str
) -> None:
    assert admin.get(f"{LIST}{superuser.pk}/{name}/").status_code == 404


def test_no_name_of_a_credential_breaks_its_page(admin: Browser, client_row: Client) -> None:
    assert admin.get(page_of(client_row, "remove/%00")).status_code == 404
