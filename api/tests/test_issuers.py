"""Keeping issuers' keys: when they are fetched, how long they serve, and who waits."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from api import issuers
from api.credentials import create_client
from api.fetch import Deadline, fetch_json
from api.models import TrustedIssuer
from api.standing.logins import ISSUER_KEYS_FRESH, ISSUER_RETRY
from api.tests.support.issuer import SUBJECT, Issuer, form
from api.tests.support.responses import assert_error
from api.tests.support.services import eventually
from api.trust import add_identity, trust_issuer

FETCH = ["/.well-known/openid-configuration", "/keys"]
REFUSED = "The client credentials are not valid."
UNAVAILABLE = "The service is temporarily unavailable; try again shortly."


@pytest.fixture
def issuer(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """An issuer with one identity, whose keys have just been fetched. A fetch has much time."""
    monkeypatch.setattr(issuers, "Deadline", lambda: Deadline(30))
    with Issuer().serving() as issuer:
        client, _ = create_client("reporting")
        add_identity(client, trust_issuer(issuer.url), SUBJECT, {})
        issuer.asked.clear()
        yield issuer
        if issuer.hangs:
            issuer.hangs.set()
        eventually(lambda: not issuers._running)  # its thread uses the database


@pytest.fixture
def impatient(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetch has little time, so that a test of a hanging issuer is short."""
    monkeypatch.setattr(issuers, "Deadline", lambda: Deadline(0.5))


@pytest.fixture
def log_in(http: APIClient) -> Callable[[str], Any]:
    return lambda token: http.post("/login", form(token), format="json")


def age(**columns: timedelta) -> None:
    """Let the keys have been fetched, or a fetch been tried, some time ago."""
    now = timezone.now()
    TrustedIssuer.objects.update(**{name: now - passed for name, passed in columns.items()})


def make_old(passed: timedelta) -> None:
    age(fetched_at=passed, tried_at=passed)


def test_fresh_keys_serve_without_a_fetch(log_in: Callable[[str], Any], issuer: Issuer) -> None:
    assert [log_in(issuer.token()).status_code for _ in range(3)] == [200, 200, 200]
    assert issuer.asked == []


def test_a_new_key_is_fetched_when_its_first_token_comes(
    log_in: Callable[[str], Any], issuer: Issuer
) -> None:
    old = issuer.token()
    make_old(ISSUER_RETRY)
    issuer.rotate("two")
    assert log_in(issuer.token()).status_code == 200
    assert_error(log_in(old), 401, "invalid_client", REFUSED)
    assert issuer.asked == FETCH


def test_invented_keys_make_us_ask_once_in_thirty_seconds(
    log_in: Callable[[str], Any], issuer: Issuer
) -> None:
    make_old(ISSUER_RETRY)
    for _ in range(3):
        for kid in ("two", "three"):
            refused = log_in(issuer.token({"kid": kid}))
            assert_error(refused, 401, "invalid_client", REFUSED)
    assert issuer.asked == FETCH


@pytest.mark.parametrize("claims", [{"sub": "stranger"}, {"iss": "http://127.0.0.1:1"}])
def test_a_stranger_cannot_make_us_fetch(
    claims: dict[str, str], log_in: Callable[[str], Any], issuer: Issuer
) -> None:
    make_old(timedelta(days=2))
    refused = log_in(issuer.token({"kid": "two"}, **claims))
    assert_error(refused, 401, "invalid_client", REFUSED)
    assert (issuer.asked, issuers._running) == ([], {})


def test_old_keys_are_refreshed_while_they_serve(
    log_in: Callable[[str], Any], issuer: Issuer
) -> None:
    make_old(ISSUER_KEYS_FRESH)
    issuer.hangs = threading.Event()
    assert log_in(issuer.token()).status_code == 200
    eventually(lambda: issuer.asked == FETCH[:1])  # it runs, and the login did not wait
    issuer.hangs.set()
    eventually(lambda: not issuers._running)
    fetched_at = TrustedIssuer.objects.get().fetched_at
    assert fetched_at
    assert timezone.now() - fetched_at < ISSUER_RETRY


def test_a_key_that_the_issuer_removed_is_refused_after_a_quiet_time(
    log_in: Callable[[str], Any], issuer: Issuer
) -> None:
    old = issuer.token()
    make_old(2 * ISSUER_KEYS_FRESH)
    issuer.rotate("two")
    assert_error(log_in(old), 401, "invalid_client", REFUSED)


