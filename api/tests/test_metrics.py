"""Metrics: what is counted, who may read it, and that labels cannot grow."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from api import health, metrics
from api.credentials import create_client
from api.models import Client, ClientKey, ClientProfile, TrustedIssuer
from api.tests.support.issuer import SUBJECT, Issuer, form
from api.tests.support.responses import assert_error, basic, bearer
from api.trust import add_identity, trust_issuer

EPOCH = datetime.fromtimestamp(0, UTC)


def scrape(http: APIClient, token: str) -> dict[tuple[str, ...], float]:
    """Return each sample by its name and the values of its labels, in the order of their names."""
    response = http.get("/metrics", headers=bearer(token))
    assert response.status_code == 200
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(response.content.decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def counted(
    http: APIClient, token_with: Callable[..., str]
) -> Callable[[Callable[[], Any]], dict[tuple[str, ...], float]]:
    """Return a function that returns which samples an action changed, and by how much."""
    token = token_with("metrics")

    def difference(action: Callable[[], Any]) -> dict[tuple[str, ...], float]:
        before = scrape(http, token)
        action()
        after = scrape(http, token)
        return {name: n - before.get(name, 0) for name, n in after.items() if "authdemo" in name[0]}

    return difference


def test_only_a_token_with_the_scope_reads_metrics(
    http: APIClient, token_with: Callable[..., str]
) -> None:
    assert http.get("/metrics").status_code == 403
    response = http.get("/metrics", headers=bearer(token_with("read")))
    assert_error(response, 403, "insufficient_scope", "The access token lacks a required scope.")


@pytest.mark.parametrize(
    ("secret", "outcome", "status"), [("good", "success", "200"), ("wrong", "failure", "401")]
)
def test_logins_are_counted_by_method_and_outcome(
    http: APIClient,
    credentials: dict[str, str],
    counted: Callable[..., dict[tuple[str, ...], float]],
    secret: str,
    outcome: str,
    status: str,
) -> None:
    if secret == "wrong":
        credentials["client_secret"] = "adsk_wrong"
    headers = basic(*credentials.values())
    changed = counted(lambda: http.post("/login", {}, format="json", headers=headers))
    assert changed["authdemo_authentications_total", "client_secret_basic", outcome] == 1
    assert changed["authdemo_http_request_duration_seconds_count", "POST", "/login", status] == 1


def test_login_that_an_issuer_keeps_out_is_counted(
    http: APIClient, client_row: Client, counted: Callable[..., dict[tuple[str, ...], float]]
) -> None:
    issuer = Issuer()
    trusted = trust_issuer(issuer.url, given=issuer.jwks())
    add_identity(client_row, trusted, SUBJECT, {})
    # Its last fetch has just failed.
    TrustedIssuer.objects.update(given_jwks="", fetched_at=EPOCH, tried_at=timezone.now())
    changed = counted(lambda: http.post("/login", form(issuer.token()), format="json"))
    outcome = "authdemo_authentications_total", "private_key_jwt", "issuer_unavailable"
    assert changed[outcome] == 1


def test_throttled_login_is_counted(
    http: APIClient,
    credentials: dict[str, str],
    counted: Callable[..., dict[tuple[str, ...], float]],
    settings: Any,
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = (1, 60)
    wrong = credentials | {"client_secret": "wrong"}
    changed = counted(lambda: [http.post("/login", wrong, format="json") for _ in range(3)])
    assert changed["authdemo_authentications_total", "client_secret_post", "failure"] == 1
    assert changed["authdemo_authentications_total", "client_secret_post", "throttled"] == 2


def test_token_checks_are_counted(
    http: APIClient,
    token_with: Callable[..., str],
    counted: Callable[..., dict[tuple[str, ...], float]],
) -> None:
    token = token_with()

    def call() -> None:
        http.get("/private", headers=bearer(token))
        http.get("/private", headers=bearer(f"{token}x"))

    changed = counted(call)
    assert changed["authdemo_token_checks_total", "refused"] == 1
    assert changed["authdemo_token_checks_total", "good"] == 2  # with the one that scrapes


def test_paths_and_methods_of_strangers_make_no_labels(
    http: APIClient, counted: Callable[..., dict[tuple[str, ...], float]]
) -> None:
    def call() -> None:
        for number in range(3):
            http.get(f"/nothing-{number}")
            http.generic(f"METHOD{number}", "/public")
            http.get(f"/admin/api/client/{number}/change/")

    changed = counted(call)
    routes = {name[1:]: n for name, n in changed.items() if name[0].endswith("_count") and n}
    assert routes == {
        ("GET", "none", "404"): 3,
        ("other", "/public", "405"): 3,
        ("GET", "/admin/api/client/<path:object_id>/change/", "302"): 3,
        ("GET", "/metrics", "200"): 1,
    }


def test_state_is_shown(http: APIClient, token_with: Callable[..., str]) -> None:
    shown = scrape(http, token_with("metrics"))
    assert shown["authdemo_database_up",] == 1
    assert 0 <= shown["authdemo_signing_key_age_seconds",] < 3600
    assert shown["authdemo_slow_hash_queue",] == 0
    assert sum(name[0] == "authdemo_build_info" for name in shown) == 1


def test_secrets_and_keys_that_expire_soon_are_counted(
    http: APIClient, token_with: Callable[..., str]
) -> None:
    now = timezone.now()
    for number, days in enumerate((-1, 1, 6, 8, 29, 31)):
        client, _ = create_client(f"client-{number}")
        end = now + timedelta(days=days)
        ClientProfile.objects.create(client=client, secret_expires_at=end)
        if days != 8:
            ClientKey.objects.create(client=client, kid="", jwk={}, expires_at=end)
    shown = scrape(http, token_with("metrics"))
    assert {name[1:]: n for name, n in shown.items() if "expiring" in name[0]} == {
        ("7", "secret"): 2,
        ("30", "secret"): 4,
        ("7", "key"): 2,
        ("30", "key"): 3,
    }


def test_database_that_is_down_is_shown(
    token_with: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token_with()  # loads the keys

    def down(*_args: object) -> None:
        raise DatabaseError

    monkeypatch.setattr("api.health.connection.fetch_rows", down)
    assert b"authdemo_database_up 0.0\n" in metrics.render(health.state())
