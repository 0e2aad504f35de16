"""Operators list, show, change and delete on the command line what they have made."""

import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from api import client_search, clients, resources
from api.client_records import credentials as credentials_of
from api.client_records import describe
from api.credentials import create_client
from api.management import records
from api.models import Client, Resource, RetiredSecret, TrustedIssuer
from api.tests.support.responses import is_good
from api.trust import add_identity

pytestmark = pytest.mark.django_db
ORDERS, STOCK = "https://orders.example.com", "urn:example:stock"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def events(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[str]]:
    """Return a function that returns the audit lines of the operator `os:4242`."""
    caplog.set_level(logging.INFO, "api.audit")
    monkeypatch.setattr(records, "LOGIN_UID", Path("/nowhere"))
    monkeypatch.setattr("os.getuid", lambda: 4242)
    return lambda: [message for message in caplog.messages if "os:4242" in message]


def run(*arguments: str, stdout: StringIO | None = None) -> str:
    """Run a command and return its standard output. Its messages go elsewhere."""
    output = stdout or StringIO()
    call_command(*arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


# listclients


@pytest.fixture
def several() -> None:
    """A client for each option of `listclients`."""
    now = timezone.now()
    reports = resources.create_resource("https://reports.example.com")
    create_client("plain", name="Plain")
    create_client("scoped", scopes=["read", "write"])
    resources.set_grants(create_client("granted")[0], [reports])
    create_client("inactive")
    Client.objects.filter(username="inactive").update(is_active=False)
    create_client("unused")
    Client.objects.filter(username="unused").update(date_joined=now - timedelta(days=40))
    create_client("expiring", secret_expires_at=now + timedelta(days=20))


def day(days: int) -> str:
    return f"{timezone.now() + timedelta(days=days):%Y-%m-%d}"


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["plain", "scoped", "granted", "inactive", "unused", "expiring"]),
        (["--search", "pla"], ["plain"]),
        (["--search", "PLAIN"], ["plain"]),
        (["--active"], ["plain", "scoped", "granted", "unused", "expiring"]),
        (["--inactive"], ["inactive"]),
        (["--scope", "read"], ["scoped"]),
        (["--resource", "https://reports.example.com/"], ["granted"]),
        (["--unused", "30d"], ["unused"]),
        (["--unused", day(-30)], ["unused"]),
        (["--unused", "50d"], []),
        (["--expiring", "30d"], ["expiring"]),
        (["--expiring", day(30)], ["expiring"]),
        (["--expiring", "10d"], []),
        (["--active", "--scope", "write", "--search", "s"], ["scoped"]),
    ],
    ids=" ".join,
)
def test_listclients_prints_a_line_of_json_for_each_client(
    options: list[str], found: list[str]
) -> None:
    shown = [json.loads(line) for line in run("listclients", *options).splitlines()]
    assert [one["client_id"] for one in shown] == found
    assert shown == [describe(Client.objects.get(username=name)) for name in found]


def test_listclients_prints_a_table_on_a_terminal() -> None:
    create_client("a" * 40, name="Red\x1b[31m", scopes=["write", "read"])
    inactive, _ = create_client("billing", name="Billing", secret="")
    Client.objects.filter(pk=inactive.pk).update(is_active=False, last_login=timezone.now())
    used = f"{timezone.now():%Y-%m-%d %H:%M}"
    rows = (
        ("CLIENT ID", "ACTIVE", "LAST USED (UTC)", "SECRET EXPIRES", "NAME", "SCOPES"),
        ("a" * 40, "yes", "never", "never", "Red?[31m", "read write"),
        ("billing", "no", used, "no secret", "Billing", ""),
    )
    assert run("listclients", stdout=Terminal()).splitlines() == [
        f"{row[0]:36}  {row[1]:6}  {row[2]:16}  {row[3]:14}  {row[4]:20}  {row[5]}".rstrip()
        for row in rows
    ]


def test_listclients_asks_four_queries_for_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        client, _ = create_client(f"client-{number}", scopes=["read"])
        resource = resources.create_resource(f"urn:example:{number}")
        resources.set_grants(client, [resource])
    monkeypatch.setattr(client_search, "BATCH", 2)
    with CaptureQueriesContext(connection) as queries:
        assert run("listclients").count("\n") == 5
    assert len(queries) == 3 * 4 + 1  # the last one finds no more
    batches = [query["sql"] for query in queries if "api_clientprofile" in query["sql"]]
    assert [sql.endswith("LIMIT 2") for sql in batches] == [True] * 4


def test_listclients_tells_that_a_search_may_have_found_too_many(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client_search, "MAX_FOUND", 2)
    for number in range(3):
        create_client(f"client-{number}")
    for options, lines, message in (
        (["--search", "client-"], 2, "There may be more."),
        (["--search", "client-1"], 1, ""),
        ([], 3, ""),
    ):
        call_command("listclients", *options)
        shown = capsys.readouterr()
        assert (shown.out.count("\n"), shown.err[:18]) == (lines, message)


