"""The OpenAPI document, and the page that shows it: each operation is provoked into every answer
that the document has for it, and the answer is held against the document.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from jsonschema import Draft202012Validator
from pytest_django import Settings
from rest_framework.test import APIClient

from api import keys
from api.credentials import create_client
from api.models import Client
from api.openapi.operations import document
from api.scopes import get_or_create_scopes
from api.tests.support.responses import basic, bearer

Spoil = Callable[[dict[str, Any], int], dict[str, Any]]
WRONG = "Basic Zm9vOm5vdCBiYXI="
REFUSED = {"client_secret_basic": WRONG, "oauth2": "Bearer nonsense"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def validate(instance: object, schema: dict[str, Any]) -> None:
    """Hold a value against a schema that may refer to the document's components."""
    Draft202012Validator({**schema, "components": document()["components"]}).validate(instance)


class Broken:
    """A database that fails at each query."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise OperationalError


@pytest.fixture
def well_formed(
    credentials: dict[str, str], token_with: Callable[..., str]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that says what makes an operation succeed."""
    token = token_with()
    bodies = {
        "login": {"grant_type": "client_credentials"},
        "introspect": {"token": token},
        "revoke": {"token": token},
        "register": {"client_name": "Billing"},
        "clients_post": {"scope": "read", "secret_expires_at": None},
        "client_patch": {"client_name": "Billing"},
        "client_secret": {"grace": 60},
    }
    caller = Client.objects.get(username=credentials["client_id"])
    create_client("managed", name="Managed", scopes=["read"])

    def well_formed(operation: dict[str, Any]) -> dict[str, Any]:
        schemes = {name: scopes for way in operation["security"] for name, scopes in way.items()}
        headers = {}
        if "client_secret_basic" in schemes:
            headers = basic(**credentials)
        elif {} not in operation["security"]:
            scopes = schemes["oauth2"]
            caller.groups.add(*get_or_create_scopes(scopes))
            headers = bearer(token_with(*scopes, "read"))
        return {"headers": headers, "data": bodies.get(operation["operationId"])}

    return well_formed


@pytest.fixture
def spoil(
    http: APIClient, db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Spoil]:
    """Return a function that says what instead makes an operation fail with a status."""

    def spoil(operation: dict[str, Any], status: int) -> dict[str, Any]:
        match status:
            case 400:
                return {"headers": {"Host": "elsewhere.example"}}
            case 401:
                scheme = next(iter(operation["security"][0]))
                return {"headers": {"Authorization": REFUSED[scheme]}}
            case 403:  # no token; or, if none is needed, no CSRF token beside the cookie
                http.handler.enforce_csrf_checks = True
                cookie = {"Cookie": f"{settings.ACCESS_TOKEN_COOKIE}=x"}
                return {"headers": cookie if {} in operation["security"] else {}}
            case 409:
                keys.rotate()
            case 413:
                return {"data": {"client_id": "x" * 70_000}}
            case 415:
                return {"data": "client_id", "content_type": "text/plain"}
            case 429:
                settings.FAILED_LOGINS_PER_ADDRESS = settings.REGISTRATIONS_PER_ADDRESS = (1, 60)
                wrong: dict[str, Any] = {"headers": {"Authorization": WRONG}}
                http.post("/login", {"grant_type": "client_credentials"}, format="json", **wrong)
                http.post("/register", {}, format="json")
                return wrong if operation["operationId"] != "register" else {}
            case 503:
                keys.forget()
                monkeypatch.setattr(CursorWrapper, "execute", Broken)
        return {}

    yield spoil
    monkeypatch.undo()  # before the test's transaction is rolled back


