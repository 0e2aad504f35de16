"""How many failures are too many: for whom, from where, and exactly."""

import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import Settings
from redis import Redis as Storage
from rest_framework.test import APIClient

from api.credentials import create_client
from api.hashers import ChosenSecretHasher
from api.tests.support.load import log_in
from api.tests.support.needs import need
from api.tests.support.responses import assert_error, basic
from api.tests.support.server import GRANIAN, Server
from api.tests.support.services import Redis
from api.throttling import counters
from api.throttling import limits as throttling
from api.throttling import redis as shared_counters

LIMIT, ADDRESS_LIMIT = 10, 100  # the defaults
WRONG = {"client_id": "reporting", "client_secret": "wrong"}
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"


def attempt(http: APIClient, body: dict[str, str], address: str = HERE, **extra: Any) -> int:
    """Log in from an address and return the status."""
    return int(http.post("/login", body, format="json", REMOTE_ADDR=address, **extra).status_code)


def exhaust(http: APIClient, address: str = HERE) -> None:
    for _ in range(LIMIT):
        assert attempt(http, WRONG, address) == 401
    assert attempt(http, WRONG, address) == 429


def test_failures_of_one_client_from_one_address_are_limited(
    http: APIClient, credentials: dict[str, str]
) -> None:
    exhaust(http)
    response = http.post("/login", credentials, format="json", REMOTE_ADDR=HERE)
    assert_error(response, 429, "slow_down", "Too many attempts; try again later.")
    assert 55 <= int(response["Retry-After"]) <= 60


def test_failures_of_one_address_are_limited_whatever_the_client(
    http: APIClient, credentials: dict[str, str]
) -> None:
    for number in range(ADDRESS_LIMIT):
        assert attempt(http, WRONG | {"client_id": f"client-{number}"}) == 401
    assert attempt(http, credentials) == 429
    assert attempt(http, credentials, ELSEWHERE) == 200


def test_client_at_its_own_address_is_not_locked_out_by_an_attacker_at_another(
    http: APIClient, credentials: dict[str, str]
) -> None:
    exhaust(http, ELSEWHERE)
    assert attempt(http, credentials, HERE) == 200


def test_successes_are_not_counted(http: APIClient, credentials: dict[str, str]) -> None:
    assert {attempt(http, credentials) for _ in range(ADDRESS_LIMIT + 5)} == {200}


def test_retry_after_is_kept_to_the_second(
    http: APIClient, credentials: dict[str, str], settings: Settings
) -> None:
    settings.REDIS_URL = ""  # Redis has a clock of its own
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(LIMIT):
            attempt(http, WRONG)
            clock.shift(timedelta(seconds=2))
        response = http.post("/login", credentials, format="json", REMOTE_ADDR=HERE)
        assert response["Retry-After"] == "40"  # a minute after the first failure
        clock.shift(timedelta(seconds=39))
        assert attempt(http, credentials) == 429
        clock.shift(timedelta(seconds=1))
        assert attempt(http, credentials) == 200


def test_header_that_can_be_read_in_two_ways_is_two_guesses(http: APIClient, db: None) -> None:
    statuses = [
        http.post("/login", {}, format="json", headers=basic("foo", f"a%2B{number}")).status_code
        for number in range(6)
    ]
    assert statuses == [401] * 5 + [429]