def test_listclients_ends_quietly_when_nobody_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    create_client("foo")
    replaced: list[int] = []
    monkeypatch.setattr("os.dup2", lambda _new, old: replaced.append(old))
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setattr("sys.stdout.fileno", lambda: 1)
    assert run("listclients", stdout=Closed()) == ""
    assert replaced == [1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--unused", "soon"], "'soon' is not a time such as 90d or 2030-12-31"),
        (["--unused", "999999d"], "'999999d' is not a time such as 90d or 2030-12-31"),
        (["--expiring", "2026-13-01"], "'2026-13-01' is not a time such as 90d or 2030-12-31"),
        (["--active", "--inactive"], "not allowed with argument"),
    ],
)
def test_listclients_says_what_it_does_not_understand(options: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        run("listclients", *options)


# showclient


def test_showclient_prints_each_credential_with_its_last_use(client_row: Client) -> None:
    used_at = timezone.now()
    clients.rotate_secret(client_row, grace=timedelta(days=1))
    RetiredSecret.objects.update(last_used_at=used_at, last_used_from="192.0.2.9")
    output = run("showclient", "reporting")
    assert output.count("\n") == 1
    shown = json.loads(output)
    client = Client.objects.get()
    assert shown == describe(client) | {"credentials": credentials_of(client)}
    assert [one["id"] for one in shown["credentials"]] == ["secret", "previous_secret"]
    assert shown["credentials"][1]["last_used_from"] == "192.0.2.9"
    on_terminal = run("showclient", "reporting", stdout=Terminal())
    assert json.loads(on_terminal) == shown
    assert on_terminal.count("\n") > 20


# updateclient


@pytest.fixture
def granted(client_row: Client) -> Client:
    """Client `reporting` with scopes `read` and `write`, which may call the orders."""
    resources.create_resource(STOCK)
    resources.set_grants(client_row, [resources.create_resource(ORDERS)])
    return client_row


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--name", "R"], {"client_name": "R"}),
        (["--name", ""], {"client_name": ""}),
        (["--deactivate"], {"active": False}),
        (["--activate"], {}),
        (["--scope", "a", "--scope", "b"], {"scope": "a b"}),
        (["--scope", ""], {"scope": ""}),
        (["--add-scope", "a", "--remove-scope", "read"], {"scope": "a write"}),
        (["--resource", STOCK], {"resources": [STOCK]}),
        (["--add-resource", STOCK], {"resources": [ORDERS, STOCK]}),
        (["--remove-resource", f"{ORDERS}/"], {"resources": []}),
        (["--resource", ""], {"resources": []}),
        (["--default-resource", ORDERS], {"default_resource": ORDERS}),
        (
            ["--default-resource", STOCK],
            {"resources": [ORDERS, STOCK], "default_resource": STOCK},
        ),
        (
            ["--resource", STOCK, "--default-resource", STOCK],
            {"resources": [STOCK], "default_resource": STOCK},
        ),
        (["--default-resource", ""], {}),
        (
            ["--name", "R", "--deactivate", "--add-scope", "x"],
            {"client_name": "R", "active": False, "scope": "read write x"},
        ),
    ],
    ids=" ".join,
)
def test_updateclient_changes_what_is_asked_for_and_prints_the_client(
    granted: Client,
    events: Callable[[], list[str]],
    options: list[str],
    changed: dict[str, Any],
) -> None:
    before = describe(granted)
    shown = json.loads(run("updateclient", "reporting", *options))
    assert shown == before | changed == describe(Client.objects.get())
    assert bool(events()) == bool(changed)
    assert all(event.endswith('client="reporting" by="os:4242"') for event in events())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "Nothing is to be changed."),
        (["--name", "x" * 151], "at most 150 characters"),
        (["--name", "R", "--scope", "a b"], "'a b' is not a scope"),
        (["--name", "R", "--remove-scope", "reed"], "The client does not have 'reed'."),
        (["--name", "R", "--remove-resource", STOCK], f"The client does not have '{STOCK}'."),
        (["--name", "R", "--add-resource", "urn:none"], "There is no API 'urn:none'."),
        (["--default-resource", "urn:none"], "There is no API 'urn:none'."),
        (["--activate", "--deactivate"], "not allowed with argument"),
    ],
)
def test_updateclient_says_why_not_and_changes_nothing(
    granted: Client, events: Callable[[], list[str]], options: list[str], complaint: str
) -> None:
    before = describe(granted)
    with pytest.raises(CommandError, match=complaint):
        run("updateclient", "reporting", *options)
    assert describe(Client.objects.get()) == before
    assert events() == []


# removecredential and revoketokens


