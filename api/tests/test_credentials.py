"""Whether credentials are good, what finding out costs, and how a secret is replaced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import argon2
import pytest
import time_machine
from django.contrib.auth import authenticate, hashers
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from api import clients, credentials, tokens
from api.claims import LIFETIME
from api.clients import SecretChangedError, rotate_secret
from api.credentials import BadCredentialsError, Login, create_client
from api.hashers import GeneratedSecretHasher, generate_secret
from api.models import Client, RetiredSecret
from api.scopes import get_or_create_scopes
from api.standing import look_up_for_login
from api.tests.support.responses import is_good
from api.usage.collector import collector

pytestmark = pytest.mark.django_db

CHOSEN = "correct horse"


def check(client_id: str, secret: str) -> Login | None:
    """Check credentials, with no reason given where they are refused."""
    try:
        return credentials.check(client_id, secret, address="192.0.2.1")
    except BadCredentialsError:
        return None


@pytest.fixture
def secret() -> str:
    """The generated secret of client `generated`."""
    return create_client("generated")[1]


@pytest.fixture
def chosen() -> Client:
    """Client `chosen`, whose secret somebody typed."""
    return create_client("chosen", secret=CHOSEN)[0]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each slow hash has been computed."""
    credentials._dummy_hash()  # computed once a process
    counts = {"argon2": 0, "pbkdf2": 0}

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return function(*args, **kwargs)

        return counted

    for owner, attribute, name in (
        (argon2.low_level, "hash_secret", "argon2"),
        (argon2._password_hasher, "verify_secret", "argon2"),
        (hashers, "pbkdf2", "pbkdf2"),
    ):
        monkeypatch.setattr(owner, attribute, counting(name, getattr(owner, attribute)))
    return counts


def store(client_id: str, password: str, *, is_active: bool = True) -> User:
    return User.objects.create(username=client_id, password=password, is_active=is_active)


def log_in(http: APIClient, client_id: str, secret: str) -> str | None:
    body = {"client_id": client_id, "client_secret": secret}
    response = http.post("/login", body, format="json")
    assert response.status_code in {200, 401}
    token: str | None = response.data.get("access_token")
    return token


# Which secrets are good


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_other_secret_is_ever_accepted(secret: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(secret)))
    end = data.draw(st.integers(position, min(position + 2, len(secret))))
    edited = st.builds(lambda text: secret[:position] + text + secret[end:], st.text(max_size=2))
    presented = data.draw(
        st.one_of(edited, st.text(), st.builds(generate_secret), st.just(secret.swapcase()))
    )
    assert (check("generated", presented) is not None) == (presented == secret)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(presented=st.text())
@example(CHOSEN + "\0")
@example(CHOSEN + " ")
@example(CHOSEN.upper())
@example("")
@example(generate_secret())
def test_no_other_chosen_secret_is_ever_accepted(chosen: Client, presented: str) -> None:
    assert (check("chosen", presented) is not None) == (presented == CHOSEN)


@pytest.mark.parametrize(
    "client_id", ["Generated", "generated ", " generated", "generated\0", "", "\uff47enerated"]
)
def test_client_id_is_compared_exactly(secret: str, client_id: str) -> None:
    assert check("generated", secret)
    assert check(client_id, secret) is None


def test_stored_hash_is_no_secret(secret: str) -> None:
    stored = Client.objects.get().password
    for presented in (stored, stored.split("$")[1]):
        assert check("generated", presented) is None


UNREADABLE = [
    pytest.param("$2b$12$x", id="bcrypt without a prefix"),
    pytest.param("md5$a$b", id="Django's md5"),
    pytest.param("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", id="argon2 without a prefix"),
    pytest.param("5f4dcc3b5aa765d61d8327deb882cf99", id="md5"),
    pytest.param("plain", id="plain"),
]


@pytest.mark.parametrize(
    "stored",
    [
        *("", "!", "!unusable", "argon2$nonsense", "bcrypt$nonsense", "bcrypt_sha256$$2b$12$x"),
        *("scrypt$x$1$1$1$x", "pbkdf2_sha256$99999999999999999999$a$b"),
        *UNREADABLE,
    ],
)
def test_hash_that_nobody_can_read_lets_nobody_in(stored: str) -> None:
    store("broken", stored)
    for presented in ("", "plain", stored, generate_secret()):
        assert check("broken", presented) is None