@pytest.mark.parametrize(
    ("path", "method", "operation", "code"),
    [
        pytest.param(path, method, operation, status, id=f"{operation['operationId']}-{status}")
        for path, method, operation in operations()
        for status in operation["responses"]
    ],
)
def test_answer_is_as_documented(
    http: APIClient,
    well_formed: Callable[[dict[str, Any]], dict[str, Any]],
    spoil: Spoil,
    path: str,
    method: str,
    operation: dict[str, Any],
    code: str,
) -> None:
    status, documented = int(code), operation["responses"][code]
    good, spoilt = well_formed(operation), spoil(operation, status)
    if status == 412:
        good["headers"]["If-Match"] = '"of another version"'
    client_id = "nobody" if status == 404 else "managed"
    path = path.format(client_id=client_id, credential="secret")
    request = good | spoilt
    if isinstance(request.get("data"), dict):
        request["format"] = "json"
    response = getattr(http, method)(path, **request)
    assert response.status_code == status
    headers = documented.get("headers", {})
    documentable = ("Accept-Encoding", "ETag", "Location", "Retry-After", "WWW-Authenticate")
    sent = {name for name in documentable if name in response}
    assert sent == headers.keys() - {"Cache-Control"}
    if status != 400:  # a foreign Host is refused before a view is reached
        cache_control = headers.get("Cache-Control", {"schema": {"const": None}})
        assert response.get("Cache-Control") == cache_control["schema"]["const"]
    if status == 204:
        assert response.content == b""
        return
    media_type = response["Content-Type"].partition(";")[0]
    content = documented["content"][media_type]
    is_json = media_type == "application/json"
    validate(response.json() if is_json else response.content.decode(), content["schema"])
    if status >= 400:
        codes = [example["value"]["error"] for example in content["examples"].values()]
        assert response.json()["error"] in codes


@pytest.mark.django_db
def test_document_follows_the_registration_policy(http: APIClient, settings: Settings) -> None:
    settings.REGISTRATION = "closed"
    operation = document.__wrapped__()["paths"]["/register"]["post"]
    assert operation["security"] == [{"oauth2": ["register"]}, {"bearer": []}]
    refused = operation["responses"]["403"]
    assert refused["description"] == "access_denied or insufficient_scope or missing_token"
    assert http.post("/register").json()["error"] == "missing_token"


def test_document_of_a_public_service_shows_no_client_of_the_demo(settings: Settings) -> None:
    assert '"foo"' in json.dumps(document.__wrapped__())
    settings.IS_LOCAL = False
    assert '"foo"' not in json.dumps(document.__wrapped__())


def test_scope_is_described_by_all_that_it_is_required_for() -> None:
    scopes = document()["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert scopes["scopes"].keys() == {
        *("register", "clients:read", "clients:write", "keys:write", "metrics")
    }
    for _, _, operation in operations():
        for required in (each.get("oauth2", []) for each in operation["security"]):
            for scope in required:
                assert f"{operation['summary']}." in scopes["scopes"][scope]


def test_blank_metadata_is_accepted_as_documented(http: APIClient, db: None) -> None:
    blank = {"client_name": "", "scope": ""}
    validate(blank, document()["components"]["schemas"]["Registration"])
    assert http.post("/register", blank, format="json").status_code == 201


def test_examples_are_as_documented() -> None:
    for _, _, operation in operations():
        answers = list(operation["responses"].values())
        for described in [*answers, operation.get("requestBody", {})]:
            for content in described.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    validate(example["value"], content["schema"])


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("application/vnd.oai.openapi+json", "application/vnd.oai.openapi+json"),
        ("application/yaml", "application/yaml; charset=utf-8"),
        ("application/vnd.oai.openapi", "application/vnd.oai.openapi; charset=utf-8"),
    ],
)
def test_schema_comes_in_json_and_in_yaml(http: APIClient, accept: str, content_type: str) -> None:
    response = http.get("/schema", headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (200, content_type)
    opening = b'{\n    "openapi": "3.1.0"' if "json" in content_type else b"openapi: 3.1.0"
    assert response.content.startswith(opening)


def test_docs_page_has_local_assets_and_nothing_inline(http: APIClient) -> None:
    response = http.get("/docs", headers={"Accept": "text/html"})
    page = response.content.decode()
    assert response.status_code == 200
    assert not re.search(r"<style|style=|<script>|javascript:| on\w+=", page)
    assets = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', page)
    assert len(assets) == 8
    for asset in assets:
        assert asset.startswith("/static/")
        assert finders.find(asset.removeprefix("/static/"))


@pytest.mark.parametrize("method", ["post", "delete"])
def test_docs_page_refuses_in_the_one_shape(http: APIClient, method: str) -> None:
    response = getattr(http, method)("/docs")
    assert response.status_code == 405
    assert response.json() == {
        "error": "invalid_request",
        "error_description": "This path does not support the method; see the Allow header.",
    }


@pytest.mark.parametrize("accept", ["*/*", "application/yaml", "application/vnd.oai.openapi+json"])
def test_document_is_rendered_once_for_each_media_type(
    http: APIClient, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    first = http.get("/schema", headers={"Accept": accept})
    monkeypatch.setattr("api.views.discovery.document", None)
    again = http.get("/schema", headers={"Accept": accept})
    assert (again.status_code, again.content) == (200, first.content)
    assert again["Content-Type"] == first["Content-Type"]
