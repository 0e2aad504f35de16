"""Scopes as permission classes, for those who add views."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from api.permissions import HasScope
from api.tests.support.responses import (
    assert_error,
    assert_lacks_scope,
    assert_refused_token,
    bearer,
)

pytestmark = pytest.mark.urls(__name__)


class ReportView(APIView):
    """As the docstring of `HasScope` shows it; who calls is left to the project's default."""

    permission_classes = (HasScope,)
    required_scopes = ("read", "report")

    def get(self, request: Request) -> Response:
        return Response({"caller": request.user.username})


class DefaultView(APIView):
    """A view that somebody forgot to give permission classes."""

    def get(self, request: Request) -> Response:
        return Response()


urlpatterns = [path("report", ReportView.as_view()), path("default", DefaultView.as_view())]


@pytest.fixture
def get(http: APIClient, token_with: Callable[..., str]) -> Callable[..., Any]:
    """Return a function that calls a view with a token of these scopes."""
    return lambda url, *scopes: http.get(url, headers=bearer(token_with(*scopes)))


@pytest.mark.parametrize("scopes", [("read", "report"), ("other", "report", "read")])
def test_token_with_every_scope_is_let_in(get: Callable[..., Any], scopes: tuple[str, ...]) -> None:
    response = get("/report", *scopes)
    assert (response.status_code, response.json()) == (200, {"caller": "reporting"})


@pytest.mark.parametrize("scopes", [(), ("read",), ("reporter", "read"), ("read.report",)])
def test_token_that_lacks_one_is_told_which_are_required(
    get: Callable[..., Any], scopes: tuple[str, ...]
) -> None:
    response = get("/report", *scopes)
    assert_lacks_scope(response, "read report")


def test_no_token_and_a_bad_one_are_told_apart(http: APIClient, db: None) -> None:
    description = "An access token is required; get one from /login."
    assert_error(http.get("/report"), 403, "missing_token", description)
    assert_refused_token(http.get("/report", headers=bearer("nonsense")))


def test_view_without_permission_classes_is_closed(
    http: APIClient, get: Callable[..., Any]
) -> None:
    assert http.get("/default").json()["error"] == "missing_token"
    assert get("/default").status_code == 200
