"""What each environment variable does, and that a bad one stops the start with one sentence."""

import errno
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from api.tests.support.server import PROJECT

KEY = "Zm9yIHRlc3RzLCBhbmQgZm9yIG5vdGhpbmcgZWxzZSBhdCBhbGw_"
PUBLIC = {"PUBLIC_URL": "https://auth.example.com", "SECRET_KEY": KEY}
URL = (
    "PUBLIC_URL must be an http or https URL such as 'https://auth.example.com' or "
    "'https://example.com/auth'."
)
WEAK = (
    "{} is too weak. Use 50 random characters or more, such as `python3 -c "
    "'import secrets; print(secrets.token_urlsafe(64))'` prints."
)
DATABASE = (
    "DATABASE_URL must be sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME. "
    "Percent-encode special characters."
)
REDIS = (
    "REDIS_URL must be redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss:// for TLS, or "
    "redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME/NUMBER."
)
Load = Callable[..., ModuleType]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of settings alone, so that a key file of its own is made."""
    (tmp_path / "authdemo").mkdir()
    shutil.copy(PROJECT / "authdemo" / "settings.py", tmp_path / "authdemo")
    return tmp_path


@pytest.fixture
def load(project: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that reads the settings under these environment variables and no others."""

    def load(**variables: str) -> ModuleType:
        monkeypatch.setattr(environ.Env, "ENVIRON", variables)
        spec = importlib.util.spec_from_file_location("s", project / "authdemo" / "settings.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def rate(name: str, default: str, value: str) -> Any:
    sentence = f"{name} must be a rate such as {default!r}, not {value!r}."
    return pytest.param({name: value}, sentence, id=f"{name}={value}")


def refused(variables: dict[str, str], sentence: str) -> Any:
    name = re.sub(r"\W+", "-", " ".join(f"{name}={value}" for name, value in variables.items()))
    return pytest.param(variables, sentence, id=name[:60])


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        refused({"PUBLIC_URL": "$URL"}, "PUBLIC_URL must not begin with a $."),
        refused({"DATABASE_URL": "$URL"}, "DATABASE_URL must not begin with a $."),
        *[
            refused({"PUBLIC_URL": url, "SECRET_KEY": KEY}, URL)
            for url in (
                "",
                "auth.example.com",
                "ftp://auth.example.com",
                "HTTPS://auth.example.com",
                "https://",
                "https://user:secret@auth.example.com",
                "https://auth.example.com?query",
                "https://auth.example.com/path?query",
                "https://auth.example.com/path?",
                "https://auth.example.com#fragment",
                "https://auth.example.com/path#fragment",
                "https://auth.example.com//path",
                "https://auth.example.com/a/../path",
                "https://auth.example.com/.well-known",
                "https://auth.example.com/a%20path",
                "https://auth.example.com/påth",
                "https://auth.example.com/path;a=b",
                "https://auth.example.com/path\n",
                "https://[1:2]",
                "https://auth.example.com:port",
                "https://auth.example.com:",
                "https://auth.example.com:99999",
                "https://[::1",
                "https://*",
                "https://.example.com",
                "https://auth.example.com.",
                "https://auth example.com",
                "https://auth_example.com",
                "https://äuth.example.com",
                " https://auth.example.com",
            )
        ],
        *[
            refused(
                {"PUBLIC_URL": url, "SECRET_KEY": KEY},
                f"PUBLIC_URL must be https unless it is local, not {url!r}.",
            )
            for url in ("http://auth.example.com", "http://10.0.0.1", "http://0.0.0.0:8000")
        ],
        refused(
            {"PUBLIC_URL": "https://auth.example.com"},
            "SECRET_KEY is required when PUBLIC_URL is public.",
        ),
        *[
            refused({**PUBLIC, "SECRET_KEY": key}, WEAK.format("SECRET_KEY"))
            for key in ("short", "x" * 60, "django-insecure-" + KEY)
        ],
        refused({"SECRET_KEY": "short"}, WEAK.format("SECRET_KEY")),
        *[
            refused(
                {"ALLOWED_HOSTS": f"auth.internal,{host}"},
                "ALLOWED_HOSTS must be names or addresses with commas between them, such as "
                f"'auth.internal,[2001:db8::7]', not {host!r}.",
            )
            for host in ("*", ".example.com", "auth.internal:8000", "https://a.example", "a b")
        ],
        refused(
            {"SECRET_KEY": f"{KEY},"},
            "SECRET_KEY must not contain a comma, because SECRET_KEY_FALLBACKS could not hold it.",
        ),
        refused({"SECRET_KEY_FALLBACKS": f"{KEY},short"}, WEAK.format("SECRET_KEY_FALLBACKS")),
        refused({"DEBUG": "maybe"}, "DEBUG must be true or false, not 'maybe'."),
        refused({**PUBLIC, "DEBUG": "true"}, "DEBUG must be off when PUBLIC_URL is public."),
        *[
            refused({name: value}, f"{name} must be a number, 0 or more, not {value!r}.")
            for name in ("TRUSTED_PROXIES", "GRANIAN_WORKERS", "DRAIN_SECONDS")
            for value in ("-1", "one", "1.5", "")
        ],
        *[
            refused({"DATABASE_URL": url}, DATABASE)
            for url in (
                "",
                "nonsense",
                "mysql://user:secret@host/name",
                "postgress://user:secret@host/name",
                "postgres://user:secret@host",
                "postgres://user:secret@host:port/name",
                "postgres://user:sec@ret@host/name",
                "postgres://user:100%secret@host/name",
                "postgres://user:%ff@host/name",
                "postgres://user:secret@host/name?sslmod=require",
                "//user:secret@host/name",
            )
        ],
        *[
            refused({"REDIS_URL": url}, REDIS)
            for url in (
                "nonsense",
                "http://:secret@host",
                "redis://:secret@host:port/0",
                "redis://:secret@host/zero",
                "redis://:secret@host/0?ssl_ca_certs=/ca.pem",
                "redis://:secret@host:70000/0",
                "redis+sentinel://:secret@host:26379",
                "redis+sentinel://:secret@host:port/main/0",
                "redis+sentinel://:secret@host/main/0?unknown=1",
            )
        ],
        *[
            refused(
                {"CORS_ORIGINS": f"https://app.example.com,{origin}"},
                "CORS_ORIGINS must be origins such as 'https://app.example.com', separated by "
                f"commas, not {origin!r}. Only this machine may be http.",
            )
            for origin in (
                "*",
                "null",
                "app.example.com",
                "https://App.example.com",
                "https://app.example.com/",
                "https://app.example.com/path",
                "https://app.example.com:443",
                "https://app.example.com:",
                "https://*.example.com",
                "https://user@app.example.com",
                "http://app.example.com",
                "http://localhost:80",
                "http://localhost.evil.example",
            )
        ],
        refused(
            {"REDIS_URL": "rediss://:secret@host/0?ssl_ca_certs=/no/ca.pem"},
            "REDIS_URL must name an ssl_ca_certs that exists, not '/no/ca.pem'.",
        ),
        refused(
            {"JWT_ALGORITHM": "none"},
            "JWT_ALGORITHM must be one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, "
            "PS512, ES256, ES384, ES512, EdDSA, not 'none'.",
        ),
        *[
            refused(
                {**PUBLIC, "ISSUER": url},
                f"ISSUER must be PUBLIC_URL, with or without a slash at its end, not {url!r}.",
            )
            for url in (
                "",
                "https://auth.example.com//",
                "https://auth.example.com/path",
                "https://elsewhere.example.com",
            )
        ],
        refused(
            {"JWT_AUDIENCE": ""}, "JWT_AUDIENCE must not be empty. Unset it to use PUBLIC_URL."
        ),
        refused(
            {"PROMETHEUS_MULTIPROC_DIR": "/nowhere"},
            "PROMETHEUS_MULTIPROC_DIR must be a directory that this process may write, not "
            "/nowhere.",
        ),
        refused({"REGISTRATION": "yes"}, "REGISTRATION must be one of open, closed, not 'yes'."),
        rate("FAILED_LOGINS_PER_CLIENT", "10/minute", "many"),
        rate("FAILED_LOGINS_PER_CLIENT", "10/minute", ""),
        rate("FAILED_LOGINS_PER_CLIENT", "10/minute", "0/minute"),
        rate("FAILED_LOGINS_PER_CLIENT", "10/minute", "1/minute;2/hour"),
        rate("FAILED_LOGINS_PER_CLIENT", "10/minute", "10"),
        rate("FAILED_LOGINS_PER_CLIENT", "10/minute", "\u0661/minute"),
        rate("FAILED_LOGINS_PER_ADDRESS", "100/minute", "-1/minute"),
        rate("REGISTRATIONS_PER_ADDRESS", "10/minute", "10/fortnight"),
        *[
            refused({name: value}, f"{name} must be a time such as {example!r}, not {value!r}.")
            for name, example, values in (
                ("ACCESS_TOKEN_LIFETIME", "5m", ("", "0m", "25h", "2d", "5", "-5m", "5m\n")),
                ("SECRET_MAX_AGE", "90d", ("never", "0d", "3651d", "1.5d", " 90d")),
            )
            for value in values
        ],
        refused(
            {"LOG_LEVEL": "loud"},
            "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'loud'.",
        ),
        refused({"LOG_FORMAT": "xml"}, "LOG_FORMAT must be one of text, json, not 'xml'."),
    ],
)
def test_bad_value_stops_the_start_with_one_sentence(
    load: Load, variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        load(**variables)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "age"),
    [("", 0), ("90s", 90), ("12h", 12 * 3600), ("90d", 90 * 86400), ("3650d", 3650 * 86400)],
)
def test_greatest_age_of_a_secret_is_read(load: Load, value: str, age: int) -> None:
    assert timedelta(seconds=age) == load(SECRET_MAX_AGE=value).SECRET_MAX_AGE