def test_removecredential_ends_one_and_prints_those_that_are_left(
    http: APIClient,
    client_row: Client,
    get_token: Callable[[], str],
    events: Callable[[], list[str]],
) -> None:
    token = get_token()
    issuer = TrustedIssuer.objects.create(url="https://issuer.example.com")
    identity = f"identity:{add_identity(client_row, issuer, 'pod', {}).pk}"
    shown = json.loads(run("removecredential", "reporting", "secret"))
    assert shown["client_id"] == "reporting"
    assert [one["id"] for one in shown["credentials"]] == [identity]
    assert not is_good(http, token)
    complaint = f"The client has no credential 'secret'. It has: {identity}."
    with pytest.raises(CommandError, match=complaint):
        run("removecredential", "reporting", "secret")
    run("removecredential", "reporting", identity)
    with pytest.raises(CommandError, match="It has: none"):
        run("removecredential", "reporting", identity)
    named, by = f'issuer="{issuer.url}" subject="pod"', 'by="os:4242"'
    assert events() == [
        f'secret_removed client="reporting" credential="secret" {by}',
        f'identity_removed client="reporting" credential="{identity}" {named} {by}',
    ]


def test_revoketokens_ends_tokens_and_no_credential(
    http: APIClient, get_token: Callable[[], str], events: Callable[[], list[str]]
) -> None:
    token = get_token()
    assert run("revoketokens", "reporting") == ""
    assert not is_good(http, token)
    assert is_good(http, get_token())
    assert events() == ['tokens_revoked client="reporting" by="os:4242"']


# What deletes


@pytest.fixture
def deletable(granted: Client) -> dict[str, tuple[list[str], dict[str, Any]]]:
    """Return for each command its arguments, and what it prints."""
    issuer = TrustedIssuer.objects.create(url="https://issuer.example.com", name="Issuer")
    add_identity(granted, issuer, "pod", {})
    return {
        "deleteclient": (
            ["reporting"],
            describe(granted) | {"credentials": credentials_of(granted)},
        ),
        "deleteresource": ([ORDERS], {"resource": ORDERS, "name": "", "clients": 1}),
        "distrustissuer": (
            [issuer.url],
            {"issuer": issuer.url, "name": "Issuer", "identities": 1},
        ),
    }


QUESTIONS = {
    "deleteclient": "Delete client reporting (last used: never)? [y/N] ",
    "deleteresource": f"Delete {ORDERS} (clients: 1)? [y/N] ",
    "distrustissuer": "Delete https://issuer.example.com (identities: 1)? [y/N] ",
}
EVENTS = {
    "deleteclient": 'client_deleted client="reporting" by="os:4242"',
    "deleteresource": f'resource_deleted resource="{ORDERS}" by="os:4242"',
    "distrustissuer": 'issuer_deleted issuer="https://issuer.example.com" by="os:4242"',
}


def count() -> int:
    return Client.objects.count() + Resource.objects.count() + TrustedIssuer.objects.count()


@pytest.mark.parametrize("command", QUESTIONS)
@pytest.mark.parametrize(
    ("options", "stdin", "outcome"),
    [
        pytest.param([], Terminal("y\n"), "deleted", id="yes"),
        pytest.param([], Terminal("\n"), "Nothing was deleted", id="no"),
        pytest.param([], Terminal(), "Nothing was deleted", id="end of input"),
        pytest.param([], StringIO("y\n"), "give --no-input", id="no terminal"),
        pytest.param(["--no-input"], StringIO(), "deleted", id="not asked"),
        pytest.param(["--yes"], StringIO(), "deleted", id="not asked, in other words"),
        pytest.param(["--dry-run"], StringIO(), "shown", id="dry run"),
    ],
)
def test_what_deletes_asks_before_and_prints_what_it_was(
    deletable: dict[str, tuple[list[str], dict[str, Any]]],
    events: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    options: list[str],
    stdin: StringIO,
    outcome: str,
) -> None:
    arguments, described = deletable[command]
    before, stdout, stderr = count(), StringIO(), StringIO()
    stdin.seek(0)
    monkeypatch.setattr("sys.stdin", stdin)
    is_done = outcome in {"deleted", "shown"}
    with nullcontext() if is_done else pytest.raises(CommandError, match=outcome):
        call_command(command, *arguments, *options, stdout=stdout, stderr=stderr)
    assert stdout.getvalue() == (f"{json.dumps(described)}\n" if is_done else "")
    assert count() == before - (outcome == "deleted")
    assert events() == ([EVENTS[command]] if outcome == "deleted" else [])
    assert stderr.getvalue() == (QUESTIONS[command] if stdin.isatty() else "")


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        *(
            (command, arguments, "There is no client 'boss'.")
            for command, arguments in {
                "showclient": ["boss"],
                "updateclient": ["boss", "--deactivate"],
                "deleteclient": ["boss", "--yes"],
                "removecredential": ["boss", "secret"],
                "revoketokens": ["boss"],
            }.items()
        ),
        ("deleteresource", ["urn:none", "--yes"], "There is no API 'urn:none'."),
        ("distrustissuer", ["urn:none", "--yes"], "There is no trusted issuer 'urn:none'."),
    ],
)
def test_staff_and_what_is_not_there_are_not_found(
    django_user_model: Any, command: str, arguments: list[str], complaint: str
) -> None:
    django_user_model.objects.create_superuser("boss", password="a password of theirs")
    before = list(django_user_model.objects.values())
    with pytest.raises(CommandError, match=complaint):
        run(command, *arguments)
    assert list(django_user_model.objects.values()) == before
