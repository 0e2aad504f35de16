"""What clients do is counted in memory, and written in batches. No login waits for it."""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from api import client_keys, clients, public_keys
from api.credentials import CURRENT, Login, create_client
from api.models import (
    Client,
    ClientKey,
    ClientProfile,
    ClientUsage,
    RetiredSecret,
    UsageTotal,
    WorkloadIdentity,
)
from api.standing import ClientState
from api.tests.support.assertions import KeyPair, claims_of, presented
from api.tests.support.issuer import SUBJECT, Issuer, form
from api.tests.support.services import eventually
from api.trust import add_identity, trust_issuer
from api.usage import batch, figures, store
from api.usage.collector import Collector, collector

NOW = datetime(2026, 5, 1, 12, 34, 56, 789, UTC)
MINUTE, HOUR = NOW.replace(second=0, microsecond=0), NOW.replace(minute=0, second=0, microsecond=0)
ADDRESS = "2001:db8::1"
START = Collector.start  # which no other test here uses: see conftest.py

pytestmark = pytest.mark.django_db


def counted() -> set[tuple[str, datetime, str, int]]:
    assert collector.flush()
    rows = ClientUsage.objects.values_list("client__username", "hour", "outcome", "count")
    return set(rows)


def totals() -> dict[str, int]:
    assert collector.flush()
    return dict(UsageTotal.objects.values_list("outcome", "count"))


@pytest.fixture
def post(http: APIClient) -> Callable[..., int]:
    def send(body: dict[str, str], address: str = ADDRESS) -> int:
        return int(http.post("/login", body, format="json", REMOTE_ADDR=address).status_code)

    return send


@pytest.fixture
def log_in(post: Callable[..., int]) -> Callable[..., int]:
    def send(client_id: str, secret: str, address: str = ADDRESS) -> int:
        return post({"client_id": client_id, "client_secret": secret}, address)

    return send


@pytest.fixture
def secret() -> str:
    return create_client("reporting")[1]


def state_of(pk: int) -> ClientState:
    return ClientState("", pk, is_active=True, secret_hashes=(), generation=0)


def login_of(client: Client, credential: str = CURRENT, address: str = ADDRESS) -> Login:
    return Login(state_of(client.pk), address, credential, client.password)


# Counts