def test_nothing_need_be_set_locally(load: Load, project: Path) -> None:
    settings = load()
    assert settings.DEBUG is False
    assert settings.ALLOWED_HOSTS == ["localhost", "localhost", "127.0.0.1", "[::1]"]
    assert settings.CSRF_TRUSTED_ORIGINS == ["http://localhost:8000"]
    assert (
        settings.PUBLIC_URL == settings.ISSUER == settings.JWT_AUDIENCE == "http://localhost:8000"
    )
    assert settings.JWT_ALGORITHM == "ES256"
    assert settings.REGISTRATION == "open"
    assert settings.DATABASES["default"]["NAME"] == str(project / "db.sqlite3")
    assert settings.SESSION_COOKIE_SECURE is settings.CSRF_COOKIE_SECURE is False
    assert settings.SECURE_SSL_REDIRECT is False
    assert settings.SECURE_HSTS_SECONDS == 0
    assert cookies(settings) == ({"access_token", "sessionid", "csrftoken"}, {"/"})
    assert not hasattr(settings, "SECURE_PROXY_SSL_HEADER")


def test_public_url_sets_what_follows_from_it(load: Load, project: Path) -> None:
    settings = load(**PUBLIC)
    assert settings.ALLOWED_HOSTS == ["auth.example.com"]
    assert settings.CSRF_TRUSTED_ORIGINS == ["https://auth.example.com"]
    assert settings.JWT_AUDIENCE == "https://auth.example.com"
    assert settings.REGISTRATION == "closed"
    assert settings.SESSION_COOKIE_SECURE is settings.CSRF_COOKIE_SECURE is True
    assert settings.SECURE_SSL_REDIRECT is True
    assert settings.SECURE_HSTS_SECONDS == 31536000
    assert settings.SECURE_HSTS_INCLUDE_SUBDOMAINS is settings.SECURE_HSTS_PRELOAD is True
    assert cookies(settings) == (
        {"__Host-access_token", "__Host-sessionid", "__Host-csrftoken"},
        {"/"},
    )
    assert not (project / ".secret_key").exists()


