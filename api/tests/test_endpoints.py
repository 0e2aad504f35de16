"""An endpoint is one class and one path. What else it needs is derived, or demanded here."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from api.endpoints import endpoints
from api.openapi.operations import document
from api.permissions import HasScope
from api.tests.support.responses import bearer
from authdemo import urls as project_urls

README = Path(__file__).resolve().parent.parent.parent / "README.md"


class TrialView(APIView):
    """A view that somebody adds."""

    permission_classes = (HasScope,)
    required_scopes = ("trial",)

    def get(self, request: Request) -> Response:
        return Response({"trial": []})


class UnfinishedView(APIView):
    permission_classes = (HasScope,)


urlpatterns = [
    *project_urls.urlpatterns,
    path("trial", TrialView.as_view(), name="trial"),
    path("unfinished", UnfinishedView.as_view()),
]


def listed_in_the_readme() -> Iterator[tuple[str, str]]:
    """Return path and methods of each row of the table of endpoints."""
    table = README.read_text().partition("\n## Endpoints\n")[2].partition("\n## ")[0]
    for paths, methods in re.findall(r"^\| (`/.*?) \| (.*?) \|", table, re.MULTILINE):
        for name in re.findall(r"`(/[^`]*)`", paths):
            yield name, methods


def complaints() -> Iterator[str]:
    """Say what is missing, and what to do about it."""
    listed = dict(listed_in_the_readme())
    for entry in endpoints():
        view, methods = entry.view_class.__name__, " ".join(entry.methods)
        if not entry.name:
            yield f"urls.py: give the path `{entry.path}` a name; the root lists it by that."
        if not entry.purpose:
            yield f"{view}: add a docstring; pages and OpenAPI show its first line as the purpose."
        if HasScope in entry.view_class.permission_classes and not hasattr(
            entry.view_class, "required_scopes"
        ):
            yield f"{view}: name the scopes that `HasScope` asks for in `required_scopes`."
        if not methods:
            yield f"{view}: define `get` or another method."
        elif listed.pop(entry.shown_path, None) != methods:
            path = entry.shown_path
            yield f"README.md: add `{path}` with {methods} to the table under Endpoints."
    for gone in listed.keys() - {"/admin/"}:
        yield f"README.md: remove `{gone}` from the table under Endpoints; it is not in urls.py."


def test_endpoints_have_all_they_need() -> None:
    assert list(complaints()) == []


@pytest.mark.urls(__name__)
def test_what_an_endpoint_lacks_is_said() -> None:
    assert list(complaints()) == [
        "README.md: add `/trial` with GET to the table under Endpoints.",
        "urls.py: give the path `/unfinished` a name; the root lists it by that.",
        "UnfinishedView: add a docstring; pages and OpenAPI show its first line as the purpose.",
        "UnfinishedView: name the scopes that `HasScope` asks for in `required_scopes`.",
        "UnfinishedView: define `get` or another method.",
    ]


@pytest.mark.urls(__name__)
def test_new_view_is_one_class_and_one_path(
    http: APIClient, token_with: Callable[..., str]
) -> None:
    response = http.get("/trial", headers=bearer(token_with("trial")))
    assert (response.status_code, response.json()) == (200, {"trial": []})
    assert response["Cache-Control"] == "no-store"
    assert http.get("/").json()["trial"] == "http://testserver/trial"
    page = http.get("/", headers={"Accept": "text/html"}).content.decode()
    assert '<a href="/trial">/trial</a>' in page
    assert "A view that somebody adds." in page


@pytest.mark.urls(__name__)
def test_new_view_is_documented(http: APIClient, token_with: Callable[..., str]) -> None:
    operation = document.__wrapped__()["paths"]["/trial"]["get"]
    responses = operation.pop("responses")
    assert operation == {
        "operationId": "trial",
        "summary": "A view that somebody adds",
        "tags": ["Test endpoints"],
        "security": [{"bearer": []}, {"oauth2": ["trial"]}],
    }
    assert {status: described["description"] for status, described in responses.items()} == {
        "200": "A view that somebody adds",
        "400": "invalid_request",
        "401": "invalid_token",
        "403": "insufficient_scope or missing_token",
        "503": "temporarily_unavailable",
    }
    refused = responses["403"]
    shown = refused["content"]["application/json"]["examples"]
    response = http.get("/trial", headers=bearer(token_with("other")))
    assert response.json() == shown["insufficient_scope"]["value"]
    assert http.get("/trial").json() == shown["missing_token"]["value"]
    assert refused["headers"].keys() == {"Cache-Control", "WWW-Authenticate"}