@pytest.mark.parametrize("presented", ["a guess", generate_secret()], ids=["chosen", "generated"])
@pytest.mark.parametrize("stored", UNREADABLE)
def test_hash_of_an_unknown_kind_is_named_as_the_reason(
    runs: dict[str, int], stored: str, presented: str
) -> None:
    store("broken", stored)
    with pytest.raises(BadCredentialsError, match=r"^unreadable hash$"):
        credentials.check("broken", presented, address="192.0.2.1")
    assert runs["argon2"] == (1 if presented == "a guess" else 0), "what an unknown client costs"


@pytest.mark.parametrize("client_id", ["generated", "chosen", "empty", "unusable"])
@pytest.mark.parametrize("presented", ["a guess", generate_secret()], ids=["chosen", "generated"])
def test_wrong_secret_is_named_as_the_reason(
    chosen: Client, secret: str, client_id: str, presented: str
) -> None:
    store("empty", "")
    store("unusable", make_password(None))
    with pytest.raises(BadCredentialsError, match=r"^wrong secret$"):
        credentials.check(client_id, presented, address="192.0.2.1")


# What a check costs


@pytest.mark.parametrize(
    ("presented", "argon2_runs"),
    [
        pytest.param("a guess", 1, id="chosen form"),
        pytest.param("", 1, id="empty"),
        pytest.param(generate_secret(), 0, id="generated form"),
        pytest.param("32-characters-without-any-space!", 1, id="random form"),
        pytest.param("a guess\n", 2, id="chosen form, newline"),
        pytest.param(f"{CHOSEN}\n", 2, id="right but for a newline"),
        pytest.param(f"{generate_secret()} ", 1, id="generated form, space"),
    ],
)
@pytest.mark.parametrize(
    "client_id", ["chosen", "generated", "off", "broken", "unusable", "nobody"]
)
def test_cost_depends_on_the_form_of_the_presented_secret_alone(
    chosen: Client,
    secret: str,
    runs: dict[str, int],
    client_id: str,
    presented: str,
    argon2_runs: int,
) -> None:
    store("off", chosen.password, is_active=False)
    store("broken", "argon2$nonsense")
    store("unusable", make_password(None))
    runs.update(argon2=0)
    assert check(client_id, presented) is None
    assert runs == {"argon2": argon2_runs, "pbkdf2": 0}


def test_cost_of_a_secret_that_ends_in_a_space_is_the_same_where_it_is_right(
    runs: dict[str, int],
) -> None:
    store("off", make_password("bar "), is_active=False)
    store("on", make_password("bar "))
    for client_id in ("off", "on"):
        runs.update(argon2=0)
        assert (check(client_id, "bar ") is not None) == (client_id == "on")
        assert runs == {"argon2": 2, "pbkdf2": 0}


RANDOM = "kqVbU4yD8mZ2nT6wX0cR5aJ9eL3gH7sP"


@pytest.mark.parametrize(
    ("client_id", "presented", "status", "argon2_runs"),
    [
        pytest.param("random", RANDOM, 200, 0, id="right"),
        pytest.param("rotated", RANDOM, 200, 0, id="right, in its grace period"),
        pytest.param("random", RANDOM.swapcase(), 401, 1, id="wrong"),
        pytest.param("random", f"{RANDOM} ", 401, 2, id="space"),
        pytest.param("nobody", RANDOM, 401, 1, id="unknown client"),
        pytest.param("off", RANDOM, 401, 1, id="inactive client"),
        pytest.param("keys-only", RANDOM, 401, 1, id="client that must use a key"),
        pytest.param("generated", RANDOM, 401, 1, id="client with a generated secret"),
        pytest.param("slow", RANDOM, 200, 1, id="right, with a slow hash"),
        pytest.param("short", RANDOM[1:], 401, 1, id="fast hash of a secret that is too short"),
    ],
)
@pytest.mark.usefixtures("secret")
def test_secret_imported_as_random_costs_no_slow_hash_and_any_refusal_costs_one(
    http: APIClient,
    runs: dict[str, int],
    client_id: str,
    presented: str,
    status: int,
    argon2_runs: int,
) -> None:
    fast = make_password(RANDOM, hasher=GeneratedSecretHasher.algorithm)
    for name in ("random", "rotated", "keys-only"):
        store(name, fast)
    store("off", fast, is_active=False)
    store("slow", make_password(RANDOM))
    store("short", make_password(RANDOM[1:], hasher=GeneratedSecretHasher.algorithm))
    rotate_secret(Client.objects.get(username="rotated"), grace=timedelta(hours=1))
    clients.restrict(Client.objects.get(username="keys-only"), "private_key_jwt")
    for name in ("random", "rotated", "slow"):
        User.objects.get(username=name).groups.add(*get_or_create_scopes(["read"]))
    runs.update(argon2=0)
    body = {"client_id": client_id, "client_secret": presented}
    response = http.post("/login", body, format="json")
    scope = "read" if status == 200 else None
    assert (response.status_code, response.data.get("scope")) == (status, scope)
    assert runs == {"argon2": argon2_runs, "pbkdf2": 0}


