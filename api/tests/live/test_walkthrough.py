"""The walk-through, unchanged: five curl commands against what `manage.py demo` starts."""

import json
import socket
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from api.claims import LIFETIME
from api.tests.support.curl import curl
from api.tests.support.responses import EXPIRED_TOKEN
from api.tests.support.server import Server

GRANT = "grant_type=client_credentials"
# The demo again, in a process whose clock is a token's lifetime ahead.
LATER = f"""
import sys
from datetime import UTC, datetime, timedelta
import time_machine
time_machine.travel(datetime.now(UTC) + timedelta(seconds={LIFETIME})).start()
import manage
sys.argv = ["manage.py", "demo"]
manage.main()
"""


def test_five_commands_do_what_the_walk_through_says(tmp_path: Path) -> None:
    server = Server(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}")
    login = ["--header", "Content-Type: application/json", "--request", "POST"]
    login += ["--data", '{"client_id": "foo", "client_secret": "bar"}', f"{server.url}/login"]

    with server.running(["manage.py", "demo"]):
        status, body = curl(f"{server.url}/public")
        assert (status, body) == (200, {"message": "Welcome to the public area :)"})

        status, body = curl(f"{server.url}/private")
        assert (status, body["error"]) == (403, "missing_token")

        status, body = curl(*login)
        token = body["access_token"]
        assert status == 200
        assert body == {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "scope": "",
        }

        private = ["--header", f"Authorization: Bearer {token}", f"{server.url}/private"]
        status, body = curl(*private)
        assert status == 200
        assert body["message"] == "Welcome to the protected area :)"
        assert (body["sub"], body["exp"] - body["iat"]) == ("foo", LIFETIME)
    first = server.log
    (tmp_path / "server.log").unlink()

    with server.running(["-c", LATER]):
        refused = {"error": "invalid_token", "error_description": EXPIRED_TOKEN}
        assert curl(*private) == (401, refused)
        status, body = curl(*login)
        fresh = f"Authorization: Bearer {body['access_token']}"
        assert curl("--header", fresh, f"{server.url}/private")[0] == 200
    second = server.log

    password = first.partition("/admin/ as admin, password ")[2].split()[0]
    assert len(password) == 16
    assert password not in second, "the password is shown once"
    assert "as shown at the first start" in second
    migrating = f"Migrating the database {tmp_path / 'db.sqlite3'}, which takes a moment"
    making = "Making client foo with secret bar.\nMaking staff account admin.\n"
    serving = f"Serving {server.url}/ until you press Control-C."
    assert [step in first for step in (migrating, making, serving)] == [True] * 3
    there = "Client foo with secret bar is there already.\n"
    assert [step in second for step in (migrating, there, serving)] == [True] * 3
    assert token not in first + second, "and a token never"


@pytest.mark.parametrize(
    ("setting", "value", "complaint"),
    [
        ("IS_LOCAL", False, "PUBLIC_URL must be local"),
        ("IS_HTTPS", True, "set PUBLIC_URL to http://localhost:PORT"),
    ],
)
def test_demo_refuses_an_address_that_it_cannot_serve(
    settings: Settings, setting: str, value: bool, complaint: str
) -> None:
    setattr(settings, setting, value)
    with pytest.raises(CommandError, match=complaint):
        call_command("demo")


def test_demo_keeps_a_client_with_another_secret_and_says_so(server: Server) -> None:
    secret = json.loads(server.manage("createclient", "foo"))["client_secret"]
    with server.running(["manage.py", "demo"]):
        assert "Keeping client foo, which is inactive or has another secret" in server.log
        status, _ = curl("--user", f"foo:{secret}", "--data", GRANT, f"{server.url}/login")
    assert status == 200


def test_demo_says_that_its_port_is_in_use_before_it_says_anything_else(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings.PUBLIC_URL = f"http://localhost:{port}"
        with pytest.raises(CommandError, match=f"Port {port} is in use"):
            call_command("demo")
    assert capsys.readouterr().out == ""