def test_further_hosts_stand_beside_the_public_one(load: Load) -> None:
    hosts = "Auth.internal, 10.0.0.7 ,[2001:db8::7]"
    settings = load(**PUBLIC, ALLOWED_HOSTS=hosts)
    named = "auth.example.com auth.internal 10.0.0.7 [2001:db8::7]"
    assert " ".join(settings.ALLOWED_HOSTS) == named
    assert settings.CSRF_TRUSTED_ORIGINS == ["https://auth.example.com"]


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [({}, 0), (PUBLIC, 10), (PUBLIC | {"DRAIN_SECONDS": "30"}, 30)],
    ids=["local", "public", "set"],
)
def test_public_service_drains_before_it_stops(
    load: Load, variables: dict[str, str], seconds: int
) -> None:
    found = load(**variables).DRAIN_SECONDS
    assert found == seconds


@pytest.mark.parametrize("slash", ["", "/"])
def test_path_of_the_url_is_that_of_everything(load: Load, slash: str) -> None:
    settings = load(PUBLIC_URL=f"https://example.com/a/auth{slash}", SECRET_KEY=KEY)
    assert settings.PUBLIC_URL == settings.ISSUER == "https://example.com/a/auth"
    assert settings.FORCE_SCRIPT_NAME == "/a/auth"
    assert settings.STATIC_URL == "/a/auth/static/"
    assert settings.ALLOWED_HOSTS == ["example.com"]
    assert settings.CSRF_TRUSTED_ORIGINS == ["https://example.com"]
    assert cookies(settings) == (
        {"__Secure-access_token", "__Secure-sessionid", "__Secure-csrftoken"},
        {"/a/auth"},
    )


