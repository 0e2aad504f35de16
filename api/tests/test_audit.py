"""What is logged, and what never is."""

import hashlib
import json
import re
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from api import audit
from api.credentials import create_client
from api.models import Client, ClientProfile
from api.tests.support.load import call, log_in
from api.tests.support.responses import basic, bearer
from api.tests.support.server import GRANIAN, Server

FORM = "application/x-www-form-urlencoded"
RUNSERVER = ("manage.py", "runserver", "--noreload")
HOSTILE = "x\r\n2026-01-01 INFO api.audit token_issued \x1b[2J\x00\x7f\x85\u2028\u202e\"'\\ é"


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return a function that gives the audit lines so far."""
    caplog.set_level("INFO", "api.audit")

    def lines() -> list[str]:
        return [record.message for record in caplog.records if record.name == "api.audit"]

    return lines


def test_login_is_told_with_its_token(
    http: APIClient, credentials: dict[str, str], events: Callable[[], list[str]]
) -> None:
    http.post("/login", credentials, format="json", REMOTE_ADDR="192.0.2.1")
    (line,) = events()
    assert re.fullmatch(
        'token_issued client="reporting" address="192.0.2.1" jti="[0-9a-f]{32}" '
        'credential="secret"',
        line,
    )


@pytest.mark.parametrize(
    "reason", ["wrong secret", "unknown client", "inactive client", "expired secret"]
)
def test_failed_login_is_told_with_its_reason(
    http: APIClient,
    credentials: dict[str, str],
    client_row: Client,
    events: Callable[[], list[str]],
    reason: str,
) -> None:
    body = {
        "wrong secret": credentials | {"client_secret": "wrong"},
        "unknown client": credentials | {"client_id": "nobody"},
        "inactive client": credentials,
        "expired secret": credentials,
    }[reason]
    if reason == "expired secret":
        ClientProfile.objects.create(client=client_row, secret_expires_at=timezone.now())
    client_row.is_active = reason != "inactive client"
    client_row.save()
    assert http.post("/login", body, format="json").status_code == 401
    client = body["client_id"]
    assert events() == [f'login_failed client="{client}" address="127.0.0.1" reason="{reason}"']


WHITESPACE = pytest.mark.parametrize(
    ("before", "after"),
    [("", "\n"), ("", "\r\n"), ("", " "), (" ", ""), ("\t", " \n"), ("", "\u00a0")],
    ids=["newline", "crlf", "space", "leading", "both", "no-break"],
)


@WHITESPACE
@pytest.mark.parametrize("kind", ["generated", "chosen"])
@pytest.mark.parametrize("way", ["json", "basic", "form", "basic-encoded"])
def test_secret_that_is_right_without_the_whitespace_around_it_is_told_to_the_log_alone(
    http: APIClient,
    credentials: dict[str, str],
    events: Callable[[], list[str]],
    way: str,
    kind: str,
    before: str,
    after: str,
) -> None:
    client_id, secret = credentials.values()
    if kind == "chosen":
        client_id, secret = "foo", "100% bar"
        create_client(client_id, secret=secret)
    answers = []
    for text in (f"{before}{secret}{after}", f"{before}wrong{after}"):
        pair = {"client_id": client_id, "client_secret": text}
        form = {"grant_type": "client_credentials"} | ({} if "basic" in way else pair)
        presented = quote(text) if way == "basic-encoded" else text
        response = http.generic(
            "POST",
            "/login",
            json.dumps(form) if way == "json" else urlencode(form),
            content_type="application/json" if way == "json" else FORM,
            headers=basic(client_id, presented) if "basic" in way else {},
        )
        answers.append((response.status_code, response.content, dict(response.headers)))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    line = f'login_failed client="{client_id}" address="127.0.0.1" reason="wrong secret'
    near = ", right without the spaces or line breaks around it"
    assert events() == [f'{line}{near}"', f'{line}"']


def test_throttled_login_is_told(
    http: APIClient,
    credentials: dict[str, str],
    events: Callable[[], list[str]],
    settings: Settings,
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = (1, 60)
    wrong = credentials | {"client_secret": "wrong"}
    for _ in range(2):
        http.post("/login", wrong, format="json")
    assert events()[1:] == ['login_throttled client="reporting" address="127.0.0.1"']


def test_sign_in_is_told(http: APIClient, events: Callable[[], list[str]], db: None) -> None:
    User.objects.create_superuser("boss", password="a password of theirs")
    form = {"username": "boss", "password": "a password of theirs"}
    http.post("/admin/login/?next=/admin/", form)
    assert events() == ['signed_in client="boss" address="127.0.0.1"']


def test_sign_in_that_failed_is_told(
    http: APIClient, credentials: dict[str, str], events: Callable[[], list[str]]
) -> None:
    http.post("/admin/login/", {"username": "nobody", "password": "wrong"})
    assert events() == [
        'sign_in_failed client="nobody" address="127.0.0.1" reason="unknown client"'
    ]


def test_registration_and_revocation_are_told(
    http: APIClient, get_token: Callable[[], str], events: Callable[[], list[str]]
) -> None:
    registered = http.post("/register", {}, format="json").json()
    login = http.post("/login", registered, format="json").json()
    token = {"token": login["access_token"]}
    http.post("/revoke", registered | token, format="json")
    told = [line.split(" jti=")[0] for line in events()]
    who = f'client="{registered["client_id"]}" address="127.0.0.1"'
    assert told == [f"client_registered {who}", f"token_issued {who}", f"token_revoked {who}"]


def test_secret_sent_for_an_id_is_not_told(
    http: APIClient, credentials: dict[str, str], events: Callable[[], list[str]]
) -> None:
    swapped = {"client_id": credentials["client_secret"], "client_secret": "reporting"}
    http.post("/login", swapped, format="json")
    assert events() == [
        'login_failed client="adsk_..." address="127.0.0.1" reason="unknown client"'
    ]


def test_no_caller_forges_an_audit_line(events: Callable[[], list[str]]) -> None:
    audit.record("login_failed", client=HOSTILE)
    (line,) = events()
    assert re.fullmatch(r'login_failed client="[\x20-\x7f]*"', line)
    assert json.loads(line.partition("=")[2]) == HOSTILE


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("arguments", [GRANIAN, RUNSERVER], ids=["granian", "runserver"])
def test_nothing_secret_is_logged_at_any_level(
    server: Server, style: str, arguments: tuple[str, ...]
) -> None:
    """Everything is called, rightly and wrongly, and the whole output searched."""
    created = json.loads(server.manage("createclient", "foo"))
    server.extra = {"LOG_LEVEL": "DEBUG", "LOG_FORMAT": style, "REDIS_URL": "redis://127.0.0.1:1"}
    server.extra |= {"DEBUG": "1"} if arguments is RUNSERVER else {}
    option = (str(server.port),) if arguments is RUNSERVER else ("--port", str(server.port))
    more = () if arguments is RUNSERVER else ("--access-log", "--log-level", "debug")
    with server.running((*arguments, *option, *more)):
        known = call_everything(server, created["client_id"], created["client_secret"])
    log = server.log
    assert "token_issued" in log
    assert "/private" in log
    assert [secret for secret in known if secret in log] == []
    if style == "json":
        told = [json.loads(line) for line in log.splitlines() if '"event"' in line]
        assert {"event", "client", "address", "asctime", "message"} <= told[0].keys()


def call_everything(server: Server, client_id: str, secret: str) -> set[str]:
    """Return every secret, token and credential that was sent or received."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    token = log_in(server, client_id, secret).body["access_token"]
    registered = call(server, "/register", form, "client_name=new").body["client_secret"]
    wrong = "a-wrong-but-telling-secret"
    log_in(server, client_id, wrong)
    log_in(server, secret, client_id)
    sent = urlencode({"client_id": client_id, "client_secret": secret, "token": token})
    for path in ("/introspect", "/revoke"):
        call(server, path, form, sent)
    for path in ("/", "/public", "/private", "/login", "/nowhere", "/schema", "/readyz"):
        for headers in bearer(token), bearer(wrong), basic(client_id, secret):
            call(server, f"{path}?client_secret={secret}&access_token={token}", headers)
            call(server, path, headers | form, sent)
            call(server, path, headers | {"Content-Type": "application/json"}, sent)
    call(server, "/admin/", {"Cookie": f"sessionid={wrong}; access_token={token}"})
    basics = {basic(*pair)["Authorization"] for pair in ((client_id, secret), (secret, client_id))}
    stored = {hashlib.sha256(one.encode()).hexdigest() for one in (secret, registered)}
    return {token, secret, registered, wrong, *stored, *basics}
