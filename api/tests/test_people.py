"""Staff and groups in the admin, and what they can do to clients by Django's own ways."""

import logging
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db.models.signals import pre_save
from django.test import Client as Browser
from rest_framework.test import APIClient

from api.clients import rotate_secret
from api.credentials import create_client
from api.models import Client, RetiredSecret, Scope
from api.tests.support.responses import is_good

PASSWORD = "a good password"
USERS, GROUPS = "/admin/auth/user/", "/admin/auth/group/"
Token = Callable[[], str]


@pytest.fixture
def admin(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss", password=PASSWORD))
    return browser


def group_of(client: Client) -> Group:
    return client.groups.get(name="read")


def off_and_on(client: Client) -> None:
    for active in (False, True):
        client.is_active = active
        client.save()


def off_and_on_by_field(client: Client) -> None:
    for active in (False, True):
        client.is_active = active
        client.save(update_fields=["is_active"])


def rename(group: Group) -> None:
    group.name = "reading"
    group.save()


def scope_of(client: Client) -> Scope:
    scope: Scope = Scope.objects.get(pk=group_of(client).pk)
    return scope


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: c.groups.remove(group_of(c)), id="remove"),
        pytest.param(lambda c: c.groups.clear(), id="clear"),
        pytest.param(lambda c: c.groups.set([]), id="set"),
        pytest.param(lambda c: group_of(c).user_set.remove(c), id="remove from the group"),
        pytest.param(lambda c: group_of(c).user_set.clear(), id="clear the group"),
        pytest.param(lambda c: group_of(c).delete(), id="delete the group"),
        pytest.param(lambda c: Group.objects.filter(name="read").delete(), id="delete by query"),
        pytest.param(lambda c: rename(group_of(c)), id="rename the group"),
        pytest.param(lambda c: scope_of(c).delete(), id="delete the scope"),
        pytest.param(lambda c: rename(scope_of(c)), id="rename the scope"),
        pytest.param(off_and_on, id="deactivate and activate"),
        pytest.param(off_and_on_by_field, id="deactivate and activate one field"),
    ],
)
def test_what_a_client_loses_ends_its_tokens(
    http: APIClient, client_row: Client, get_token: Token, change: Callable[[Client], object]
) -> None:
    token = get_token()
    change(User.objects.get(pk=client_row.pk))  # type: ignore[arg-type]
    assert not is_good(http, token)
    assert is_good(http, get_token())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: c.groups.add(Group.objects.create(name="more")), id="add a group"),
        pytest.param(lambda c: c.save(), id="save"),
        pytest.param(lambda c: group_of(c).save(), id="save the group"),
    ],
)
def test_what_a_client_keeps_or_gains_ends_no_token(
    http: APIClient, client_row: Client, get_token: Token, change: Callable[[Client], object]
) -> None:
    token = get_token()
    change(client_row)
    assert is_good(http, token)


@pytest.mark.parametrize("flag", ["is_staff", "is_superuser"])
def test_client_that_becomes_staff_loses_its_secrets_and_tokens(
    http: APIClient, client_row: Client, credentials: dict[str, str], get_token: Token, flag: str
) -> None:
    token = get_token()
    rotate_secret(client_row)
    user = User.objects.get(pk=client_row.pk)
    setattr(user, flag, True)
    user.save(update_fields=[flag])
    user.refresh_from_db()
    assert not user.has_usable_password()
    assert not RetiredSecret.objects.exists()
    assert not is_good(http, token)
    assert http.post("/login", credentials, format="json").status_code == 401
    form = {"username": user.username, "password": credentials["client_secret"]}
    assert Browser().post("/admin/login/", form).status_code == 200  # the form once more


def test_clients_are_not_among_the_users(admin: Browser, client_row: Client) -> None:
    page = admin.get(USERS).content.decode()
    assert "boss" in page
    assert client_row.username not in page
    assert admin.get(f"{USERS}{client_row.pk}/change/").status_code == 302
    assert admin.get(f"{USERS}{client_row.pk}/password/").status_code == 404


def test_somebody_added_under_users_is_staff_from_the_beginning(admin: Browser) -> None:
    form = {
        "username": "new",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "usable_password": "true",
    }
    assert admin.post(f"{USERS}add/", form).status_code == 302
    form = {"username": "new", "password": PASSWORD}
    assert Browser().post("/admin/login/", form).status_code == 302


@pytest.mark.parametrize(
    "lookup", ["first_name__regex=^(a+)+$", "password__startswith=argon2", "groups__name__regex=a"]
)
@pytest.mark.parametrize("page", [USERS, GROUPS])
def test_list_takes_no_lookup_that_it_does_not_offer(
    admin: Browser, page: str, lookup: str
) -> None:
    assert admin.get(f"{page}?{lookup}").status_code == 400