@pytest.mark.usefixtures("impatient")
def test_kept_keys_serve_while_the_issuer_hangs(
    log_in: Callable[[str], Any], issuer: Issuer, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.hangs = threading.Event()
    for passed in (2 * ISSUER_KEYS_FRESH, settings.ISSUER_KEYS_KEPT - timedelta(minutes=1)):
        make_old(passed)
        assert log_in(issuer.token()).status_code == 200
        eventually(lambda: not issuers._running)
    reason = f"The keys of {issuer.url} could not be fetched: The server took longer than 3 s."
    assert [one.getMessage() for one in caplog.records if one.name == "api.issuers"] == [reason]
    age(fetched_at=settings.ISSUER_KEYS_KEPT, tried_at=timedelta())
    assert_error(log_in(issuer.token()), 503, "temporarily_unavailable", UNAVAILABLE)


def test_nobody_waits_again_for_an_issuer_that_hangs(
    log_in: Callable[[str], Any], issuer: Issuer
) -> None:
    issuer.hangs = threading.Event()
    age(fetched_at=2 * ISSUER_KEYS_FRESH, tried_at=ISSUER_RETRY)
    assert log_in(issuer.token()).status_code == 200
    assert issuers._running  # so this login has not waited for the end of the fetch


def test_keys_are_good_again_when_the_issuer_is_back(
    log_in: Callable[[str], Any], issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.hangs = threading.Event()
    make_old(timedelta(days=2))
    with monkeypatch.context() as patch:
        patch.setattr(issuers, "Deadline", lambda: Deadline(0.5))
        assert_error(log_in(issuer.token()), 503, "temporarily_unavailable", UNAVAILABLE)
        eventually(lambda: not issuers._running)
    issuer.hangs.set()
    assert_error(log_in(issuer.token()), 503, "temporarily_unavailable", UNAVAILABLE)
    age(tried_at=ISSUER_RETRY)
    assert log_in(issuer.token()).status_code == 200


def test_few_requests_wait_for_an_issuer_that_hangs(
    log_in: Callable[[str], Any], issuer: Issuer, settings: Any
) -> None:
    """With an invented key, a stranger holds a quarter of the threads for 3 s in 30 s at most."""
    settings.ISSUER_WAITERS = 2
    issuers._waiters.cache_clear()
    issuer.hangs = threading.Event()
    make_old(ISSUER_RETRY)
    answered: list[int] = []

    def guess() -> None:
        answered.append(log_in(issuer.token({"kid": "two"})).status_code)
        connection.close()

    first, *others = guesses = [threading.Thread(target=guess) for _ in range(6)]
    first.start()
    eventually(lambda: issuer.asked == FETCH[:1])
    for one in others:
        one.start()
    eventually(lambda: len(answered) == 4)  # though the fetch still runs
    assert answered == [503] * 4
    assert log_in(issuer.token()).status_code == 200  # a known key needs no fetch
    issuer.hangs.set()
    for one in guesses:
        one.join()
    assert answered == [503] * 4 + [401] * 2
    assert issuer.asked == FETCH
    issuers._waiters.cache_clear()


def test_of_all_processes_one_asks(issuer: Issuer) -> None:
    (pk,) = TrustedIssuer.objects.values_list("pk", flat=True)
    make_old(ISSUER_RETRY)
    assert [issuers._claim(pk) for _ in range(3)] == [True, False, False]


def test_fetches_of_many_issuers_are_limited(
    log_in: Callable[[str], Any], issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "MAX_FETCHES", 0)
    make_old(ISSUER_KEYS_FRESH)
    assert log_in(issuer.token()).status_code == 200
    refused = log_in(issuer.token({"kid": "two"}))
    assert_error(refused, 503, "temporarily_unavailable", UNAVAILABLE)
    assert issuer.asked == []


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"issuer": "https://other.example"}, "The issuer's metadata names another issuer."),
        ({"jwks_uri": None}, "The issuer's metadata has no jwks_uri."),
        ({"jwks_uri": 7}, "The issuer's metadata has no jwks_uri."),
        ({"jwks_uri": "file:///etc/passwd"}, "The URL is malformed."),
        ({"jwks_uri": "http://10.0.0.1/"}, "The URL must begin with https://."),
    ],
)
def test_metadata_must_be_of_the_issuer_and_say_where_the_keys_are(
    metadata: dict[str, Any], sentence: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys", **metadata}
    real = fetch_json

    def fetch(url: str, **options: Any) -> dict[str, Any]:
        return found if url.endswith(issuers.DISCOVERY) else real(url, **options)

    monkeypatch.setattr(issuers, "fetch_json", fetch)
    with pytest.raises(ValidationError, match=f"cannot be fetched. {sentence}"):
        trust_issuer(issuer.url)


def test_a_set_without_a_usable_key_does_not_replace_the_kept_keys(
    log_in: Callable[[str], Any], issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.token()
    issuer.keys = {}
    make_old(2 * ISSUER_KEYS_FRESH)
    with caplog.at_level(logging.WARNING, "api.issuers"):
        assert log_in(token).status_code == 200
    assert "The JWK Set has no usable key. It is empty." in caplog.text


RSA = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "wA" + "A" * 170}


def test_only_usable_public_keys_of_a_set_are_kept() -> None:
    good = json.loads(Issuer().jwks(alg="ES256", x5t="thumb", use="sig"))["keys"][0]
    others = [{**good, "use": "enc"}, {**good, "kty": "oct"}, RSA, "no key", {}, {**good, "kid": 7}]
    kept = json.loads(issuers.read_jwks({"keys": [*others, good]}))
    assert kept == {"keys": [{name: good[name] for name in ("crv", "kty", "x", "y", "kid", "alg")}]}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        pytest.param({}, "This is not a JWK Set", id="an object"),
        pytest.param([], "This is not a JWK Set", id="a list"),
        pytest.param({"keys": {}}, "This is not a JWK Set", id="keys that are no list"),
        pytest.param({"keys": []}, "no usable key. It is empty.", id="empty"),
        pytest.param({"keys": [RSA]}, "no usable key. An RSA key must have 2048", id="weak RSA"),
        pytest.param(
            {"keys": [{**json.loads(Issuer().jwks())["keys"][0], "kid": ""}]},
            "no usable key. A key has no kid.",
            id="no kid",
        ),
        pytest.param(
            {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one"}]},
            "no usable key. This is a private key",
            id="a shared secret",
        ),
    ],
)
def test_a_set_without_a_usable_key_is_refused_with_a_reason(document: Any, sentence: str) -> None:
    with pytest.raises(issuers.UnusableKeysError, match=sentence):
        issuers.read_jwks(document)
