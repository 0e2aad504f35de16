"""What must not be configured, and how that is told."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.core.checks import Tags, run_checks
from django.db import InterfaceError, OperationalError
from pytest_django import Settings

from api import health, keys
from api.checks.credentials import check_stored_hashes
from api.credentials import create_client
from api.hashers import ChosenSecretHasher
from api.models import SigningKey
from api.tests.support.server import PROJECT, free_port
from api.throttling import redis


def ids(
    databases: list[str] | None = None,
    tags: Sequence[str] = (Tags.security,),
    *,
    deploy: bool = False,
) -> list[str]:
    tags = [Tags.database] if databases else tags
    messages = run_checks(tags=tags, databases=databases, include_deployment_checks=deploy)
    own = [message for message in messages if str(message.id).startswith("api.")]
    assert all(message.hint for message in own)
    return [str(message.id) for message in own]


def test_settings_as_they_are_pass(db: None) -> None:
    assert ids() == []
    assert ids(["default"]) == []


@pytest.mark.parametrize("key", ["short", "a" * 60, f"django-insecure-{'0123456789' * 5}"])
@pytest.mark.parametrize("fallbacks", [False, True])
def test_weak_secret_key(settings: Settings, key: str, fallbacks: bool) -> None:
    settings.SECRET_KEY = configured.SECRET_KEY if fallbacks else key
    settings.SECRET_KEY_FALLBACKS = [key] if fallbacks else []
    assert ids() == ["api.E001"]


def test_http_in_public(settings: Settings) -> None:
    settings.PUBLIC_URL, settings.IS_LOCAL = "http://auth.example.com", False
    assert ids() == ["api.E002"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (None, []),
        ("/auth", []),
        ("/login/auth", []),
        ("/login", ["api.E008"]),
        ("/admin", ["api.E008"]),
        ("/admin/api", ["api.E008"]),
        ("/static", ["api.E008"]),
    ],
)
def test_path_of_the_service_itself(
    settings: Settings, path: str | None, expected: list[str]
) -> None:
    settings.FORCE_SCRIPT_NAME, settings.STATIC_URL = path, f"{path or ''}/static/"
    assert ids(tags=[Tags.urls]) == expected


def test_debug_in_public(settings: Settings) -> None:
    settings.DEBUG, settings.IS_LOCAL = True, False
    settings.PUBLIC_URL = "https://auth.example.com"
    assert ids() == ["api.E003"]


@pytest.mark.parametrize(
    ("passes", "memory", "expected"),
    [
        (2, 19456, []),
        (1, 47104, []),
        (9, 7168, []),
        (2, 19455, ["api.E004"]),
        (0, 9**9, ["api.E004"]),
    ],
)
def test_argon2_parameters(
    monkeypatch: pytest.MonkeyPatch, passes: int, memory: int, expected: list[str]
) -> None:
    monkeypatch.setattr(ChosenSecretHasher, "time_cost", passes)
    monkeypatch.setattr(ChosenSecretHasher, "memory_cost", memory)
    assert ids() == expected


def test_another_hasher_first(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = list(reversed(settings.PASSWORD_HASHERS))
    assert ids() == ["api.E004"]


@pytest.mark.parametrize("name", ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"])
def test_cookies_that_are_not_secure(settings: Settings, name: str) -> None:
    settings.IS_HTTPS = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    setattr(settings, name, False)
    assert ids() == ["api.E005"]


@pytest.mark.parametrize(
    ("redis_url", "directory", "expected"),
    [
        ("", "/run/figures", ["api.W001"]),
        ("redis://", "", ["api.W004"]),
        ("redis://", "/run/figures", []),
    ],
)
def test_workers_that_count_by_themselves(
    settings: Settings, redis_url: str, directory: str, expected: list[str]
) -> None:
    settings.WORKERS, settings.REDIS_URL, settings.METRICS_DIRECTORY = 2, redis_url, directory
    assert ids() == expected


# What only `check --deploy` says


@pytest.fixture
def public(settings: Settings) -> Settings:
    """Settings of a public service that the checks have nothing to say about."""
    settings.IS_LOCAL, settings.PUBLIC_URL = False, "https://auth.example.com"
    settings.ALLOWED_HOSTS = ["auth.example.com", "auth.internal", "[2001:db8::7]"]
    settings.SECURE_SSL_REDIRECT, settings.TRUSTED_PROXIES = True, 1
    settings.REDIS_URL = ""
    assert ids(deploy=True) == []
    return settings


@pytest.mark.parametrize(
    ("is_https", "proxies", "expected"),
    [(True, 0, ["api.W007"]), (True, 1, []), (False, 0, [])],
)
def test_https_without_a_trusted_proxy(
    public: Settings, is_https: bool, proxies: int, expected: list[str]
) -> None:
    public.SECURE_SSL_REDIRECT, public.TRUSTED_PROXIES = is_https, proxies
    assert ids(deploy=True) == expected
    assert ids() == []


@pytest.mark.parametrize(
    "error",
    [OperationalError("no route\nto it"), InterfaceError("closed"), health.NotMigratedError("…")],
    ids=["down", "closed", "not-migrated"],
)
def test_database_that_makes_the_service_not_ready(
    public: Settings, db: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    assert ids(["default"], deploy=True) == []

    def fail() -> None:
        raise error

    monkeypatch.setattr(health, "_check_migrations", fail)
    assert ids(["default"], deploy=True) == ["api.E010"]
    assert ids(["default"]) == ids(deploy=True) == []


def test_service_for_this_machine_only(public: Settings) -> None:
    public.IS_LOCAL = True
    assert ids(deploy=True) == ["api.W008"]
    assert ids() == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("*", ["api.E009"]),
        (".example.com", ["api.E009"]),
        ("localhost", ["api.W009"]),
        ("127.0.0.1", ["api.W009"]),
        ("[::1]", ["api.W009"]),
        ("10.0.0.7", []),
    ],
)
def test_name_that_the_service_should_not_answer_to(
    public: Settings, host: str, expected: list[str]
) -> None:
    public.ALLOWED_HOSTS = ["auth.example.com", host]
    assert ids(deploy=True) == expected


def use_postgresql(
    public: Settings, monkeypatch: pytest.MonkeyPatch, host: str, options: dict[str, str]
) -> None:
    changed = {"ENGINE": "authdemo.postgresql", "HOST": host, "OPTIONS": options}
    for name, value in changed.items():
        monkeypatch.setitem(public.DATABASES["default"], name, value)


@pytest.mark.parametrize(
    ("host", "options", "expected"),
    [
        ("db.example.com", {}, ["api.W010"]),
        ("10.0.0.7", {"sslmode": "prefer"}, ["api.W010"]),
        ("localhost,db.example.com", {}, ["api.W010"]),
        ("localhost", {"hostaddr": "10.0.0.7"}, ["api.W010"]),
        ("db.example.com", {"sslmode": "require"}, []),
        ("db.example.com", {"sslmode": "verify-full"}, []),
        ("db.example.com", {"sslrootcert": "system"}, []),
        ("127.0.0.1,::1", {}, []),
        ("/run/postgresql", {}, []),
    ],
)
def test_database_that_is_asked_in_the_clear(
    public: Settings,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    options: dict[str, str],
    expected: list[str],
) -> None:
    use_postgresql(public, monkeypatch, host, options)
    assert ids(deploy=True) == expected
    assert ids() == []


@pytest.mark.parametrize(
    ("host", "options", "environment", "expected"),
    [
        ("db.example.com", {}, {"PGSSLMODE": "verify-full"}, []),
        ("db.example.com", {}, {"PGSSLMODE": "prefer"}, ["api.W010"]),
        ("db.example.com", {}, {"PGSSLROOTCERT": "system"}, []),
        ("db.example.com", {"sslmode": "disable"}, {"PGSSLMODE": "require"}, ["api.W010"]),
        ("", {}, {"PGHOST": "db.example.com"}, ["api.W010"]),
        ("localhost", {}, {"PGHOST": "db.example.com"}, []),
        ("localhost", {}, {"PGHOSTADDR": "10.0.0.7"}, ["api.W010"]),
    ],
)
def test_database_that_the_environment_of_libpq_tells_of(
    public: Settings,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    options: dict[str, str],
    environment: dict[str, str],
    expected: list[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    use_postgresql(public, monkeypatch, host, options)
    assert ids(deploy=True) == expected


def test_sqlite_does_not_read_the_environment_of_libpq(
    public: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    for name, value in {"ENGINE": "authdemo.sqlite3", "HOST": "", "OPTIONS": {}}.items():
        monkeypatch.setitem(public.DATABASES["default"], name, value)
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://redis.example.com", ["api.W011"]),
        ("redis://:p%40ss@10.0.0.7:6379/0", ["api.W011"]),
        ("redis+sentinel://u:p@[::1]:26379,s2:26379/main/0", ["api.W011"]),
        ("rediss://redis.example.com?ssl_cert_reqs=none", ["api.W011"]),
        ("rediss://redis.example.com", []),
        ("rediss+sentinel://s1,s2/main", []),
        ("redis://localhost:6379/0?db=1", []),
        ("redis://u:p@[::1]:6379", []),
        ("unix:///run/redis/redis.sock?db=0", []),
    ],
)
def test_redis_that_is_asked_in_the_clear(
    public: Settings, monkeypatch: pytest.MonkeyPatch, url: str, expected: list[str]
) -> None:
    monkeypatch.setattr(redis.RedisStore, "add", lambda *_: None)
    public.REDIS_URL = url
    assert ids(deploy=True) == expected
    assert ids() == []


def test_redis_that_does_not_answer_is_said_soon(public: Settings) -> None:
    public.REDIS_URL = f"redis://127.0.0.1:{free_port()}"
    began = time.monotonic()
    assert ids(deploy=True) == ["api.W005"]
    assert time.monotonic() - began < 2
    assert ids() == []


def test_no_signing_key(db: None) -> None:
    SigningKey.objects.all().delete()
    keys.forget()
    assert ids(["default"]) == ["api.W002"]


def test_signing_key_of_another_secret_key(db: None, settings: Settings) -> None:
    settings.SECRET_KEY = "another secret key that nothing here was ever encrypted with"
    keys.forget()
    assert ids(["default"]) == ["api.W002"]


@pytest.mark.parametrize(("secret", "expected"), [("bar", ["api.E006"]), ("other", [])])
def test_secret_of_the_demo_in_public(
    db: None, settings: Settings, secret: str, expected: list[str]
) -> None:
    settings.IS_LOCAL = False
    create_client("foo", secret=secret)
    assert ids(["default"]) == expected


def test_hashes_that_nobody_can_read_are_counted(db: None) -> None:
    create_client("generated")
    create_client("chosen", secret="bar")
    User.objects.create_user("unusable")
    assert ids(["default"]) == []
    for number, stored in enumerate(("$2b$12$x", "md5$a$b", "$argon2id$v=19$m=8")):
        User.objects.create(username=f"imported-{number}", password=stored)
    (warning,) = check_stored_hashes(["default"])
    assert warning.id == "api.W006"
    assert "can read 3 of the stored hashes" in warning.msg
    assert ids(["default"]) == ["api.W006"]


def test_no_check_is_silenced() -> None:
    assert configured.SILENCED_SYSTEM_CHECKS == []


def test_public_settings_pass_the_deployment_checks() -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PUBLIC_URL": "https://auth.example.com",
        "SECRET_KEY": "a secret key for the checks that tests make of 50 and more",
        "TRUSTED_PROXIES": "1",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