def test_users_can_be_filtered_by_what_the_list_offers(admin: Browser) -> None:
    group = Group.objects.create(name="operators")
    for query in ("is_active__exact=1", "is_superuser__exact=0", f"groups__id__exact={group.pk}"):
        assert admin.get(f"{USERS}?{query}").status_code == 200


def test_changes_of_users_and_groups_are_on_the_audit_log(
    admin: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    admin.post(f"{GROUPS}add/", {"name": "Night shift"})
    group = Group.objects.get(name="Night shift")
    admin.post(f"{GROUPS}{group.pk}/change/", {"name": "Day shift"})
    admin.post(f"{GROUPS}{group.pk}/delete/", {"post": "yes"})
    boss = User.objects.get()
    new = {"password1": "another password", "password2": "another password"}
    admin.post(f"{USERS}{boss.pk}/password/", new | {"usable_password": "true"})
    assert [record.getMessage() for record in caplog.records] == [
        'group_added group="Night shift" change="Added." staff="boss" address="127.0.0.1"',
        'group_changed group="Day shift" change="Changed Name." staff="boss" address="127.0.0.1"',
        'group_deleted group="Day shift" staff="boss" address="127.0.0.1"',
        'user_changed user="boss" change="Changed password." staff="boss" address="127.0.0.1"',
    ]


def test_groups_are_those_of_staff_and_scopes_are_elsewhere(admin: Browser) -> None:
    """A group whose name can be a scope is one of staff if it gives a permission."""
    permission = Permission.objects.get(codename="view_client")
    Group.objects.create(name="Night shift")
    refused = admin.post(f"{GROUPS}add/", {"name": "operators"})
    assert "Choose permissions for staff, or add a scope instead." in refused.content.decode()
    form = {"name": "operators", "permissions": [permission.pk]}
    assert admin.post(f"{GROUPS}add/", form).status_code == 302
    groups = admin.get(GROUPS).context["cl"].result_list
    assert [group.name for group in groups] == ["Night shift", "operators"]


def change_password(browser: Browser, old: str) -> int:
    form = {"old_password": old, "new_password1": "another password"}
    form["new_password2"] = form["new_password1"]
    return browser.post("/admin/password_change/", form).status_code


def test_own_password_change_is_under_the_guard(
    admin: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    for _ in range(10):
        assert change_password(admin, "wrong") == 200
    assert change_password(admin, PASSWORD) == 200  # too many failures
    assert User.objects.get().check_password(PASSWORD)
    messages = [record.getMessage().partition(" ")[0] for record in caplog.records]
    assert messages == ["password_change_failed"] * 10 + ["password_change_throttled"]


def test_own_password_change_is_on_the_audit_log(
    admin: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    assert change_password(admin, PASSWORD) == 302
    assert User.objects.get().check_password("another password")
    (record,) = caplog.records
    assert record.getMessage() == 'password_changed staff="boss" address="127.0.0.1"'


def test_staff_are_no_clients_and_clients_no_staff(
    http: APIClient, credentials: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    User.objects.create_superuser("boss", password=PASSWORD)
    User.objects.create_user("superuser", password=PASSWORD, is_superuser=True)
    client, secret = create_client("promoted")
    User.objects.filter(pk=client.pk).update(is_staff=True)  # which sends no signal
    caplog.set_level(logging.INFO, "api.audit")
    for username in ("boss", "superuser"):
        body = {"client_id": username, "client_secret": PASSWORD}
        assert http.post("/login", body, format="json").status_code == 401
    for username, password in (
        (credentials["client_id"], credentials["client_secret"]),
        ("superuser", PASSWORD),
        ("promoted", secret),
    ):
        form = {"username": username, "password": password}
        assert http.post("/admin/login/", form).status_code == 200  # the form once more
    assert [record.getMessage() for record in caplog.records] == [
        'login_failed client="boss" address="127.0.0.1" reason="staff, not a client"',
        'login_failed client="superuser" address="127.0.0.1" reason="staff, not a client"',
        'sign_in_failed client="reporting" address="127.0.0.1" reason="not staff"',
        'sign_in_failed client="superuser" address="127.0.0.1" reason="not staff"',
        'sign_in_failed client="promoted" address="127.0.0.1" reason="not staff"',
    ]


def test_long_user_name_is_refused_unread(
    http: APIClient, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    form = {"username": "x" * 151, "password": PASSWORD}
    assert http.post("/admin/login/", form).status_code == 200
    assert caplog.records == []


def test_token_issued_while_a_client_is_being_deactivated_does_not_come_back(
    http: APIClient, client_row: Client, get_token: Token
) -> None:
    meanwhile: list[str] = []

    def log_in(**_kwargs: object) -> None:
        meanwhile.append(get_token())

    pre_save.connect(log_in, sender=Client)  # after ours, before the row changes
    try:
        client_row.is_active = False
        client_row.save()
    finally:
        pre_save.disconnect(log_in, sender=Client)
    Client.objects.filter(pk=client_row.pk).update(is_active=True)
    assert [is_good(http, token) for token in meanwhile] == [False]