def test_no_hash_is_computed_over_the_limit(
    http: APIClient, credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exhaust(http)
    monkeypatch.setattr(ChosenSecretHasher, "verify", None)
    assert attempt(http, WRONG) == 429


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_other_endpoints_that_take_a_secret_are_under_the_same_guard(
    http: APIClient, credentials: dict[str, str], path: str
) -> None:
    exhaust(http)
    body = credentials | {"token": "t"}
    assert http.post(path, body, format="json", REMOTE_ADDR=HERE).status_code == 429
    assert http.post(path, body, format="json", REMOTE_ADDR=ELSEWHERE).status_code == 200


def test_admin_sign_in_is_under_the_same_guard(http: APIClient, db: None) -> None:
    staff = User.objects.create_superuser("reporting", password="a good password")
    for _ in range(LIMIT):
        assert not http.login(username=staff.username, password="wrong")
    form = {"username": staff.username, "password": "a good password"}
    page = http.post("/admin/login/", form, REMOTE_ADDR=ELSEWHERE)
    assert page.status_code == 302
    http.logout()
    for _ in range(LIMIT):
        http.post("/admin/login/", form | {"password": "wrong"}, REMOTE_ADDR=HERE)
    page = http.post("/admin/login/", form, REMOTE_ADDR=HERE)
    assert "Too many failed sign-ins." in page.content.decode()


@pytest.mark.django_db
def test_registrations_are_limited_by_address(http: APIClient) -> None:
    statuses = [
        http.post("/register", {}, format="json", REMOTE_ADDR=HERE).status_code
        for _ in range(LIMIT + 1)
    ]
    assert statuses == [201] * LIMIT + [429]
    assert http.post("/register", {}, format="json", REMOTE_ADDR=ELSEWHERE).status_code == 201


@pytest.mark.parametrize(
    ("addresses", "is_one_caller"),
    [
        pytest.param(("2001:db8::1", "2001:db8::ffff:2"), True, id="one /64"),
        pytest.param(("2001:db8::1", "2001:db8:0:1::1"), False, id="two /64s"),
        pytest.param(("::ffff:192.0.2.1", "192.0.2.1"), True, id="IPv4 in IPv6"),
        pytest.param(("::ffff:192.0.2.1", "::ffff:192.0.2.2"), False, id="two IPv4 in IPv6"),
        pytest.param(("192.0.2.1", "192.0.2.2"), False, id="IPv4"),
    ],
)
def test_one_caller_is_an_ipv4_address_or_an_ipv6_network(
    http: APIClient, credentials: dict[str, str], addresses: tuple[str, str], is_one_caller: bool
) -> None:
    exhaust(http, addresses[0])
    assert attempt(http, credentials, addresses[1]) == (429 if is_one_caller else 200)


def test_forged_forwarded_addresses_change_nothing(
    http: APIClient, credentials: dict[str, str]
) -> None:
    for number in range(LIMIT):
        attempt(http, WRONG, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")
    assert attempt(http, credentials, HTTP_X_FORWARDED_FOR="203.0.113.99") == 429


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        pytest.param(0, "203.0.113.1", HERE, id="no proxy"),
        pytest.param(1, "203.0.113.1", "203.0.113.1", id="one proxy"),
        pytest.param(1, "10.9.9.9, 203.0.113.1", "203.0.113.1", id="forged before one proxy"),
        pytest.param(2, "10.9.9.9,203.0.113.1 , 10.0.0.1", "203.0.113.1", id="two proxies"),
        pytest.param(1, "2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param(1, "::ffff:203.0.113.1", "203.0.113.1", id="IPv4 in IPv6"),
        pytest.param(2, "203.0.113.1", HERE, id="fewer entries than proxies"),
        pytest.param(1, "unknown", HERE, id="no address"),
        pytest.param(1, "", HERE, id="nothing"),
    ],
)
def test_client_address_is_what_the_trusted_proxies_saw(
    settings: Settings, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=HERE, HTTP_X_FORWARDED_FOR=forwarded)
    assert throttling.client_address(request) == address


def test_generated_secret_is_refused_over_the_limit_like_any_other(
    http: APIClient, credentials: dict[str, str]
) -> None:
    other = create_client("other")[1]
    statuses = [attempt(http, WRONG | {"client_secret": other}) for _ in range(LIMIT + 1)]
    assert statuses == [401] * LIMIT + [429]


def test_places_of_a_killed_process_run_out(
    http: APIClient, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_client("reporting", secret="a chosen secret")
    monkeypatch.setattr(throttling, "PATIENCE", 0)
    chosen = WRONG | {"client_secret": "a chosen secret"}
    with time_machine.travel(timezone.now(), tick=False) as clock:
        guards = [
            throttling.attempt(
                RequestFactory().get("/", REMOTE_ADDR=HERE), {"reporting"}, costly=True
            )
            for _ in range(LIMIT)
        ]
        for guard in guards:
            guard.__enter__()  # and never leave
        assert attempt(http, chosen) == 503
        clock.shift(timedelta(seconds=2 * throttling.LEASE))
        assert attempt(http, chosen) == 200


def test_memory_loses_no_count_between_threads() -> None:
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            storage = counters.MemoryStorage()
            together(8, lambda: [storage.incr("key", 60) for _ in range(5)])  # noqa: B023
            assert storage.get("key") == 40
    finally:
        sys.setswitchinterval(switch)


def test_memory_forgets_counters_that_expired() -> None:
    storage = counters.MemoryStorage()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for number in range(1000):
            storage.incr(f"key-{number}", 60)
        clock.shift(timedelta(seconds=61))
        storage.incr("another", 60)
    assert len(storage._counts) == 1


def test_good_generated_secret_costs_no_count(
    http: APIClient, credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters.Counters, "add", None)
    assert attempt(http, credentials) == 200


def test_redis_and_limits_are_loaded_only_where_they_are_used(server: Server) -> None:
    code = "import sys; from api.throttling.counters import counters; counters();"
    code += "print(sorted({'limits', 'redis'} & sys.modules.keys()))"
    assert server.manage("shell", "--no-imports", "-c", code) == "[]\n"
    server.extra = {"REDIS_URL": "redis://127.0.0.1:1"}
    assert server.manage("shell", "--no-imports", "-c", code) == "['limits', 'redis']\n"


def together(number: int, work: Callable[[], object]) -> None:
    """Run a function in so many threads, all begun at the same moment."""
    barrier = threading.Barrier(number)

    def begin() -> None:
        barrier.wait()
        work()

    with ThreadPoolExecutor(number) as pool:
        for future in [pool.submit(begin) for _ in range(number)]:
            future.result()


# Against real processes

GUESSER = """
import time
from concurrent.futures import ThreadPoolExecutor
from django.test import RequestFactory
from api.throttling import limits as throttling, redis as shared_counters
from api.exceptions import InvalidClient, SlowDown
shared_counters.TIMEOUT = throttling.PATIENCE = 60  # an overloaded machine is another subject

def guess(_):
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1")
    try:
        with throttling.attempt(request, {"foo"}, costly=True):
            print("hash")  # where it would be computed
            time.sleep(0.02)
            raise InvalidClient
    except InvalidClient:
        print("401")
    except SlowDown:
        print("429")

def go():
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(guess, range(50)))
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    need(shutil.which("redis-server"), "redis-server")
    redis = Redis()
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
def guarded(server: Server, redis: Redis) -> Server:
    """A service behind one proxy, with Redis, and with a client `foo` whose secret is `bar`."""
    code = "from api.credentials import create_client; create_client('foo', secret='bar')"
    server.manage("shell", "--command", code)
    Storage.from_url(redis.url).flushall()
    server.extra = {"REDIS_URL": redis.url, "TRUSTED_PROXIES": "1"}
    return server


@pytest.mark.redis
def test_exactly_the_limit_of_parallel_guesses_in_four_processes_reach_the_hash(
    guarded: Server,
) -> None:
    counts = Counter(guarded.race(GUESSER, 4))
    assert counts == {"hash": LIMIT, "401": LIMIT, "429": 200 - LIMIT}


@pytest.mark.redis
def test_victim_logs_in_while_an_attacker_guesses_at_its_secret(guarded: Server) -> None:
    attacker, victim = {"X-Forwarded-For": ELSEWHERE}, {"X-Forwarded-For": HERE}
    arguments = (*GRANIAN, "--port", str(guarded.port), "--workers", "4")
    with guarded.running(arguments), ThreadPoolExecutor(56) as pool:
        calls = [pool.submit(log_in, guarded, "foo", "guess", attacker) for _ in range(200)]
        calls += [pool.submit(log_in, guarded, "foo", "bar", victim) for _ in range(50)]
        statuses = [call.result().status for call in calls]
    assert Counter(statuses[:200]) == {401: LIMIT, 429: 200 - LIMIT}
    assert Counter(statuses[200:]) == {200: 50}


@pytest.mark.redis
@pytest.mark.fault
@pytest.mark.parametrize("fault", ["frozen", "gone"])
def test_logins_go_on_without_redis(guarded: Server, redis: Redis, fault: str) -> None:
    victim = {"X-Forwarded-For": HERE}
    with guarded.running():
        assert log_in(guarded, "foo", "bar", victim).status == 200
        if fault == "gone":
            redis.stop()
            answers = [log_in(guarded, "foo", "bar", victim) for _ in range(10)]
            wrong = [log_in(guarded, "foo", "wrong", victim).status for _ in range(LIMIT + 1)]
            redis.start()
        else:
            with redis.frozen():
                answers = [log_in(guarded, "foo", "bar", victim) for _ in range(10)]
                wrong = [log_in(guarded, "foo", "wrong", victim).status for _ in range(LIMIT + 1)]
        assert {answer.status for answer in answers} == {200}
        assert answers[0].seconds < 2 * shared_counters.TIMEOUT
        assert max(answer.seconds for answer in answers[1:]) < shared_counters.TIMEOUT
        assert wrong == [401] * LIMIT + [429]
        assert guarded.log.count("Redis failed") == 1
        time.sleep(counters.STORE_PAUSE)
        assert log_in(guarded, "foo", "bar", victim).status == 200  # counted in Redis again
    assert guarded.log.count("Redis failed") == 1
