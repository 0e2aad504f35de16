"""Scopes for people: what staff see of them, add, rename and delete."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client as Browser
from rest_framework.test import APIClient

from api import resources
from api.credentials import create_client
from api.models import Client, Scope
from api.tests.support.responses import is_good

SCOPES, CLIENTS, APIS = "/admin/api/scope/", "/admin/api/client/", "/admin/api/resource/"
ORDERS, STOCK = "https://orders.example.com", "urn:example:stock"


@pytest.fixture
def admin(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


def page_of(scope: str, page: str = "change") -> str:
    return f"{SCOPES}{Group.objects.get(name=scope).pk}/{page}/"


def read(browser: Browser, path: str) -> str:
    response = browser.get(path)
    assert response.status_code == 200
    return unescape(response.content.decode())


def cells(browser: Browser) -> list[list[str]]:
    """Return the list of scopes."""
    table = read(browser, SCOPES).partition('<table id="result_list">')[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<[^>]*>", "", cell).strip() for cell in row] for row in found]


def test_list_tells_who_has_a_scope_and_which_apis_understand_it(
    admin: Browser, client_row: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_client("other", scopes=["write"])
    resources.create_resource(ORDERS, scopes=["read"])
    Group.objects.create(name="Night shift")
    User.objects.get(username="boss").groups.add(Group.objects.get(name="read"))
    monkeypatch.setattr("api.admin.client_list.MAX_LISTED", 2)
    assert cells(admin) == [
        ["introspect", "0 clients", "those that understand all"],
        ["read", "1 client", ORDERS],
        ["register", "0 clients", "those that understand all"],
        ["write", "2 or more clients", "those that understand all"],
    ]
    assert f'<a href="{CLIENTS}?scope=read">1 client</a>' in read(admin, SCOPES)


def test_page_of_a_scope_names_some_clients_and_links_to_the_others(
    admin: Browser, client_row: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = f'<a href="{CLIENTS}{client_row.pk}/change/">reporting</a>'
    assert f'<div class="readonly">{link}</div>' in read(admin, page_of("write"))
    newer, _ = create_client("newer", scopes=["write"])
    monkeypatch.setattr("api.admin.client_list.MAX_NAMED", 1)
    link = f'<a href="{CLIENTS}{newer.pk}/change/">newer</a>'
    others = f'<a href="{CLIENTS}?scope=write">others</a>'
    assert f'<div class="readonly">{link} and {others}</div>' in read(admin, page_of("write"))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param("two words", "A scope has letters and digits of ASCII", id="space"),
        pytest.param('quo"te', "A scope has letters and digits of ASCII", id="quote"),
        pytest.param("back\\slash", "A scope has letters and digits of ASCII", id="backslash"),
        pytest.param("Äther", "A scope has letters and digits of ASCII", id="beyond ASCII"),
        pytest.param("", "This field is required.", id="none"),
        pytest.param("a\0b", "Null characters are not allowed.", id="NUL"),
        pytest.param("x" * 151, "Ensure this value has at most 150 characters", id="long"),
        pytest.param("introspect", "There is a scope with this name.", id="taken"),
    ],
)
def test_name_that_cannot_be_a_scope_is_refused_with_a_sentence(
    admin: Browser, name: str, complaint: str
) -> None:
    before = set(Group.objects.values_list("name", flat=True))
    page = admin.post(f"{SCOPES}add/", {"name": name}).content.decode()
    errors = page.partition('<ul class="errorlist"')[2].partition("</ul>")[0]
    assert complaint in errors
    assert set(Group.objects.values_list("name", flat=True)) == before


@pytest.mark.parametrize("form", [f"{CLIENTS}add/", f"{APIS}add/"])
def test_plus_beside_the_scopes_opens_a_popup_that_adds_one(admin: Browser, form: str) -> None:
    link = re.search(r'<a class="addlink [^>]* href="([^"]+)">Add scope</a>', read(admin, form))
    assert link
    assert link[1] == f"{SCOPES}add/?_popup=1"
    done = admin.post(link[1], {"name": "orders:read", "_popup": "1"}).content.decode()
    scope = Scope.objects.get(name="orders:read")
    data = re.search(r'data-popup-response="([^"]+)"', done)
    assert data
    assert unescape(data[1]) == f'{{"value": "{scope.pk}", "obj": "orders:read"}}'


def test_plus_is_for_staff_who_may_add_scopes(db: None) -> None:
    staff = User.objects.create_user("operator", is_staff=True)
    browser = Browser()
    browser.force_login(staff)

    def may_add(*codenames: str) -> tuple[bool, int]:
        permissions = Permission.objects.filter(codename__in=codenames)
        assert permissions.count() == len(codenames)
        staff.user_permissions.set(permissions)
        shown = "Add scope" in read(browser, f"{CLIENTS}add/")
        return shown, browser.get(f"{SCOPES}add/").status_code

    assert may_add("add_client", "add_group", "change_group") == (False, 403)
    assert may_add("add_client", "add_scope") == (True, 200)


def test_deletion_says_whom_it_hits_and_ends_their_tokens(
    admin: Browser, http: APIClient, client_row: Client, get_token: Callable[[], str]
) -> None:
    resources.create_resource(ORDERS, scopes=["read"])
    resources.create_resource(STOCK, scopes=["read", "write"])
    Group.objects.get(name="read").permissions.add(Permission.objects.latest("pk"))
    token = get_token()
    page = read(admin, page_of("read", "delete"))
    link = f'<a href="{CLIENTS}{client_row.pk}/change/">reporting</a>'
    assert re.findall(r"<li>(.*?)</li>", page[page.index("for ever?") :]) == [
        f"1 client with it: {link}. All of their tokens end at once.",
        f"{ORDERS} understands no other scope, so it will understand all.",
        f"{STOCK} no longer understands it.",
        "It is a group of staff too, who lose its permissions.",
    ]
    assert is_good(http, token)
    admin.post(page_of("read", "delete"), {"post": "yes"})
    assert not Group.objects.filter(name="read").exists()
    assert not is_good(http, token)


def test_renaming_says_whom_it_hits_and_ends_their_tokens(
    admin: Browser, http: APIClient, client_row: Client, get_token: Callable[[], str]
) -> None:
    token = get_token()
    assert "If you rename it, all tokens of its clients end" in read(admin, page_of("read"))
    admin.post(page_of("read"), {"name": "read"})
    assert is_good(http, token)
    admin.post(page_of("read"), {"name": "reading"})
    assert not is_good(http, token)


def test_changes_of_scopes_are_on_the_audit_log(
    admin: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "api.audit")
    admin.post(f"{SCOPES}add/", {"name": "orders"})
    admin.post(page_of("orders"), {"name": "sales"})
    admin.post(page_of("sales", "delete"), {"post": "yes"})
    staff: Any = 'staff="boss" address="127.0.0.1"'
    assert [record.getMessage() for record in caplog.records if record.name == "api.audit"] == [
        f'scope_added scope="orders" change="Added." {staff}',
        f'scope_changed scope="sales" change="Changed Name." {staff}',
        f'scope_deleted scope="sales" {staff}',
    ]


@pytest.mark.parametrize("lookup", ["user__password__startswith=a", "permissions__id__exact=1"])
def test_no_lookup_of_the_list_reveals_a_hash(admin: Browser, lookup: str) -> None:
    assert admin.get(f"{SCOPES}?{lookup}").status_code == 400


def test_scope_is_a_group_whose_name_can_be_one(db: None) -> None:
    for name in ("Night shift", "a\n", "\u00e9", "!", "[x]", "~", "orders:read"):
        Group.objects.create(name=name)
    names = set(Scope.objects.values_list("name", flat=True))
    assert names == {"introspect", "register", "!", "[x]", "~", "orders:read"}
