"""The commands, run as their users run them: where one cannot go on it says why in one line."""

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from api.tests.support.curl import curl
from api.tests.support.server import PROJECT, Server, free_port

PASSWORD = "a password for the tests"
NEEDS_A_DATABASE = [
    pytest.param(command, id=command[0])
    for command in (
        ("createclient", "foo"),
        ("rotatesecret", "foo", "--now"),
        ("rotatekeys",),
        ("clearexpired",),
        ("createsuperuser", "--no-input", "--username", "boss", "--email", ""),
        ("changepassword", "boss"),
        ("shell", "--verbosity", "0", "--command", "User.objects.count()"),
    )
]


@pytest.fixture
def fresh(tmp_path: Path) -> Server:
    """A service whose database nobody has made yet."""
    return Server(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}")


def database(service: Server) -> Path:
    return service.directory / "db.sqlite3"


def no_database(service: Server) -> str:
    return f"There is no database {database(service)}; `manage.py migrate` creates it.\n"


def log_in(service: Server, client_id: str, secret: str) -> int:
    body = json.dumps({"client_id": client_id, "client_secret": secret})
    header = "Content-Type: application/json"
    return curl("--header", header, "--data", body, f"{service.url}/login")[0]


def signs_in(service: Server, username: str, password: str) -> bool:
    """Tell whether the admin lets somebody in."""
    with requests.Session() as browser:
        page = f"{service.url}/admin/login/"
        browser.get(page, timeout=10)
        form = {"username": username, "password": password, "next": "/admin/"}
        form["csrfmiddlewaretoken"] = str(browser.cookies["csrftoken"])
        return browser.post(page, form, timeout=10).url == f"{service.url}/admin/"


# Before the first `migrate`


@pytest.mark.parametrize("command", NEEDS_A_DATABASE)
def test_command_without_a_database_says_what_makes_it(
    fresh: Server, command: tuple[str, ...]
) -> None:
    done = fresh.run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"OperationalError: {no_database(fresh)}"
    assert not database(fresh).exists()


@pytest.mark.parametrize(
    "command", [("createclient", "foo"), ("changepassword", "boss")], ids=["ours", "Django's"]
)
def test_command_without_tables_says_what_makes_them(
    fresh: Server, command: tuple[str, ...]
) -> None:
    database(fresh).touch()
    done = fresh.run(*command)
    assert done.returncode == 1
    told = r"OperationalError: no such table: \w+; run `manage.py migrate`.\n"
    assert re.fullmatch(told, done.stderr)


@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["reloader", "no reloader"])
def test_runserver_without_a_database_serves_and_finds_the_one_that_is_made(
    fresh: Server, options: tuple[str, ...]
) -> None:
    with fresh.running(("manage.py", "runserver", str(fresh.port), *options)):
        assert fresh.log.count(no_database(fresh)) == 1
        assert "Traceback" not in fresh.log
        fresh.manage("migrate", "--verbosity", "0")
        client = json.loads(fresh.manage("createclient"))
        assert log_in(fresh, client["client_id"], client["client_secret"]) == 200