def test_logins_and_failures_are_counted_by_client_hour_and_reason(
    log_in: Callable[..., int], secret: str, settings: Settings
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = (2, 60)
    with time_machine.travel(NOW, tick=False) as clock:
        assert [log_in("reporting", secret) for _ in range(3)] == [200] * 3
        assert [log_in("reporting", "wrong") for _ in range(4)] == [401, 401, 429, 429]
        assert log_in("nobody", "wrong") == 401
        expected = {
            ("reporting", HOUR, "success", 3),
            ("reporting", HOUR, "wrong secret", 2),
            ("reporting", HOUR, "throttled", 2),
        }
        assert counted() == expected
        clock.shift(timedelta(minutes=30))
        Client.objects.update(is_active=False)
        assert log_in("reporting", secret, "192.0.2.1") == 401
        next_hour = HOUR + timedelta(hours=1)
        assert counted() == expected | {("reporting", next_hour, "inactive client", 1)}
    everyone = {"success": 3, "wrong secret": 2, "throttled": 2}
    assert totals() == everyone | {"unknown client": 1, "inactive client": 1}


def test_a_refused_assertion_counts_for_the_client_that_it_names(
    post: Callable[..., int], secret: str
) -> None:
    client, issuer = Client.objects.get(), Issuer()
    add_identity(client, trust_issuer(issuer.url, given=issuer.jwks()), SUBJECT, {"team": "7"})
    assert post(presented(KeyPair.generate().sign(claims_of("reporting") | {"exp": 1}))) == 401
    assert post(presented(KeyPair.generate().sign(claims_of("reporting")))) == 401
    assert post(form(issuer.token(team="8"))) == 401
    assert {(name, outcome) for name, _, outcome, _ in counted()} == {
        ("reporting", "assertion: expired"),
        ("reporting", "assertion: no key"),
        ("reporting", "identity: wrong claim"),
    }


def test_staff_have_no_usage(
    http: APIClient, log_in: Callable[..., int], django_user_model: type[User]
) -> None:
    django_user_model.objects.create_superuser("boss", password="a password of theirs")
    for password in ("a password of theirs", "wrong"):
        http.post("/admin/login/", {"username": "boss", "password": password})
    assert totals() == {}
    assert log_in("boss", "wrong") == 401
    assert counted() == set()
    assert totals() == {"wrong secret": 1}


# Last use


@pytest.mark.parametrize("kind", ["secret", "previous_secret", "key", "identity"])
def test_each_credential_has_its_last_use_to_the_minute_and_its_name_in_the_log(
    kind: str, post: Callable[..., int], secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    client, pair, issuer = Client.objects.get(), KeyPair.generate(), Issuer()
    (key,) = client_keys.add(client, public_keys.read(pair.public_pem))
    identity = add_identity(client, trust_issuer(issuer.url, given=issuer.jwks()), SUBJECT, {})
    new = clients.rotate_secret(client, grace=timedelta(days=1))
    RetiredSecret.objects.update(expires_at=NOW + timedelta(days=1))
    credential = {"key": f"key:{key.pk}", "identity": f"identity:{identity.pk}"}.get(kind, kind)
    seen = []
    with time_machine.travel(NOW, tick=False) as clock:
        for seconds in (0, 3, 60):
            clock.move_to(NOW + timedelta(seconds=seconds))
            body = {
                "secret": {"client_id": "reporting", "client_secret": new},
                "previous_secret": {"client_id": "reporting", "client_secret": secret},
                "key": presented(pair.sign(claims_of("reporting"))),
                "identity": form(issuer.token()),
            }[kind]
            assert post(body) == 200
            assert collector.flush()
            retired = RetiredSecret.objects.get()
            used = {
                "secret": ClientProfile.objects.get().secret_used_at,
                "previous_secret": retired.last_used_at,
                "key": ClientKey.objects.get().last_used_at,
                "identity": WorkloadIdentity.objects.get().last_used_at,
            }
            at = used.pop(kind)
            assert Client.objects.get().last_login == at
            assert set(used.values()) == {None}
            assert retired.last_used_from == (ADDRESS if kind == "previous_secret" else "")
            seen.append(at)
    assert seen == [MINUTE, MINUTE, MINUTE + timedelta(minutes=1)]
    lines = [record.message for record in caplog.records if "token_issued" in record.message]
    assert [line.rpartition(" ")[2] for line in lines] == [f'credential="{credential}"'] * 3


def test_a_second_use_in_a_minute_changes_no_row(secret: str) -> None:
    client = Client.objects.get()
    with time_machine.travel(NOW, tick=False):
        for address in ("192.0.2.1", "192.0.2.2"):
            collector.count_login(login_of(client, "previous_secret", address))
            RetiredSecret.objects.get_or_create(
                client_id=client.pk, hash=client.password, defaults={"expires_at": NOW}
            )
            assert collector.flush()
    assert RetiredSecret.objects.get().last_used_from == "192.0.2.1"


def test_no_last_use_goes_back_in_time(secret: str) -> None:
    client = Client.objects.get()
    for moment in (NOW, NOW - timedelta(hours=1)):
        with time_machine.travel(moment, tick=False):
            collector.count_login(login_of(client))
            assert collector.flush()
    assert Client.objects.get().last_login == MINUTE
    assert ClientProfile.objects.get().secret_used_at == MINUTE


def test_what_ended_meanwhile_is_not_made_again_and_the_rest_is_written(
    log_in: Callable[..., int], post: Callable[..., int], secret: str
) -> None:
    client, pair, (_, other) = Client.objects.get(), KeyPair.generate(), create_client("other")
    client_keys.add(client, public_keys.read(pair.public_pem))
    deleted, its_secret = create_client("deleted")
    second = clients.rotate_secret(client, grace=timedelta(hours=1))
    assert log_in("reporting", secret) == log_in("reporting", second) == 200
    assert log_in("deleted", its_secret) == 200
    assert post(presented(pair.sign(claims_of("reporting")))) == log_in("other", other) == 200
    clients.rotate_secret(client, grace=timedelta(hours=1))
    ClientKey.objects.all().delete()
    deleted.delete()
    assert {(name, count) for name, _, _, count in counted()} == {("reporting", 3), ("other", 1)}
    assert totals() == {"success": 5}
    assert ClientProfile.objects.get(client=client).secret_used_at is None  # of the new secret
    assert RetiredSecret.objects.get().last_used_at is None  # of the second, since it is retired
    assert not ClientKey.objects.exists()
    assert ClientProfile.objects.get(client__username="other").secret_used_at


# Batches


def test_batch_that_could_not_be_written_is_kept_and_no_login_fails(
    log_in: Callable[..., int],
    secret: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def busy(_batch: batch.Batch) -> None:
        assert log_in("reporting", secret) == 200  # meanwhile
        raise OperationalError("database is locked")

    with time_machine.travel(NOW, tick=False):
        assert log_in("reporting", secret) == 200
        with monkeypatch.context() as patched:
            patched.setattr(store, "write", busy)
            assert not collector.flush()
        assert "Usage is not recorded yet: database is locked" in caplog.text
        assert log_in("reporting", secret) == 200
        assert counted() == {("reporting", HOUR, "success", 3)}


def test_ten_thousand_clients_cost_one_batch_of_few_statements() -> None:
    made = Client.objects.bulk_create(
        Client(username=f"client-{number}", password="hash") for number in range(10_000)
    )
    now = timezone.now()
    RetiredSecret.objects.bulk_create(
        RetiredSecret(client_id=client.pk, hash="hash", expires_at=now) for client in made
    )
    for repeated in range(2):
        for client in made:
            collector.count_login(login_of(client))
            collector.count_login(login_of(client, "previous_secret"))
            collector.count_failure(None, client.username, "assertion: expired")
        with CaptureQueriesContext(connection) as context:
            assert collector.flush()
        writes = [query["sql"].split()[0] for query in context if "SAVEPOINT" not in query["sql"]]
        counts = ["INSERT"] * 3  # 10,000 rows of logins, 10,000 of failures, and the totals
        expected = ["SELECT", "UPDATE", "INSERT", "UPDATE", *counts, "DELETE", "DELETE"]
        assert [verb for verb in writes if verb != "SET"] == expected
        assert ClientUsage.objects.filter(outcome="success").count() == 10_000
        assert Client.objects.exclude(last_login=None).count() == 10_000
        assert totals()["success"] == 20_000 * (repeated + 1)


def test_strangers_cannot_make_a_batch_grow(
    secret: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(batch, "MAX_CLIENTS", 3)
    monkeypatch.setattr(batch, "MAX_NAMES", 2)
    client = Client.objects.get()
    for name in ("x" * 151, "a\0b", "\ud800", "one", "reporting", "two", "three"):
        collector.count_throttled(name)
    for pk in range(client.pk + 3, client.pk - 1, -1):
        collector.count_failure(state_of(pk), "", "wrong secret")
        collector.count_login(Login(state_of(pk), ADDRESS, "key:1"))
    kept = collector.pending
    assert (len(kept.named_counts), len(kept.uses), len(kept.counts)) == (2, 3, 5)
    assert caplog.text.count("Too many clients at once") == 1  # a minute
    assert totals() == {"throttled": 7, "wrong secret": 4, "success": 4}
    assert {(name, outcome) for name, _, outcome, _ in counted()} == {("reporting", "throttled")}


def test_an_unforeseen_error_does_not_end_the_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[object] = []
    own = Collector()

    def fail() -> bool:
        raise RuntimeError

    monkeypatch.setattr(Collector, "start", START)
    monkeypatch.setattr("threading.excepthook", errors.append)
    monkeypatch.setattr("api.usage.collector.INTERVAL", 0.01)
    monkeypatch.setattr(own, "flush", fail)
    own.count_throttled("somebody")
    eventually(lambda: len(errors) == 1)
    own.count_throttled("somebody")
    eventually(lambda: len(errors) == 2)


def test_a_forked_process_leaves_to_its_parent_what_the_parent_has_counted() -> None:
    collector.count_throttled("somebody")
    child = os.fork()
    if not child:
        os._exit(bool(collector.pending))
    assert os.waitpid(child, 0)[1] == 0
    assert collector.pending


def test_usage_is_kept_for_a_time_and_then_deleted_a_little_with_each_batch(
    secret: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USAGE_KEPT = timedelta(days=7)
    monkeypatch.setattr(store, "DELETED_AT_ONCE", 2)
    client = Client.objects.get()
    with time_machine.travel(NOW, tick=False):
        for hours in (167, 168, 169, 170, 171):
            hour = NOW - timedelta(hours=hours)
            for model, whose in ((ClientUsage, {"client": client}), (UsageTotal, {})):
                model.objects.create(hour=hour, outcome=f"{hours}", count=1, **whose)
        left = []
        for _ in range(2):
            collector.count_throttled("nobody")
            assert collector.flush()
            left.append(set(ClientUsage.objects.values_list("outcome", flat=True)))
    assert left == [{"167", "168", "169"}, {"167", "168"}]
    assert set(totals()) == {"167", "168", "throttled"}


# Figures


def test_usage_is_read_by_hour_for_a_client_and_for_all(secret: str) -> None:
    client, (other, _) = Client.objects.get(), create_client("other")
    day = timedelta(days=1)
    for moment in (NOW - day, NOW - timedelta(hours=1), NOW):
        with time_machine.travel(moment, tick=False):
            collector.count_login(login_of(client))
            collector.count_throttled("other")
            assert collector.flush()
    earlier = HOUR - timedelta(hours=1)
    assert figures.of_client(client, earlier, HOUR) == [figures.HourOfUsage(earlier, "success", 1)]
    assert figures.of_all(earlier, NOW) == [
        figures.HourOfUsage(hour, outcome, 1)
        for hour in (earlier, HOUR)
        for outcome in ("success", "throttled")
    ]
    assert figures.failing_most(earlier, 9) == [figures.FailingClient(other, 2)]
    assert figures.failing_most(NOW + day, 9) == []
