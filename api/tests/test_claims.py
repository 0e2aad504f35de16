"""A claim is one line of `claims.CLAIMS`: everything that shows claims follows it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from api import claims
from api.openapi.operations import document
from api.tests.support.responses import bearer

MEANING = "What the client pays for."
AddClaim = Callable[[str | int], None]


@pytest.fixture
def add_claim(monkeypatch: pytest.MonkeyPatch) -> AddClaim:
    """Return a function that adds the claim `plan`."""

    def add(value: str | int) -> None:
        monkeypatch.setitem(claims.CLAIMS, "plan", claims.Claim(lambda _: value, MEANING))

    return add


@pytest.mark.parametrize(("value", "json_type"), [("gold", "string"), (0, "integer")])
def test_new_claim_is_one_line_and_refuses_no_token_that_is_out(
    http: APIClient,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    add_claim: AddClaim,
    value: str | int,
    json_type: str,
) -> None:
    old = get_token()
    add_claim(value)
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
    assert [body["plan"] for body in show(new)] == [value, value]
    described = {"type": json_type, "description": MEANING}
    assert schemas["Private"]["properties"]["plan"] == described
    assert schemas["Introspection"]["oneOf"][0]["properties"]["plan"] == described


@pytest.mark.parametrize("value", ["gold", 0])
def test_token_page_explains_a_new_claim(
    credentials: dict[str, str], add_claim: AddClaim, value: str | int
) -> None:
    add_claim(value)
    form = {"grant_type": "client_credentials", **credentials}
    body = "&".join(f"{name}={text}" for name, text in form.items())
    page = Browser(headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}).post(
        "/login", body, content_type="application/x-www-form-urlencoded"
    )
    text = page.content.decode()
    assert f"<code>{value}</code>" in text
    assert f"<td>{MEANING}</td>" in text