def test_ordinary_way_of_django_works_on_a_fresh_clone(fresh: Server) -> None:
    fresh.extra["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    fresh.manage("migrate")
    fresh.manage("createsuperuser", "--no-input", "--username", "boss", "--email", "")
    with fresh.running(("manage.py", "runserver", str(fresh.port))):
        client = json.loads(fresh.manage("createclient", "foo"))
        assert log_in(fresh, client["client_id"], client["client_secret"]) == 200
        assert signs_in(fresh, "boss", PASSWORD)
    assert "unapplied" not in fresh.log


def test_database_that_is_down_is_named_in_one_line(tmp_path: Path) -> None:
    port = free_port()
    service = Server(tmp_path, f"postgres://root@127.0.0.1:{port}/authdemo")
    done = service.run("createclient", "foo")
    assert (done.returncode, done.stdout) == (1, "")
    told = rf"OperationalError: .*127\.0\.0\.1.*port {port}.*Connection refused\n"
    assert re.fullmatch(told, done.stderr)


def test_traceback_is_there_for_who_asks(fresh: Server) -> None:
    done = fresh.run("clearexpired", "--traceback")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


# The issuer


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_runserver_where_the_issuer_is_says_nothing_of_it(server: Server, host: str) -> None:
    server.extra["PUBLIC_URL"] = f"http://{host}:{server.port}"
    with server.running(("manage.py", "runserver", "--noreload", str(server.port))):
        pass
    assert "issuer" not in server.log


def test_runserver_elsewhere_says_that_tokens_name_another_issuer(server: Server) -> None:
    server.extra["PUBLIC_URL"] = "http://localhost:8000"
    with server.running(("manage.py", "runserver", "--noreload", str(server.port))):
        pass
    assert server.log.count("issuer") == 1
    assert (
        "Tokens name http://localhost:8000 as their issuer, not this server. "
        f"To change that, set PUBLIC_URL={server.url}.\n"
    ) in server.log


# A machine that allows little


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Server]:
    """The project on a read-only file system, run by a user with no home, in the C locale."""
    project, data = tmp_path / "project", tmp_path / "data"
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    for name in ("api", "authdemo"):
        shutil.copytree(PROJECT / name, project / name, ignore=ignored)
    shutil.copy(PROJECT / "manage.py", project)
    data.mkdir()
    paths = [project, *project.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    # Without its capabilities, root may write no more than another user.
    user = () if os.getuid() else ("setpriv", "--bounding-set=-all")
    prefix = (*user, "sh", "-c", 'umask 077; exec "$@"', "sh")
    server = Server(data, f"sqlite:///{data / 'db.sqlite3'}", project=project, prefix=prefix)
    server.extra = {"HOME": "/nonexistent", "LANG": "C", "LC_ALL": "C"}
    yield server
    for path in paths:
        path.chmod(0o755)


def test_machine_that_allows_little_needs_two_variables(bare: Server) -> None:
    bare.manage("migrate", "--verbosity", "0")
    client = json.loads(bare.manage("createclient", "café", "--name", "中"))
    assert stat.S_IMODE(database(bare).stat().st_mode) == 0o600
    with bare.running():
        assert log_in(bare, client["client_id"], client["client_secret"]) == 200
        assert requests.get(f"{bare.url}/static/api/pages.css", timeout=10).status_code == 200
    assert "Traceback" not in bare.log


def test_machine_that_allows_little_is_told_which_variable_to_set(bare: Server) -> None:
    path = bare.project / "db.sqlite3"
    bare.database_url = f"sqlite:///{path}"
    assert bare.run("migrate").stderr == (
        f"CommandError: The database {path} cannot be written (Permission denied). "
        "Set DATABASE_URL to a place where it can.\n"
    )
    bare.extra["SECRET_KEY"] = ""
    assert bare.run("check").stderr == (
        f"SECRET_KEY is not set, and {bare.project / '.secret_key'} cannot be used instead: "
        "Permission denied.\n"
    )


def test_database_that_is_read_only_is_told_with_its_variable(bare: Server) -> None:
    bare.manage("migrate", "--verbosity", "0")
    database(bare).chmod(0o444)
    assert bare.run("createclient", "foo").stderr == (
        "OperationalError: attempt to write a readonly database; "
        "set DATABASE_URL to one that can be written.\n"
    )


# Bad input


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("createclient", ""),
            "CommandError: The client id is empty. Omit it to generate one.",
        ),
        (
            ("createclient", "foo", "--scope", "a b"),
            (
                "CommandError: 'a b' is not a scope, "
                "which is ASCII without space, double quote or backslash."
            ),
        ),
        (("createclient", "foo", "--name", "\udcff"), "The arguments must be UTF-8."),
        (("rotatesecret", "\udcff", "--now"), "The arguments must be UTF-8."),
        (("rotatesecret", "nobody", "--now"), "CommandError: There is no client 'nobody'."),
        (("changepassword", "nobody"), "CommandError: user 'nobody' does not exist"),
        (("runserver", "99999"), "CommandError: 99999 is not a valid port number."),
    ],
)
def test_bad_input_is_answered_with_one_sentence(
    server: Server, arguments: tuple[str, ...], sentence: str
) -> None:
    done = server.run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{sentence}\n")


@pytest.mark.parametrize(
    "command", [("createclient", "new"), ("rotatesecret", "foo", "--now")], ids=lambda it: it[0]
)
def test_secret_that_cannot_be_printed_is_not_made(
    server: Server, command: tuple[str, ...]
) -> None:
    server.manage("createclient", "foo")
    before = server.manage("dumpdata")
    with Path("/dev/full").open("w") as full:
        done = server.run(*command, stdout=full)
    assert done.returncode
    assert done.stderr.startswith("CommandError: The secret cannot be printed")
    assert "api.audit" not in done.stderr
    assert server.manage("dumpdata") == before
