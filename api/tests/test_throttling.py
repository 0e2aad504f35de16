"""How many failures are too many: for whom, from where, and exactly."""

import shutil
import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings
from redis import Redis as Storage
from rest_framework.test import APIClient

from api.credentials import create_client
from api.hashers import ChosenSecretHasher, GeneratedSecretHasher
from api.tests.support.load import call, log_in
from api.tests.support.needs import need
from api.tests.support.responses import assert_error, basic
from api.tests.support.server import GRANIAN, Server
from api.tests.support.services import Redis
from api.throttling import counters, memory
from api.throttling.memory import MemoryStore
from api.throttling.redis import RedisStore
from api.throttling.redis_url import TIMEOUT
from api.throttling.store import Counter, Store

LIMIT, ADDRESS_LIMIT = 10, 100  # the defaults
WRONG = {"client_id": "reporting", "client_secret": "wrong"}
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"


@dataclass
class Clock:
    now: float = 1_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which memory counts."""
    clock = Clock()
    monkeypatch.setattr(memory, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def chosen(db: None) -> dict[str, str]:
    """The credentials of a client with a chosen secret."""
    create_client("reporting", secret="a chosen secret")
    return {"client_id": "reporting", "client_secret": "a chosen secret"}


def attempt(http: APIClient, body: dict[str, str], address: str = HERE, **extra: Any) -> int:
    """Log in from an address and return the status."""
    return int(http.post("/login", body, format="json", REMOTE_ADDR=address, **extra).status_code)


def exhaust(http: APIClient, address: str = HERE) -> None:
    for _ in range(LIMIT):
        assert attempt(http, WRONG, address) == 401
    assert attempt(http, WRONG, address) == 429


def test_failures_of_one_client_from_one_address_are_limited(
    http: APIClient, chosen: dict[str, str]
) -> None:
    exhaust(http)
    response = http.post("/login", chosen, format="json", REMOTE_ADDR=HERE)
    assert_error(response, 429, "slow_down", "Too many attempts; try again later.")
    assert 55 <= int(response["Retry-After"]) <= 60


def test_failures_of_one_address_are_limited_whatever_the_client(
    http: APIClient, chosen: dict[str, str]
) -> None:
    for number in range(ADDRESS_LIMIT):
        assert attempt(http, WRONG | {"client_id": f"client-{number}"}) == 401
    assert attempt(http, chosen) == 429
    assert attempt(http, chosen, ELSEWHERE) == 200


def test_client_at_its_own_address_is_not_locked_out_by_an_attacker_at_another(
    http: APIClient, chosen: dict[str, str]
) -> None:
    exhaust(http, ELSEWHERE)
    assert attempt(http, chosen, HERE) == 200


def test_successes_are_not_counted(http: APIClient, chosen: dict[str, str]) -> None:
    assert {attempt(http, chosen) for _ in range(ADDRESS_LIMIT + 5)} == {200}


def test_retry_after_is_kept_to_the_second(
    http: APIClient, chosen: dict[str, str], settings: Settings, clock: Clock
) -> None:
    settings.REDIS_URL = ""  # Redis has a clock of its own
    for _ in range(LIMIT):
        attempt(http, WRONG)
        clock.now += 2
    response = http.post("/login", chosen, format="json", REMOTE_ADDR=HERE)
    assert response["Retry-After"] == "40"  # a minute after the first failure
    clock.now += 39
    assert attempt(http, chosen) == 429
    clock.now += 1
    assert attempt(http, chosen) == 200


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
    http: APIClient, chosen: dict[str, str], path: str
) -> None:
    exhaust(http)
    body = chosen | {"token": "t"}
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
    http: APIClient, chosen: dict[str, str], addresses: tuple[str, str], is_one_caller: bool
) -> None:
    exhaust(http, addresses[0])
    assert attempt(http, chosen, addresses[1]) == (429 if is_one_caller else 200)


def test_forged_forwarded_addresses_change_nothing(http: APIClient, chosen: dict[str, str]) -> None:
    for number in range(LIMIT):
        attempt(http, WRONG, HTTP_X_FORWARDED_FOR=f"203.0.113.{number}")
    assert attempt(http, chosen, HTTP_X_FORWARDED_FOR="203.0.113.99") == 429


def test_wrong_generated_secret_is_counted_like_any_other(
    http: APIClient, credentials: dict[str, str]
) -> None:
    other = create_client("other")[1]
    statuses = [attempt(http, WRONG | {"client_secret": other}) for _ in range(LIMIT + 1)]
    assert statuses == [401] * LIMIT + [429]


def test_right_generated_secret_is_accepted_whatever_others_did_at_its_address(
    http: APIClient, credentials: dict[str, str]
) -> None:
    exhaust(http)
    assert attempt(http, credentials) == 200
    assert attempt(http, WRONG) == 429  # and it gave nothing back to those who guess


def test_success_takes_back_its_own_guesses_alone(http: APIClient, chosen: dict[str, str]) -> None:
    for _ in range(LIMIT - 1):
        assert attempt(http, WRONG) == 401
    assert {attempt(http, chosen) for _ in range(3)} == {200}
    assert [attempt(http, WRONG) for _ in range(2)] == [401, 429]


def test_login_that_met_a_fault_is_no_failure(
    http: APIClient, chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr("api.credentials.look_up_for_login", fail)
        assert {attempt(http, WRONG) for _ in range(LIMIT + 1)} == {503}
    assert attempt(http, chosen) == 200


def test_clock_that_is_set_back_locks_nobody_out(
    http: APIClient, chosen: dict[str, str], settings: Settings
) -> None:
    settings.REDIS_URL = ""  # Redis has a clock of its own
    exhaust(http)
    with time_machine.travel(timezone.now() - timedelta(hours=1)):
        response = http.post("/login", chosen, format="json", REMOTE_ADDR=HERE)
        assert int(response["Retry-After"]) <= 60


def test_memory_loses_no_count_between_threads() -> None:
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            store, counter = MemoryStore(), [Counter("key", 1, limit=39, window=60)]
            together(8, lambda: [store.add(counter) for _ in range(5)])  # noqa: B023
            assert store.find_full(counter)
            store.take_back(counter)
            assert not store.find_full(counter)
    finally:
        sys.setswitchinterval(switch)


def test_memory_forgets_counters_whose_window_has_ended(clock: Clock) -> None:
    store = MemoryStore()
    for number in range(1000):
        store.add([Counter(f"key-{number}", 1, limit=1, window=60)])
    clock.now += 61
    store.add([Counter("another", 1, limit=1, window=60)])
    assert len(store._counts) == 1


@pytest.mark.parametrize("kind", ["memory", pytest.param("redis", marks=pytest.mark.redis)])
def test_store_adds_to_all_counters_or_to_none(kind: str, request: pytest.FixtureRequest) -> None:
    store: Store = MemoryStore()
    if kind == "redis":
        store = RedisStore(request.getfixturevalue("redis").url)
    client, address = Counter("client", 1, limit=1, window=60), Counter("address", 1, 10, window=9)
    assert store.add([client, address]) is None
    full = store.add([address, client])
    assert full
    assert (full.key, 59 < full.seconds <= 60) == ("client", True)
    assert store.add([address._replace(amount=9)]) is None  # what was refused was not added
    full = store.find_full([address])
    assert full
    assert (full.key, 8 < full.seconds <= 9) == ("address", True)
    store.take_back([client, address._replace(amount=9)])
    assert store.find_full([client, address]) is None
    one = Counter("nothing", 1, limit=1, window=60)
    store.take_back([one._replace(amount=5)])
    assert store.add([one]) is None
    assert store.add([one])  # it was never below 0


def test_right_random_secret_asks_no_counter_and_waits_for_no_slow_hash(
    http: APIClient, credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "kqVbU4yD8mZ2nT6wX0cR5aJ9eL3gH7sP"
    imported = make_password(secret, hasher=GeneratedSecretHasher.algorithm)
    User.objects.create(username="imported", password=imported)
    monkeypatch.setattr("api.throttling.guard.counters", None)
    monkeypatch.setattr("api.throttling.guard.slow_hashes", None)
    assert attempt(http, credentials) == 200
    assert attempt(http, {"client_id": "imported", "client_secret": secret}) == 200


def test_redis_is_loaded_only_where_it_is_used(server: Server) -> None:
    code = "import sys; from api.throttling.counters import counters; counters();"
    code += "print('redis' in sys.modules)"
    assert server.manage("shell", "--no-imports", "-c", code) == "False\n"
    server.extra = {"REDIS_URL": "redis://127.0.0.1:1"}
    assert server.manage("shell", "--no-imports", "-c", code) == "True\n"


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
from api.credentials import BadCredentialsError
import api.throttling.redis_url
from api.throttling import slow_hashes
from api.throttling.guard import TooManyFailuresError, guard
api.throttling.redis_url.TIMEOUT = 60  # an overloaded machine is another subject
slow_hashes.MAX_PER_NETWORK = 50

def guess(_):
    try:
        with guard("192.0.2.1", ["foo"], is_slow=True):
            print("hash")  # where it would be computed
            time.sleep(0.02)
            raise BadCredentialsError("wrong secret")
    except BadCredentialsError:
        print("401")
    except TooManyFailuresError:
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
    guarded.extra["GRANIAN_BLOCKING_THREADS"] = "200"  # so that all 50 may wait
    counts = Tally(guarded.race(GUESSER, 4))
    assert counts == {"hash": LIMIT, "401": LIMIT, "429": 200 - LIMIT}


@pytest.mark.redis
def test_victim_logs_in_while_an_attacker_guesses_at_its_secret(guarded: Server) -> None:
    attacker, victim = {"X-Forwarded-For": ELSEWHERE}, {"X-Forwarded-For": HERE}
    arguments = (*GRANIAN, "--port", str(guarded.port), "--workers", "4")
    with guarded.running(arguments), ThreadPoolExecutor(50) as pool:
        assert log_in(guarded, "foo", "bar", victim).status == 200
        for _ in range(LIMIT - 1):
            assert log_in(guarded, "foo", "guess", attacker).status == 401
        guesses = [pool.submit(log_in, guarded, "foo", "guess", attacker) for _ in range(200)]
        logins = [log_in(guarded, "foo", "bar", victim).status for _ in range(25)]
        statuses = Tally(guess.result().status for guess in guesses)
    assert logins == [200] * 25
    assert statuses[401] <= 1
    assert statuses.keys() <= {401, 429, 503}


@pytest.mark.redis
@pytest.mark.fault
def test_flood_of_guesses_leaves_the_other_threads_free(guarded: Server) -> None:
    """Of 8 threads one computes a hash and two wait for it. Further guesses are refused."""
    arguments = (*GRANIAN, "--port", str(guarded.port), "--blocking-threads", "8")
    with guarded.running(arguments), ThreadPoolExecutor(40) as pool:
        guesses = [
            pool.submit(log_in, guarded, "foo", "guess", {"X-Forwarded-For": f"10.{number}.0.1"})
            for number in range(200)
        ]
        others = [call(guarded, "/livez").status for _ in range(20)]
        answers = [guess.result() for guess in guesses]
    refused = [answer for answer in answers if answer.status == 503]
    assert others == [200] * 20
    assert {answer.status for answer in answers} == {401, 503}
    assert {answer.headers["retry-after"] for answer in refused} == {"2"}


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
        assert answers[0].seconds < 2 * TIMEOUT
        assert max(answer.seconds for answer in answers[1:]) < TIMEOUT
        assert wrong == [401] * LIMIT + [429]
        assert guarded.log.count("Redis failed") == 1
        time.sleep(counters.REDIS_PAUSE)
        assert log_in(guarded, "foo", "bar", victim).status == 200  # counted in Redis again
    assert guarded.log.count("Redis failed") == 1
