"""A token for one API (RFC 8707): who gets it, what it says, where it is good, and what ends it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import jwt
import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings
from rest_framework.test import APIClient

from api import identifiers, resources, tokens
from api.claims import LIFETIME
from api.credentials import create_client
from api.models import Client, Resource, ResourceGrant
from api.tests.support.responses import (
    INVALID_SCOPE,
    OTHER_AUDIENCE,
    assert_error,
    assert_refused_token,
    basic,
    bearer,
)

ORDERS, STOCK, MCP = "https://orders.example.com/v1", "https://stock.example.com", "urn:example:mcp"
OWN = "http://localhost:8000"
FORM = "application/x-www-form-urlencoded"
NOT_GRANTED = "The client is not granted the requested resource."
INACTIVE = {"active": False}
Login = Callable[..., Any]


@pytest.fixture
def apis(client_row: Client) -> dict[str, dict[str, str]]:
    """Two APIs, of which the client is granted one, and another client both.

    Return the credentials of their servers.
    """
    servers = {}
    for name, identifier, scopes in (("orders", ORDERS, ["read", "audit"]), ("stock", STOCK, [])):
        _, secret = create_client(name)
        servers[identifier] = {"client_id": name, "client_secret": secret}
        resources.create_resource(identifier, scopes=scopes, server=name)
    another, _ = create_client("another")
    resources.set_grants(another, list(Resource.objects.all()))
    resources.set_grants(client_row, [resources.find(ORDERS)])
    return servers


@pytest.fixture
def log_in(http: APIClient, credentials: dict[str, str]) -> Login:
    def post(**parameters: Any) -> Any:
        return http.post("/login", credentials | parameters, format="json")

    return post


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.json()
    return str(response.json()["access_token"])


def claims_of(response: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(text_of(response), options={"verify_signature": False})
    return claims


def introspect(http: APIClient, caller: dict[str, str], token: str) -> Any:
    response = http.post("/introspect", caller | {"token": token}, format="json")
    assert response.status_code == 200
    return response.json()


# Which resource a token is for


@pytest.mark.usefixtures("apis")
def test_token_for_an_api_differs_in_audience_and_scope_alone(log_in: Login) -> None:
    own, of_api = log_in(), log_in(resource=ORDERS)
    differing = {"iat", "exp", "jti", "secret_fp"}
    ours, theirs = (
        {name: value for name, value in claims_of(one).items() if name not in differing}
        for one in (own, of_api)
    )
    assert ours == {
        "iss": OWN,
        "aud": OWN,
        "sub": "reporting",
        "client_id": "reporting",
        "scope": "read write",
    }
    assert theirs == ours | {"aud": ORDERS, "scope": "read"}
    assert of_api.json() == {
        "access_token": of_api.json()["access_token"],
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "scope": "read",
    }


@pytest.mark.usefixtures("apis")
@pytest.mark.parametrize("sent", [OWN, f"{OWN}/", "", None, [], [OWN], [None, ""]], ids=str)
def test_naming_this_service_or_nothing_gives_an_ordinary_token(
    http: APIClient, log_in: Login, sent: Any
) -> None:
    response = log_in(resource=sent)
    assert claims_of(response)["aud"] == OWN
    assert claims_of(response)["scope"] == "read write"
    assert http.get("/private", headers=bearer(text_of(response))).status_code == 200


@pytest.mark.parametrize("audience", ["https://example.com/auth", "authdemo"])
@pytest.mark.parametrize("named_by", ["audience", "address"])
def test_this_service_is_named_by_its_audience_and_by_its_address(
    settings: Settings, log_in: Login, audience: str, named_by: str
) -> None:
    settings.JWT_AUDIENCE = audience
    response = log_in(resource=audience if named_by == "audience" else OWN)
    assert claims_of(response)["aud"] == audience


@pytest.mark.parametrize("registered", [STOCK, f"{STOCK}/"])
@pytest.mark.parametrize("sent", [STOCK, f"{STOCK}/"])
def test_one_slash_after_a_bare_origin_makes_no_difference(
    log_in: Login, client_row: Client, registered: str, sent: str
) -> None:
    resource = resources.create_resource(registered)
    resources.set_grants(client_row, [resource])
    assert claims_of(log_in(resource=sent))["aud"] == registered


@pytest.mark.usefixtures("apis")
def test_client_gets_its_default_api_unless_it_names_another(
    log_in: Login, client_row: Client
) -> None:
    orders, stock = resources.find(ORDERS), resources.find(STOCK)
    resources.set_grants(client_row, [orders, stock], default=stock)
    assert claims_of(log_in())["aud"] == STOCK
    assert claims_of(log_in(resource=""))["aud"] == STOCK
    assert claims_of(log_in(resource=ORDERS))["aud"] == ORDERS
    assert claims_of(log_in(resource=OWN))["aud"] == OWN


@pytest.mark.usefixtures("apis")
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(STOCK, id="of-another-client"),
        pytest.param("https://nobody.example.com", id="unknown"),
        pytest.param(f"{ORDERS}#top", id="fragment"),
        pytest.param(f"{ORDERS}#", id="empty-fragment"),
        pytest.param("/v1", id="relative"),
        pytest.param("orders.example.com/v1", id="no-scheme"),
        pytest.param("//orders.example.com/v1", id="scheme-relative"),
        pytest.param("https://foo:bar@orders.example.com/v1", id="userinfo"),
        pytest.param("https://@orders.example.com/v1", id="empty-userinfo"),
        pytest.param("https://ORDERS.example.com/v1", id="upper-case-host"),
        pytest.param("HTTPS://orders.example.com/v1", id="upper-case-scheme"),
        pytest.param("https://orders.example.com:443/v1", id="default-port"),
        pytest.param("http://orders.example.com/v1", id="other-scheme"),
        pytest.param("https://xn--rders-jua.example.com/v1", id="punycode"),
        pytest.param("https://\u043erders.example.com/v1", id="cyrillic"),
        pytest.param(f"{ORDERS}/", id="slash-after-a-path"),
        pytest.param("https://orders.example.com/v1/.", id="dot-segment"),
        pytest.param("https://orders.example.com/%761", id="percent-encoded"),
        pytest.param(f"{ORDERS}?", id="empty-query"),
        pytest.param(f" {ORDERS}", id="space"),
        pytest.param(f"{ORDERS}\n", id="newline"),
        pytest.param(f"{ORDERS}\0", id="nul"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param(f"https://{4096 * 'a'}.example.com", id="4-KiB"),
        pytest.param("https://[", id="broken-host"),
        pytest.param("%", id="percent"),
        pytest.param(5, id="number"),
        pytest.param(True, id="boolean"),
        pytest.param({"uri": ORDERS}, id="object"),
        pytest.param([[ORDERS]], id="nested"),
    ],
)
def test_what_is_not_granted_unknown_and_malformed_get_one_answer(
    http: APIClient, credentials: dict[str, str], sent: Any
) -> None:
    body = json.dumps(credentials | {"resource": sent})
    response = http.generic("POST", "/login", body, content_type="application/json")
    assert_error(response, 400, "invalid_target", NOT_GRANTED)


@pytest.mark.usefixtures("apis")
@pytest.mark.parametrize(
    "values", [[ORDERS, STOCK], [ORDERS, ORDERS], [OWN, ORDERS], ["x", "\0"], [ORDERS] * 99]
)
@pytest.mark.parametrize("kind", ["form", "json"])
def test_several_resources_are_refused_with_a_sentence_that_says_so(
    http: APIClient, credentials: dict[str, str], values: list[str], kind: str
) -> None:
    if kind == "json":
        response = http.post("/login", credentials | {"resource": values}, format="json")
    else:
        body = [("grant_type", "client_credentials"), *(("resource", one) for one in values)]
        headers = basic(**credentials)
        response = http.post("/login", urlencode(body), content_type=FORM, headers=headers)
    description = "A token is for one resource; request only one."
    assert_error(response, 400, "invalid_target", description)


@pytest.mark.usefixtures("apis")
def test_resource_in_a_form_counts_if_it_is_not_empty(
    http: APIClient, credentials: dict[str, str]
) -> None:
    body = f"grant_type=client_credentials&resource=&resource={quote(ORDERS)}&resource="
    headers = basic(**credentials)
    response = http.post("/login", body, content_type=FORM, headers=headers)
    assert claims_of(response)["aud"] == ORDERS


@pytest.mark.parametrize("repeated", ["scope=a&scope=a", "resource=a&resource=b&x=1&x=2"])
def test_no_other_parameter_may_repeat(
    http: APIClient, credentials: dict[str, str], repeated: str
) -> None:
    body = f"grant_type=client_credentials&{repeated}"
    headers = basic(**credentials)
    response = http.post("/login", body, content_type=FORM, headers=headers)
    assert_error(response, 400, "invalid_request", "A parameter is repeated; send each one once.")


@pytest.mark.usefixtures("apis")
@pytest.mark.parametrize("sent", [STOCK, "x", [ORDERS, STOCK]], ids=str)
def test_resources_are_told_to_nobody_without_the_secret(log_in: Login, sent: Any) -> None:
    assert log_in(client_secret="x", resource=sent).json()["error"] == "invalid_client"


# Its scopes


@pytest.mark.usefixtures("apis")
@pytest.mark.parametrize(
    ("resource", "asked"),
    [
        pytest.param(ORDERS, "write", id="of-the-client-only"),
        pytest.param(ORDERS, "audit", id="of-the-API-only"),
        pytest.param(ORDERS, "read write", id="one-of-both"),
    ],
)
def test_scope_that_client_and_api_do_not_share_is_refused(
    log_in: Login, resource: str, asked: str
) -> None:
    response = log_in(resource=resource, scope=asked)
    assert_error(response, 400, "invalid_scope", INVALID_SCOPE)
    assert claims_of(log_in(resource=resource, scope="read"))["scope"] == "read"


@pytest.mark.usefixtures("apis")
def test_api_without_scopes_understands_all(log_in: Login, client_row: Client) -> None:
    resources.set_grants(client_row, [resources.find(STOCK)])
    assert claims_of(log_in(resource=STOCK))["scope"] == "read write"


# Where it is good


@pytest.mark.usefixtures("apis")
def test_this_service_refuses_a_token_for_an_api(
    http: APIClient, log_in: Login, client_row: Client, settings: Settings
) -> None:
    client_row.groups.add(Group.objects.get(name="register"))
    settings.REGISTRATION = "closed"
    resources.set_grants(client_row, [resources.find(STOCK)])
    response = log_in(resource=STOCK)
    assert "register" in claims_of(response)["scope"]
    headers = bearer(text_of(response))
    assert_refused_token(http.get("/private", headers=headers), OTHER_AUDIENCE)
    assert_refused_token(http.post("/register", {}, format="json", headers=headers), OTHER_AUDIENCE)
    http.cookies["access_token"] = text_of(response)
    assert_refused_token(http.get("/private"), OTHER_AUDIENCE)
    tokens.revoke_all(Client.objects.all())
    assert_refused_token(http.get("/private", headers=headers))


def test_token_for_an_api_is_told_to_its_owner_its_server_and_the_scope_introspect(
    http: APIClient, log_in: Login, credentials: dict[str, str], apis: dict[str, dict[str, str]]
) -> None:
    gateway, secret = create_client("gateway", scopes=["introspect"])
    of_all = {"client_id": gateway.username, "client_secret": secret}
    token = text_of(log_in(resource=ORDERS))
    claims = claims_of(log_in(resource=ORDERS))
    told = introspect(http, credentials, token)
    assert (told["active"], told["aud"], told["scope"]) == (True, ORDERS, "read")
    assert told.keys() == {"active", "token_type"} | claims.keys() - {"secret_fp"}
    assert introspect(http, apis[ORDERS], token) == told
    assert introspect(http, of_all, token) == told
    assert introspect(http, apis[STOCK], token) == INACTIVE


def test_server_of_an_api_is_told_nothing_of_tokens_for_this_service(
    http: APIClient, log_in: Login, apis: dict[str, dict[str, str]]
) -> None:
    assert introspect(http, apis[ORDERS], text_of(log_in())) == INACTIVE


def test_token_for_an_api_is_revoked_by_its_owner_alone(
    http: APIClient, log_in: Login, credentials: dict[str, str], apis: dict[str, dict[str, str]]
) -> None:
    token = text_of(log_in(resource=ORDERS))
    for caller, status, active in ((apis[ORDERS], 400, True), (credentials, 200, False)):
        response = http.post("/revoke", caller | {"token": token}, format="json")
        assert response.status_code == status
        assert introspect(http, apis[ORDERS], token)["active"] == active


# What ends it


def take_the_grant(client: Client) -> None:
    resources.set_grants(client, [])


def delete_the_grants_of_all(client: Client) -> None:
    ResourceGrant.objects.all().delete()


def delete_the_api(client: Client) -> None:
    Resource.objects.get(identifier=ORDERS).delete()


def rename_the_api(client: Client) -> None:
    Resource.objects.filter(identifier=ORDERS).update(identifier=f"{ORDERS}/other")


def take_a_scope_from_the_api(client: Client) -> None:
    resources.find(ORDERS).scopes.remove(Group.objects.get(name="read"))


def take_the_api_from_a_scope(client: Client) -> None:
    Group.objects.get(name="read").resources.clear()


def take_a_scope_from_the_client(client: Client) -> None:
    client.groups.remove(Group.objects.get(name="read"))


def deactivate(client: Client) -> None:
    client.is_active = False
    client.save()


@pytest.mark.parametrize(
    "end",
    [
        take_the_grant,
        delete_the_grants_of_all,
        delete_the_api,
        rename_the_api,
        take_a_scope_from_the_api,
        take_the_api_from_a_scope,
        take_a_scope_from_the_client,
        deactivate,
    ],
)
def test_token_for_an_api_ends_at_the_next_introspection(
    http: APIClient,
    log_in: Login,
    client_row: Client,
    apis: dict[str, dict[str, str]],
    end: Callable[[Client], None],
) -> None:
    token = text_of(log_in(resource=ORDERS))
    assert introspect(http, apis[ORDERS], token)["active"] is True
    end(client_row)
    assert introspect(http, apis[ORDERS], token) == INACTIVE


def test_first_scope_of_an_api_ends_the_tokens_with_all(
    http: APIClient, log_in: Login, client_row: Client, apis: dict[str, dict[str, str]]
) -> None:
    stock, write = resources.find(STOCK), Group.objects.get(name="write")
    resources.set_grants(client_row, [stock])
    token = text_of(log_in(resource=STOCK))
    stock.scopes.add(write)
    assert introspect(http, apis[STOCK], token) == INACTIVE
    token = text_of(log_in(resource=STOCK))
    stock.scopes.add(Group.objects.get(name="read"))  # a second one takes nothing away
    assert introspect(http, apis[STOCK], token)["scope"] == "write"


def test_grant_that_is_given_again_revives_no_token(
    http: APIClient, log_in: Login, client_row: Client, apis: dict[str, dict[str, str]]
) -> None:
    orders = resources.find(ORDERS)
    own, token = text_of(log_in()), text_of(log_in(resource=ORDERS))
    resources.set_grants(client_row, [orders], default=orders)  # this keeps the grant
    assert introspect(http, apis[ORDERS], token)["active"] is True
    take_the_grant(client_row)
    resources.set_grants(client_row, [orders])
    assert introspect(http, apis[ORDERS], token) == INACTIVE
    assert http.get("/private", headers=bearer(own)).status_code == 200


@pytest.mark.usefixtures("apis")
def test_client_whose_default_api_is_deleted_gets_ordinary_tokens(
    log_in: Login, client_row: Client
) -> None:
    orders = resources.find(ORDERS)
    resources.set_grants(client_row, [orders], default=orders)
    orders.delete()
    assert claims_of(log_in())["aud"] == OWN


# What it costs


@pytest.mark.parametrize(
    ("path", "resource", "queries"),
    [
        pytest.param("/login", None, 1, id="login"),
        pytest.param("/login", OWN, 1, id="login-for-this-service"),
        pytest.param("/login", "malformed", 1, id="login-for-nothing"),
        pytest.param("/login", ORDERS, 2, id="login-for-an-API"),
        pytest.param("/introspect", ORDERS, 2, id="introspection"),
    ],
)
def test_naming_an_api_costs_one_query(
    http: APIClient,
    log_in: Login,
    apis: dict[str, dict[str, str]],
    path: str,
    resource: str | None,
    queries: int,
) -> None:
    token = text_of(log_in(resource=ORDERS))  # also marks the client as used
    introspect(http, apis[ORDERS], token)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        if path == "/login":
            log_in(resource=resource)
        else:
            introspect(http, apis[ORDERS], token)
    assert len(captured) == queries


# How an API is named


@pytest.mark.django_db
@pytest.mark.parametrize(
    "identifier", [ORDERS, STOCK, f"{STOCK}/", MCP, "https://[::1]:8443/a?b=c"]
)
def test_absolute_uri_names_an_api(identifier: str) -> None:
    assert resources.create_resource(identifier).identifier == identifier


@pytest.mark.django_db
@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "orders",
        "/orders",
        "//orders.example.com",
        f"{ORDERS}#",
        f"{ORDERS} ",
        f"{ORDERS}\n",
        f"{ORDERS}\0",
        f'{ORDERS}"',
        "https://örders.example.com",
        "https://Orders.example.com",
        "HTTPS://orders.example.com",
        "https://me@orders.example.com",
        "https://",
        "https:///orders",
        "https:orders",
        "https://[::1",
        "https://orders.example.com:port",
        f"https://example.com/{identifiers.MAX_LENGTH * 'a'}",
        OWN,
        f"{OWN}/",
    ],
)
def test_what_cannot_name_an_api_is_refused(identifier: str) -> None:
    with pytest.raises(ValidationError):
        resources.create_resource(identifier)
    assert not Resource.objects.exists()


@pytest.mark.usefixtures("apis")
@pytest.mark.parametrize("identifier", ["", "orders", f"{ORDERS}\0", "\udcff", f"{ORDERS}/"])
def test_identifier_of_no_api_finds_none(identifier: str) -> None:
    with pytest.raises(ValidationError, match="There is no API"):
        resources.find(identifier)


@pytest.mark.usefixtures("apis")
@pytest.mark.parametrize("identifier", [ORDERS, STOCK, f"{STOCK}/"])
def test_api_has_one_identifier_in_either_spelling(identifier: str) -> None:
    with pytest.raises(ValidationError):
        resources.create_resource(identifier)


# In a browser


@pytest.mark.usefixtures("apis")
def test_browser_is_shown_a_token_for_an_api_and_keeps_none(
    credentials: dict[str, str],
) -> None:
    http = APIClient(headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin"})
    body = urlencode(credentials | {"grant_type": "client_credentials", "resource": ORDERS})
    response = http.post("/login?next=/private", body, content_type=FORM)
    page = response.content.decode()
    assert response.status_code == 200
    assert f"It is for <code>{ORDERS}</code>" in page
    assert "signed in" not in page
    assert not response.cookies.get("access_token")