def test_log_says_why_a_right_secret_that_was_imported_as_random_is_refused() -> None:
    fast = make_password(RANDOM, hasher=GeneratedSecretHasher.algorithm)
    store("off", fast, is_active=False)
    with pytest.raises(BadCredentialsError, match=r"^inactive client$"):
        credentials.check("off", RANDOM, address="192.0.2.1")
    store("boss", fast)
    User.objects.filter(username="boss").update(is_staff=True)
    with pytest.raises(BadCredentialsError, match=r"^not staff$"):
        credentials.check("boss", RANDOM, address="192.0.2.1", is_staff=True)


def test_djangos_own_check_leaves_a_secret_imported_as_random_good(http: APIClient) -> None:
    client = store("random", make_password(RANDOM, hasher=GeneratedSecretHasher.algorithm))
    assert client.check_password(RANDOM)
    assert not client.check_password(RANDOM.swapcase())
    assert log_in(http, "random", RANDOM)
    assert log_in(http, "random", RANDOM)


def test_good_login_costs_as_much_as_a_bad_one(
    chosen: Client, secret: str, runs: dict[str, int]
) -> None:
    assert check("chosen", CHOSEN)
    assert runs == {"argon2": 1, "pbkdf2": 0}
    assert check("generated", secret)
    assert runs == {"argon2": 1, "pbkdf2": 0}


def test_generated_form_costs_no_slow_hash_even_where_one_is_stored(runs: dict[str, int]) -> None:
    store("imported", make_password("bar", hasher="pbkdf2_sha256"))
    runs.update(pbkdf2=0)
    assert check("imported", generate_secret()) is None
    assert runs == {"argon2": 0, "pbkdf2": 0}


# Django's own ways to check a password


def test_djangos_own_check_leaves_a_generated_secret_as_fast_as_it_was(
    secret: str, runs: dict[str, int]
) -> None:
    client = Client.objects.get()
    stored = client.password
    assert client.check_password(secret)
    backend = ModelBackend()
    request = RequestFactory().post("/")
    assert backend.authenticate(request, username="generated", password=secret) is not None
    client.refresh_from_db()
    assert client.password == stored
    assert check("generated", secret)
    assert runs == {"argon2": 0, "pbkdf2": 0}


@pytest.mark.parametrize("wrong", ["a guess", generate_secret()])
def test_sign_in_is_the_same_check(
    chosen: Client, secret: str, runs: dict[str, int], wrong: str
) -> None:
    request = RequestFactory().post("/admin/login/")
    User.objects.update(is_staff=True)
    user = authenticate(request, username="chosen", password=CHOSEN)
    assert user is not None
    assert user.get_username() == "chosen"
    assert authenticate(request, username="generated", password=secret) is None  # no person's
    for client_id in ("chosen", "generated", "nobody"):
        assert authenticate(request, username=client_id, password=wrong) is None
    assert runs["argon2"] == 1 + (3 if wrong == "a guess" else 0)


# Upgrades


@pytest.fixture
def imported() -> User:
    """Client `imported`, from another Django project."""
    return store("imported", make_password("bar", hasher="pbkdf2_sha256"))


def test_nothing_may_follow_an_imported_secret(imported: User) -> None:
    for presented in ("bar\0", "bar\0\0", "bar "):  # PBKDF2 pads its key with zeros
        assert check("imported", presented) is None


def test_imported_hash_logs_in_and_becomes_argon2id(http: APIClient, imported: User) -> None:
    assert log_in(http, "imported", "baz") is None
    token = log_in(http, "imported", "bar")
    imported.refresh_from_db()
    assert imported.password.startswith("argon2$argon2id$")
    assert is_good(http, token)
    assert log_in(http, "imported", "bar")
    assert log_in(http, "imported", "baz") is None


def test_weaker_argon2_becomes_the_preferred_one(http: APIClient) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("bar")
    user = store("weak", f"argon2{weak}")
    assert log_in(http, "weak", "bar")
    user.refresh_from_db()
    assert "$m=19456,t=2,p=1$" in user.password
    upgraded = user.password
    assert log_in(http, "weak", "bar")
    user.refresh_from_db()
    assert user.password == upgraded