def cookies(settings: ModuleType) -> tuple[set[str], set[str]]:
    """Return the names of the cookies, and their paths."""
    names = ("ACCESS_TOKEN_COOKIE", "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME")
    paths = ("SESSION_COOKIE_PATH", "CSRF_COOKIE_PATH")
    return {getattr(settings, name) for name in names}, {getattr(settings, name) for name in paths}


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://Auth.Example.COM", ["auth.example.com"]),
        ("https://auth.example.com:8443", ["auth.example.com"]),
        ("https://[2001:DB8:0:0::1]:8443", ["[2001:db8:0:0::1]", "[2001:db8::1]"]),
    ],
)
def test_host_is_allowed_as_programs_and_as_browsers_write_it(
    load: Load, url: str, hosts: list[str]
) -> None:
    settings = load(PUBLIC_URL=url, SECRET_KEY=KEY)
    assert hosts == settings.ALLOWED_HOSTS
    assert [url] == settings.CSRF_TRUSTED_ORIGINS


def test_issuer_may_end_in_a_slash(load: Load) -> None:
    settings = load(**PUBLIC, ISSUER="https://auth.example.com/")
    assert settings.ISSUER == "https://auth.example.com/"
    assert settings.PUBLIC_URL == settings.JWT_AUDIENCE == "https://auth.example.com"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://localhost", ["localhost"]),
        ("http://127.0.0.2:9000", ["127.0.0.2"]),
        ("http://[::1]:8000", ["[::1]"]),
    ],
)
def test_loopback_is_local_by_any_name(load: Load, url: str, hosts: list[str]) -> None:
    settings = load(PUBLIC_URL=url)
    assert settings.IS_LOCAL is True
    assert set(hosts) < set(settings.ALLOWED_HOSTS)
    assert settings.SECURE_HSTS_SECONDS == 0, "a browser would remember it for every project here"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("", []),
        ("https://app.example.com", ["https://app.example.com"]),
        (
            "https://a.example:8443, http://localhost:3000,http://[::1]:8080",
            ["https://a.example:8443", "http://localhost:3000", "http://[::1]:8080"],
        ),
    ],
)
def test_cors_is_for_the_origins_that_are_named(load: Load, value: str, named: list[str]) -> None:
    settings = load(CORS_ORIGINS=value)
    assert named == settings.CORS_ALLOWED_ORIGINS
    for path in ("/login", "/private", "/admin", "/admin/", "/admin/login/"):
        matches = bool(re.match(settings.CORS_URLS_REGEX, path))
        assert matches == bool(named and not path.startswith("/admin/"))


def test_slash_at_the_end_of_the_url_is_no_part_of_the_issuer(load: Load) -> None:
    assert load(PUBLIC_URL="https://auth.example.com/", SECRET_KEY=KEY).PUBLIC_URL == (
        "https://auth.example.com"
    )


