"""A claim is one line of `tokens.CLAIMS`: everything that shows claims follows it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from api import tokens
from api.openapi.operations import document
from api.tests.support.responses import bearer

MEANING = "What the client pays for."


@pytest.fixture
def add_claim(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that adds the claim `plan`."""
    plan = tokens.Claim(lambda grant: f"gold for {grant.login.client_id}", MEANING)
    return lambda: monkeypatch.setitem(tokens.CLAIMS, "plan", plan)


def test_new_claim_is_one_line_and_refuses_no_token_that_is_out(
    http: APIClient,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    add_claim: Callable[[], None],
) -> None:
    old = get_token()
    add_claim()
    new = get_token()
    schemas = document.__wrapped__()["components"]["schemas"]

    def show(token: str) -> list[dict[str, Any]]:
        """Return what /private and /introspect say, both as the document has it."""
        private = http.get("/private", headers=bearer(token))
        told = http.post("/introspect", credentials | {"token": token}, format="json")
        assert (private.status_code, told.status_code) == (200, 200)
        Draft202012Validator(schemas["Private"]).validate(private.json())
        Draft202012Validator(schemas["Introspection"]).validate(told.json())
        return [private.json(), told.json()]

    assert [body.get("plan") for body in show(old)] == [None, None]
    assert [body["plan"] for body in show(new)] == ["gold for reporting"] * 2
    described = {"type": "string", "description": MEANING}
    assert schemas["Private"]["properties"]["plan"] == described
    assert schemas["Introspection"]["oneOf"][0]["properties"]["plan"] == described


def test_token_page_explains_a_new_claim(
    credentials: dict[str, str], add_claim: Callable[[], None]
) -> None:
    add_claim()
    form = {"grant_type": "client_credentials", **credentials}
    body = "&".join(f"{name}={value}" for name, value in form.items())
    page = Browser(headers={"Accept": "text/html"}).post(
        "/login", body, content_type="application/x-www-form-urlencoded"
    )
    text = page.content.decode()
    assert "<code>gold for reporting</code>" in text
    assert f"<td>{MEANING}</td>" in text
