"""APIs for people: what staff see of them, and whom they let call one."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client as Browser
from pytest_django import Settings

from api import resources
from api.credentials import create_client
from api.models import Client, Resource, ResourceGrant

APIS, CLIENTS = "/admin/api/resource/", "/admin/api/client/"
ORDERS, STOCK = "https://orders.example.com/v1", "urn:example:stock"


@pytest.fixture
def admin(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


@pytest.fixture
def orders(db: None) -> Resource:
    create_client("gateway")
    return resources.create_resource(ORDERS, name="Orders", scopes=["read"], server="gateway")


@pytest.fixture
def stock(db: None) -> Resource:
    return resources.create_resource(STOCK)


def post(browser: Browser, path: str, **fields: Any) -> Any:
    """Post a form and return the page it shows, or `None` after a redirect."""
    response = browser.post(path, fields)
    if response.status_code == 302:
        return None
    assert response.status_code == 200
    return unescape(response.content.decode())


def grants(client: Client) -> dict[str, bool]:
    rows = ResourceGrant.objects.filter(client=client)
    return dict(rows.values_list("resource__identifier", "is_default"))


def change(browser: Browser, client: Client, **fields: Any) -> Any:
    groups = [group.pk for group in client.groups.all()]
    kept = {"first_name": client.first_name, "is_active": "on", "groups": groups}
    return post(browser, f"{CLIENTS}{client.pk}/change/", **kept, **fields)


# A client's APIs


def test_client_is_granted_what_is_ticked_and_no_more(
    admin: Browser, client_row: Client, orders: Resource, stock: Resource
) -> None:
    assert change(admin, client_row, apis=[orders.pk, stock.pk], default_api=stock.pk) is None
    assert grants(client_row) == {ORDERS: False, STOCK: True}
    page = admin.get(f"{CLIENTS}{client_row.pk}/change/").content.decode()
    assert page.count("checked") == 5  # active, two scopes, two APIs
    kept = ResourceGrant.objects.get(resource=orders)
    assert change(admin, client_row, apis=[orders.pk]) is None
    assert grants(client_row) == {ORDERS: False}
    assert ResourceGrant.objects.get() == kept
    assert change(admin, client_row) is None
    assert grants(client_row) == {}


def test_new_client_gets_its_apis(admin: Browser, orders: Resource) -> None:
    page = post(admin, f"{CLIENTS}add/", apis=[orders.pk], default_api=orders.pk)
    assert "Copy the secret now." in page
    assert grants(Client.objects.latest("pk")) == {ORDERS: True}


def test_default_api_has_to_be_ticked(
    admin: Browser, client_row: Client, orders: Resource, stock: Resource
) -> None:
    resources.set_grants(client_row, [orders], default=orders)
    for fields in ({"apis": [stock.pk]}, {}):
        page = change(admin, client_row, default_api=orders.pk, **fields)
        assert "Tick this API too, or choose another default." in page
    assert grants(client_row) == {ORDERS: True}


def test_editing_the_name_of_a_client_touches_no_grant(
    admin: Browser, client_row: Client, orders: Resource
) -> None:
    resources.set_grants(client_row, [orders], default=orders)
    kept = ResourceGrant.objects.get()
    client_row.first_name = "Renamed"
    assert change(admin, client_row, apis=[orders.pk], default_api=orders.pk) is None
    assert ResourceGrant.objects.get() == kept


def test_staff_who_may_only_look_see_the_apis_of_a_client(
    client_row: Client, orders: Resource, stock: Resource
) -> None:
    resources.set_grants(client_row, [orders, stock], default=stock)
    looking = User.objects.create_user("looking", is_staff=True)
    looking.user_permissions.set(
        Permission.objects.filter(codename__in=["view_client", "view_resource"])
    )
    browser = Browser()
    browser.force_login(looking)
    page = browser.get(f"{CLIENTS}{client_row.pk}/change/").content.decode()
    assert f"{ORDERS}, {STOCK}" in page
    page = browser.get(f"{APIS}{orders.pk}/change/").content.decode()
    assert "gateway" in page
    assert '<input type="text"' not in page
    assert browser.get(f"{APIS}{orders.pk}/connect/").status_code == 200
    assert browser.post(f"{APIS}add/").status_code == 403


def test_clients_are_filtered_by_api(admin: Browser, client_row: Client, orders: Resource) -> None:
    resources.set_grants(client_row, [orders])
    for query, found in ((f"?api={orders.pk}", ["reporting"]), ("?api=x", []), ("?api=0", [])):
        response = admin.get(CLIENTS + query)
        assert [client.username for client in response.context["cl"].result_list] == found


# An API


def test_api_is_added_and_changed(admin: Browser) -> None:
    create_client("gateway")
    read = Group.objects.create(name="read")
    fields = {"identifier": ORDERS, "name": "Orders", "scopes": [read.pk]}
    assert post(admin, f"{APIS}add/", **fields, server_client="gateway") is None
    made = Resource.objects.get()
    assert (made.identifier, made.name, made.server and made.server.username) == (
        ORDERS,
        "Orders",
        "gateway",
    )
    assert list(made.scopes.all()) == [read]
    assert post(admin, f"{APIS}{made.pk}/change/", identifier=ORDERS, name="") is None
    made.refresh_from_db()
    assert (made.name, made.server, made.scopes.count()) == ("", None, 0)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"identifier": "orders"}, "Enter an absolute URI without a fragment"),
        ({"identifier": f"{ORDERS}#"}, "Enter an absolute URI without a fragment"),
        ({"identifier": STOCK}, "There is an API with this identifier."),
        ({"identifier": "http://localhost:8000"}, "the identifier of this service itself"),
        ({"identifier": ORDERS, "server_client": "boss"}, "There is no client with this id."),
        ({"identifier": ORDERS, "server_client": "\0"}, "Null characters are not allowed."),
    ],
)
@pytest.mark.usefixtures("stock")
def test_api_that_cannot_be_is_refused_with_a_sentence(
    admin: Browser, fields: dict[str, str], complaint: str
) -> None:
    assert complaint in post(admin, f"{APIS}add/", **fields)
    assert Resource.objects.count() == 1


def test_api_names_its_clients(
    admin: Browser, client_row: Client, orders: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        page = admin.get(f"{APIS}{orders.pk}/change/").content.decode()
        found = re.search(r'<div class="readonly">(.*?)</div>', page, re.DOTALL)
        assert found
        return found[1]

    assert shown() == "none"
    resources.set_grants(client_row, [orders])
    link = f'<a href="{CLIENTS}{client_row.pk}/change/">reporting</a>'
    assert shown() == link
    another, _ = create_client("the-second")
    resources.set_grants(another, [orders])
    monkeypatch.setattr("api.admin.client_list.MAX_NAMED", 1)
    link = f'<a href="{CLIENTS}{another.pk}/change/">the-second</a>'
    assert shown() == f'{link} and <a href="{CLIENTS}?api={orders.pk}">others</a>'


def test_changes_of_apis_are_on_the_audit_log(
    admin: Browser, orders: Resource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "api.audit")
    post(admin, f"{APIS}{orders.pk}/change/", identifier=ORDERS, name="Sales")
    post(admin, f"{APIS}{orders.pk}/delete/", post="yes")
    lines = [record.getMessage() for record in caplog.records if record.name == "api.audit"]
    assert [line.split()[0] for line in lines] == ["resource_changed", "resource_deleted"]
    assert all('staff="boss"' in line and f'resource="{ORDERS}"' in line for line in lines)


def test_no_lookup_of_the_list_reveals_a_hash(admin: Browser, orders: Resource) -> None:
    response = admin.get(f"{APIS}?server__password__startswith=a")
    assert response.status_code in {302, 400}


# How to connect it


def snippets(browser: Browser, resource: Resource) -> dict[str, str]:
    page = browser.get(f"{APIS}{resource.pk}/connect/").content.decode()
    return {
        name: unescape(text)
        for name, text in re.findall(r'<code id="([^"]+)">(.*?)</code>', page, re.DOTALL)
    }


def test_page_that_connects_an_api_has_the_values_and_the_code(
    admin: Browser, orders: Resource
) -> None:
    shown = snippets(admin, orders)
    values = {name: shown.pop(name) for name in ("issuer", "audience", "jwks", "algorithm")}
    assert values == {
        "issuer": "http://localhost:8000",
        "audience": ORDERS,
        "jwks": "http://localhost:8000/.well-known/jwks.json",
        "algorithm": "ES256",
    }
    assert list(shown) == ["pyjwt", "drf", "rabbitmq", "fastmcp", "nginx"]
    for name, code in shown.items():
        assert ORDERS in code, name
    for name in ("pyjwt", "drf", "fastmcp"):
        compile(shown[name], name, "exec")


def test_mcp_is_offered_to_web_addresses_alone(admin: Browser, stock: Resource) -> None:
    assert "fastmcp" not in snippets(admin, stock)


def test_hmac_has_no_public_keys_so_only_introspection_is_offered(
    admin: Browser, orders: Resource, settings: Settings
) -> None:
    settings.JWT_ALGORITHM = "HS256"
    assert snippets(admin, orders).keys() - {"issuer", "audience", "jwks", "algorithm"} == {"nginx"}


@pytest.mark.parametrize("name", ['"); import os #', "Łódź", "\\", "</code><script>"])
def test_no_name_breaks_out_of_the_code(admin: Browser, name: str) -> None:
    resource = resources.create_resource(ORDERS, name=name)
    code = compile(snippets(admin, resource)["fastmcp"], "fastmcp", "exec")
    assert name in code.co_consts


def test_form_of_no_api_yet_links_to_no_page_of_it(admin: Browser) -> None:
    page = admin.post("/admin/api/resource/add/", {"_saveasnew": "1"})
    assert page.status_code == 200
    assert "connect/" not in page.content.decode()