@pytest.mark.parametrize(
    ("value", "is_on"),
    [("1", True), ("True", True), ("on", True), ("0", False), ("false", False), ("", False)],
)
def test_debug_is_on_only_where_it_is_asked_for(load: Load, value: str, is_on: bool) -> None:
    assert load(DEBUG=value).DEBUG is is_on


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REGISTRATION", "open"),
        ("JWT_AUDIENCE", "https://api.example.com"),
        ("JWT_ALGORITHM", "HS512"),
        ("REDIS_URL", "rediss://:secret@redis.example.com:6380/1"),
        ("REDIS_URL", "redis+sentinel://[::1]:26379,host/main?sentinel_password=secret"),
        ("LOG_LEVEL", "DEBUG"),
        ("LOG_FORMAT", "json"),
    ],
)
def test_value_that_is_set_is_taken(load: Load, name: str, value: str) -> None:
    assert getattr(load(**PUBLIC, **{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("LOG_FORMAT", "JSON", "json"),
        ("JWT_ALGORITHM", "eddsa", "EdDSA"),
    ],
)
def test_choice_is_taken_in_any_case(load: Load, name: str, value: str, meant: str) -> None:
    assert getattr(load(**{name: value}), name) == meant


@pytest.mark.parametrize(
    ("value", "rate"),
    [("3/second", (3, 1)), ("30/minute", (30, 60)), ("3/hour", (3, 3600)), ("9/day", (9, 86400))],
)
def test_rate_is_how_many_in_how_many_seconds(
    load: Load, value: str, rate: tuple[int, int]
) -> None:
    names = ("FAILED_LOGINS_PER_CLIENT", "FAILED_LOGINS_PER_ADDRESS", "REGISTRATIONS_PER_ADDRESS")
    loaded = load(**dict.fromkeys(names, value))
    assert [getattr(loaded, name) for name in names] == [rate] * 3


def test_fallbacks_are_separated_by_commas(load: Load) -> None:
    keys = [KEY, KEY[::-1]]
    assert keys == load(SECRET_KEY_FALLBACKS=",".join(keys)).SECRET_KEY_FALLBACKS


def test_postgresql_is_reached_as_the_url_says(load: Load) -> None:
    url = "postgres://user:p%40ss@db.example.com:6432/name?sslmode=require"
    database = load(DATABASE_URL=url).DATABASES["default"]
    said = {name: database[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    assert said == {
        "NAME": "name",
        "USER": "user",
        "PASSWORD": "p@ss",
        "HOST": "db.example.com",
        "PORT": "6432",
    }
    assert database["ENGINE"].endswith("postgresql")
    assert database["OPTIONS"]["sslmode"] == "require"


# The key file


def test_key_is_made_once_and_read_by_its_owner_alone(load: Load, project: Path) -> None:
    key = load().SECRET_KEY
    assert len(key) >= 50
    assert key == load().SECRET_KEY
    assert stat.S_IMODE((project / ".secret_key").stat().st_mode) == 0o600
    assert [path.name for path in project.iterdir() if path.is_file()] == [".secret_key"]


def test_processes_that_start_at_once_have_one_key(project: Path) -> None:
    code = "from authdemo import settings; print(settings.SECRET_KEY)"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=project, env={}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    keys = [process.communicate(timeout=30)[0] for process in processes]
    assert len(set(keys)) == 1
    assert keys[0].strip() == (project / ".secret_key").read_text()


def test_empty_key_file_is_named(load: Load, project: Path) -> None:
    (project / ".secret_key").touch()
    with pytest.raises(ImproperlyConfigured) as caught:
        load()
    assert str(caught.value) == WEAK.format(".secret_key")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        pytest.param("open", errno.EROFS, id="read-only file system"),
        pytest.param("open", errno.EACCES, id="directory of somebody else"),
        pytest.param("link", errno.EPERM, id="no hard links"),
    ],
)
def test_key_file_that_cannot_be_made_stops_the_start_with_one_sentence(
    load: Load, project: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    def fail(*_args: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(f"os.{call}", fail)
    with pytest.raises(ImproperlyConfigured) as caught:
        load()
    path = project / ".secret_key"
    assert str(caught.value) == (
        f"SECRET_KEY is not set, and {path} cannot be used instead: {os.strerror(error)}."
    )
    assert [path.name for path in project.iterdir() if path.is_file()] == []


# The commands


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["manage.py", "check"], ["-c", "import authdemo.wsgi"]])
def test_every_way_to_start_says_the_sentence_and_no_more(arguments: list[str]) -> None:
    done = run(*arguments, PUBLIC_URL="https://auth.example.com")
    assert done.returncode == 1
    assert done.stderr == "SECRET_KEY is required when PUBLIC_URL is public.\n"


WITHOUT_ENVIRON = """
import runpy, sys
sys.modules["environ"], sys.argv = None, ["manage.py", "check"]
runpy.run_path("manage.py", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        pytest.param(["-S", "manage.py", "check"], "Django", id="no-site-packages"),
        pytest.param(["-c", WITHOUT_ENVIRON], "environ", id="one-of-them"),
    ],
)
def test_manage_without_its_packages_says_what_to_do(arguments: list[str], package: str) -> None:
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stderr == (
        f"{package} is not installed for this Python: activate the virtual environment, "
        "or run `pip install -r authdemo/requirements.txt`.\n"
    )


def test_forwarded_scheme_is_believed_of_trusted_proxies_alone(load: Load) -> None:
    settings = load(**PUBLIC, TRUSTED_PROXIES="1")
    assert settings.SECURE_PROXY_SSL_HEADER == ("HTTP_X_FORWARDED_PROTO", "https")
    assert not hasattr(load(**PUBLIC), "SECURE_PROXY_SSL_HEADER")


def test_hsts_speaks_for_subdomains_unless_told_not_to(load: Load) -> None:
    settings = load(**PUBLIC, HSTS_SUBDOMAINS="false")
    assert settings.SECURE_HSTS_SECONDS == 31536000
    assert settings.SECURE_HSTS_INCLUDE_SUBDOMAINS is settings.SECURE_HSTS_PRELOAD is False


def test_empty_metrics_directory_is_none_for_prometheus_client_too(load: Load) -> None:
    assert load(PROMETHEUS_MULTIPROC_DIR="").METRICS_DIRECTORY == ""
    assert "PROMETHEUS_MULTIPROC_DIR" not in environ.Env.ENVIRON
