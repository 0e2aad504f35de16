"""What one request may cost: queries, and sizes of what is sent."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest
from django.conf import settings
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from api import token_backend, tokens
from api.credentials import check
from api.tests.support.responses import basic, bearer


def test_verification_is_one_query(
    http: APIClient, get_token: Callable[[], str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    token = get_token()
    with django_assert_num_queries(1):
        assert http.get("/private", headers=bearer(token)).status_code == 200


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Every verification of a signature by this process."""
    algorithm = token_backend.jws.get_algorithm_by_name(settings.JWT_ALGORITHM)
    verify = Mock(wraps=algorithm.verify)
    monkeypatch.setattr(algorithm, "verify", verify)
    return verify


def test_signature_of_a_repeated_token_is_verified_once(
    http: APIClient, get_token: Callable[[], str], verified: Mock
) -> None:
    token, other = get_token(), get_token()
    for one in (token, token, other, token, other):
        assert http.get("/private", headers=bearer(one)).status_code == 200
    assert verified.call_count == 2


def test_remembered_tokens_are_bounded(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str], verified: Mock
) -> None:
    first = get_token()
    tokens.verify(first)
    login = check(*credentials.values(), address="192.0.2.1")
    for _ in range(token_backend.CACHE_SIZE):
        tokens.verify(tokens.issue(login, ()).text)
    assert token_backend.signed_claims.cache_info().currsize == token_backend.CACHE_SIZE
    verified.reset_mock()
    assert http.get("/private", headers=bearer(first)).status_code == 200
    assert verified.call_count == 1


def test_forged_tokens_are_not_remembered(
    http: APIClient, get_token: Callable[[], str], verified: Mock
) -> None:
    forged = f"{get_token()[:-8]}AAAAAAAA"
    for _ in range(2):
        assert http.get("/private", headers=bearer(forged)).status_code == 401
    assert verified.call_count == 2
    assert token_backend.signed_claims.cache_info().currsize == 0


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        pytest.param("/login", 1, id="login"),
        pytest.param("/introspect", 2, id="introspection: a login and a verification"),
        pytest.param("/revoke", 6, id="revocation: a login, a new row, a look for expired ones"),
    ],
)
def test_login_costs_few_queries(
    http: APIClient,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    django_assert_num_queries: DjangoAssertNumQueries,
    path: str,
    queries: int,
) -> None:
    body = credentials | {"token": get_token()}
    with django_assert_num_queries(queries):
        assert http.post(path, body, format="json").status_code == 200


@pytest.mark.parametrize(
    "body", [{"client_secret": "wrong"}, {"client_id": "nobody"}], ids=["wrong", "unknown"]
)
def test_failed_login_is_one_query(
    http: APIClient,
    credentials: dict[str, str],
    django_assert_num_queries: DjangoAssertNumQueries,
    body: dict[str, str],
) -> None:
    with django_assert_num_queries(1):
        assert http.post("/login", credentials | body, format="json").status_code == 401


def test_forged_tokens_cost_no_query(
    http: APIClient, get_token: Callable[[], str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    head, claims, signature = get_token().split(".")
    forged = [f"{head}.{claims}.{signature[::-1]}", "a.b.c", "x" * 100_000, f"{head[:-2]}.{claims}"]
    with django_assert_num_queries(0):
        statuses = [http.get("/private", headers=bearer(one)).status_code for one in forged]
    assert statuses == [401] * len(forged)


def test_registration_costs_few_queries(
    http: APIClient, db: None, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(6):
        assert http.post("/register", {}, format="json").status_code == 201


def test_refusals_for_size_and_form_cost_no_query(
    http: APIClient, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    too_large = {"client_id": "foo", "client_secret": "x" * 70_000}
    with django_assert_num_queries(0):
        assert http.post("/login", too_large, format="json").status_code == 413
        long_header = basic("foo", "x" * 70_000)
        assert http.post("/login", headers=long_header).status_code in {400, 415}
        assert http.post("/login", {"client_id": "x" * 200}, format="json").status_code == 400