def test_token_from_before_an_upgrade_lives_out_its_time(
    http: APIClient, imported: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        with monkeypatch.context() as patch:
            patch.setattr(credentials, "_upgrade", lambda client, secret, encoded: encoded)
            early = log_in(http, "imported", "bar")
        clock.shift(1)
        assert log_in(http, "imported", "bar")
        imported.refresh_from_db()
        assert imported.password.startswith("argon2$")
        clock.shift(298)
        assert is_good(http, early)


@contextmanager
def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> Iterator[None]:
    """Let something happen between a login's check and its upgrade."""

    def hash_after(secret: str) -> str:
        patch.undo()
        act()
        return make_password(secret)

    with monkeypatch.context() as patch:
        patch.setattr(credentials, "make_password", hash_after)
        yield


def test_of_two_upgrades_at_once_both_logins_are_good(
    http: APIClient, imported: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = []
    with meanwhile(monkeypatch, lambda: logins.append(check("imported", "bar"))):
        logins.append(check("imported", "bar"))
    with_token = [tokens.issue(login, ()).text for login in logins if login]
    assert [is_good(http, token) for token in with_token] == [True, True]
    assert log_in(http, "imported", "bar")


@pytest.mark.parametrize("grace", [None, timedelta(hours=1)])
def test_login_during_a_rotation_gets_a_token_of_the_secret_it_used(
    http: APIClient, imported: User, monkeypatch: pytest.MonkeyPatch, grace: timedelta | None
) -> None:
    client = Client.objects.get()
    with meanwhile(monkeypatch, lambda: rotate_secret(client, grace=grace)):
        token = log_in(http, "imported", "bar")
    imported.refresh_from_db()
    assert imported.password.startswith("generated_sha256$")
    assert is_good(http, token) == bool(grace)


def test_generated_secret_is_never_stored_anew(http: APIClient, secret: str) -> None:
    stored = Client.objects.get().password
    assert log_in(http, "generated", secret)
    assert Client.objects.get().password == stored


# Rotation


def test_grace_leaves_both_secrets_and_their_tokens_good_until_it_ends(
    http: APIClient, secret: str
) -> None:
    with time_machine.travel(timezone.now().replace(microsecond=0), tick=False) as clock:
        new = rotate_secret(Client.objects.get(), grace=timedelta(hours=1))
        clock.shift(timedelta(minutes=59, seconds=59))
        with_old, with_new = log_in(http, "generated", secret), log_in(http, "generated", new)
        assert is_good(http, with_old)
        clock.shift(1)
        assert log_in(http, "generated", secret) is None
        assert not is_good(http, with_old)
        assert is_good(http, with_new)
        assert log_in(http, "generated", new)


def test_token_from_before_a_rotation_with_grace_lives_out_its_time(
    http: APIClient, secret: str
) -> None:
    with time_machine.travel(timezone.now().replace(microsecond=0), tick=False) as clock:
        token = log_in(http, "generated", secret)
        rotate_secret(Client.objects.get(), grace=timedelta(hours=1))
        clock.shift(LIFETIME - 1)
        assert is_good(http, token)
        clock.shift(1)
        assert not is_good(http, token)


def test_chosen_secret_stays_good_in_its_grace(http: APIClient, chosen: Client) -> None:
    token = log_in(http, "chosen", CHOSEN)
    new = rotate_secret(chosen, grace=timedelta(hours=1))
    assert is_good(http, token)
    assert is_good(http, log_in(http, "chosen", CHOSEN))
    assert is_good(http, log_in(http, "chosen", new))
    assert Client.objects.get().password.startswith("generated_sha256$")


def test_rotation_without_grace_ends_secret_and_tokens_at_once(
    http: APIClient, secret: str
) -> None:
    token = log_in(http, "generated", secret)
    new = rotate_secret(Client.objects.get())
    assert not is_good(http, token)
    assert log_in(http, "generated", secret) is None
    assert log_in(http, "generated", new)


@pytest.mark.parametrize("grace", [None, timedelta(hours=1)])
def test_second_rotation_ends_the_oldest_secret(
    http: APIClient, secret: str, grace: timedelta | None
) -> None:
    with_first = log_in(http, "generated", secret)
    second = rotate_secret(Client.objects.get(), grace=timedelta(hours=1))
    with_second = log_in(http, "generated", second)
    third = rotate_secret(Client.objects.get(), grace=grace)
    assert log_in(http, "generated", secret) is None
    assert not is_good(http, with_first)
    assert is_good(http, with_second) == bool(grace)
    assert bool(log_in(http, "generated", second)) == bool(grace)
    assert log_in(http, "generated", third)


def test_password_set_by_django_ends_the_secret_in_grace_too(http: APIClient, secret: str) -> None:
    token = log_in(http, "generated", secret)
    new = rotate_secret(Client.objects.get(), grace=timedelta(hours=1))
    client = Client.objects.get()
    client.set_password("another")
    client.save()
    assert log_in(http, "generated", secret) is None
    assert log_in(http, "generated", new) is None
    assert not is_good(http, token)
    assert log_in(http, "generated", "another")


def test_of_two_rotations_at_once_one_wins_and_the_other_says_so(
    http: APIClient, secret: str
) -> None:
    one, other = Client.objects.get(), Client.objects.get()
    won = rotate_secret(one, grace=timedelta(hours=1))
    with pytest.raises(SecretChangedError, match="generated has just been changed"):
        rotate_secret(other)
    assert log_in(http, "generated", won)
    assert log_in(http, "generated", secret)
    assert RetiredSecret.objects.count() == 1


def test_version_names_one_secret(secret: str) -> None:
    client = Client.objects.get()
    seen = clients.secret_version(client)
    rotate_secret(client, grace=timedelta(hours=1), version=seen)
    with pytest.raises(SecretChangedError):
        rotate_secret(client, version=seen)
    assert client.password not in seen
    rotate_secret(client, version=clients.secret_version(client))


# Last used


def test_refused_login_is_no_use(http: APIClient, secret: str) -> None:
    assert log_in(http, "generated", "a guess") is None
    User.objects.update(is_active=False)
    assert log_in(http, "generated", secret) is None
    assert collector.flush()
    assert Client.objects.get().last_login is None


@contextmanager
def read_only() -> Iterator[None]:
    """Let the database refuse every write."""
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute(
            "PRAGMA query_only = ON" if is_sqlite else "SET LOCAL transaction_read_only = on"
        )
    yield
    if is_sqlite:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = OFF")


def test_database_that_refuses_writes_stops_no_correct_login(
    http: APIClient, secret: str, imported: User
) -> None:
    with read_only():
        token = log_in(http, "generated", secret)
        assert is_good(http, token)
        token = log_in(http, "imported", "bar")
        assert is_good(http, token)
        assert log_in(http, "imported", "baz") is None
    assert Client.objects.get(pk=imported.pk).password == imported.password


# New clients


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"client_id": "generated"}, "username", id="taken"),
        pytest.param({"client_id": "a b"}, "username", id="space"),
        pytest.param({"client_id": "a%20b"}, "username", id="percent"),
        pytest.param({"client_id": "a\n"}, "username", id="newline"),
        pytest.param({"client_id": "e\u0301"}, "username", id="combining mark"),
        pytest.param({"client_id": "a\u200b"}, "username", id="zero width"),
        pytest.param({"client_id": "x" * 151}, "username", id="long id"),
        pytest.param({"name": "x" * 151}, "first_name", id="long name"),
        pytest.param({"scopes": ["a b"]}, "scopes", id="two scopes in one"),
        pytest.param({"scopes": [""]}, "scopes", id="empty scope"),
        pytest.param({"scopes": ["read", "é"]}, "scopes", id="scope beyond ASCII"),
        pytest.param({"scopes": ["x" * 151]}, "name", id="long scope"),
    ],
)
def test_client_that_cannot_be_is_not_made(
    secret: str, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        create_client(**arguments)
    assert raised.value.message_dict.keys() == {field}
    assert [client.username for client in Client.objects.all()] == ["generated"]


def test_of_two_clients_with_one_id_one_is_made(secret: str) -> None:
    with pytest.raises(ValidationError, match="taken"):
        create_client("generated")
    assert Client.objects.count() == 1


def test_revoking_all_tokens_twice_ends_those_between(http: APIClient, secret: str) -> None:
    seen = []
    for _ in range(2):
        seen.append(log_in(http, "generated", secret))
        tokens.revoke_all(Client.objects.all())
        assert not any(is_good(http, token) for token in seen)
    assert is_good(http, log_in(http, "generated", secret))


def test_scopes_are_read_only_for_a_secret_that_matches(secret: str) -> None:
    """So the time of a refusal does not grow with the number of scopes."""
    client = Client.objects.get()
    client.groups.set([Group.objects.create(name=f"scope-{number}") for number in range(20)])
    wrong = GeneratedSecretHasher().encode(generate_secret(), "")
    assert look_up_for_login("generated", secret_hash=wrong).groups == ()
    assert len(look_up_for_login("generated", secret_hash=client.password).groups) == 20
    rotate_secret(client, grace=timedelta(hours=1))
    retired = GeneratedSecretHasher().encode(secret, "")
    assert len(look_up_for_login("generated", secret_hash=retired).groups) == 20
