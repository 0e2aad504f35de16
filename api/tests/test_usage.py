"""Recording the last use of a client: no login fails by it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from api import usage
from api.credentials import create_client
from api.models import Client, WorkloadIdentity
from api.tests.support.issuer import SUBJECT, Issuer, form
from api.trust import add_identity, trust_issuer


@pytest.mark.parametrize("begins", [True, False], ids=["while writing", "before it begins"])
@pytest.mark.parametrize("kind", ["secret", "identity"])
def test_a_busy_database_fails_no_login(
    begins: bool,
    kind: str,
    http: APIClient,
    db: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @contextmanager
    def busy() -> Iterator[None]:
        if begins:
            yield
        raise OperationalError("database is locked")

    client, secret = create_client("busy")
    issuer = Issuer()
    add_identity(client, trust_issuer(issuer.url, given=issuer.jwks()), SUBJECT, {})
    monkeypatch.setattr(usage, "fail_if_locked", busy)
    by_secret = {"client_id": "busy", "client_secret": secret}
    sent = by_secret if kind == "secret" else form(issuer.token())
    with caplog.at_level(logging.WARNING, "api.usage"):
        assert http.post("/login", sent, format="json").status_code == 200
    assert usage.NOT_RECORDED in caplog.text


def test_the_last_use_is_recorded_once_a_minute(http: APIClient, db: None) -> None:
    client, _ = create_client("reporting")
    issuer = Issuer()
    add_identity(client, trust_issuer(issuer.url, given=issuer.jwks()), SUBJECT, {})
    used = []
    for _ in range(2):
        assert http.post("/login", form(issuer.token()), format="json").status_code == 200
        used.append(WorkloadIdentity.objects.get().last_used_at)
    assert used[0] is not None
    assert used[0] == used[1]
    assert Client.objects.get().last_login == used[0]
