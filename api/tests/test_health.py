"""Whether the service can do its work, asked by anybody, often."""

from collections.abc import Callable

import pytest
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from api import health, keys
from api.models import SigningKey
from api.tests.support.responses import assert_error

OK = {"status": "ok"}
DRAINING = "The service is draining: it answers, and is about to stop."
UNAVAILABLE = "The service is temporarily unavailable; try again shortly."


@pytest.fixture(autouse=True)
def _look_again() -> None:
    health._check_migrations.cache_clear()


def assert_not_ready(http: APIClient) -> None:
    response = http.get("/readyz")
    assert_error(response, 503, "temporarily_unavailable", UNAVAILABLE)
    assert response["Retry-After"] == "2"
    assert http.get("/livez").json() == OK


def test_process_lives_without_a_database(http: APIClient) -> None:
    response = http.get("/livez")
    assert (response.status_code, response.json()) == (200, OK)


@pytest.mark.parametrize(("path", "queries"), [("/livez", 0), ("/readyz", 1)])
def test_page_needs_no_more_than_the_probe(
    http: APIClient,
    get_token: Callable[[], str],
    django_assert_num_queries: DjangoAssertNumQueries,
    path: str,
    queries: int,
) -> None:
    http.cookies["access_token"] = get_token()
    headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    http.get("/readyz")
    with django_assert_num_queries(queries):
        response = http.get(path, headers=headers | {"Host": "10.0.0.7"})
    assert response.status_code == 200
    assert f"curl http://localhost:8000{path}" in response.content.decode()


def test_ready_is_one_query_after_the_first_time(
    http: APIClient, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert http.get("/readyz").status_code == 200
    with django_assert_num_queries(1):
        response = http.get("/readyz")
    assert (response.status_code, response.json()) == (200, OK)


def test_not_ready_while_draining_and_alive(
    http: APIClient, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_draining", bytearray(1))
    health.start_draining()
    response = http.get("/readyz")
    assert_error(response, 503, "temporarily_unavailable", DRAINING)
    assert response["Retry-After"] == "2"
    assert http.get("/livez").json() == OK
    assert http.get("/public").status_code == 200


def test_not_ready_before_the_migrations(http: APIClient, db: None) -> None:
    MigrationRecorder.Migration.objects.filter(app="api").delete()
    assert_not_ready(http)


def test_not_ready_without_a_signing_key(http: APIClient, db: None) -> None:
    SigningKey.objects.all().delete()
    assert_not_ready(http)


def test_not_ready_with_a_key_of_another_secret_key(
    http: APIClient, db: None, settings: Settings
) -> None:
    settings.SECRET_KEY = "another secret key that nothing here was ever encrypted with"
    keys.forget()
    assert_not_ready(http)
