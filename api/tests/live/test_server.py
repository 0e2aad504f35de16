"""The service as it is run: a server process, real requests."""

import json
import re
import shlex
import urllib.request

import pytest

from api.tests.support.docs import DOCS, blocks
from api.tests.support.load import call, log_in
from api.tests.support.server import Server

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+ .+")


def documented(port: int) -> tuple[str, ...]:
    """Return the command of `docs/deploy.md` that starts the service, on another port."""
    script = blocks("sh", (DOCS / "deploy.md").read_text())[0].replace("\\\n", " ")
    (command,) = [line for line in script.splitlines() if line.startswith(".venv/bin/granian")]
    arguments = shlex.split(command.replace("--port 8000", f"--port {port}"))
    return ("-m", "granian", *arguments[1:])


def test_granian_serves_the_walk_through(server: Server) -> None:
    credentials = json.loads(server.manage("createclient", "foo"))
    with server.running():
        request = urllib.request.Request(
            f"{server.url}/login",
            json.dumps(credentials).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["token_type"] == "Bearer"


@pytest.mark.parametrize("style", ["text", "json"])
def test_every_line_is_of_one_format_the_servers_own_too(server: Server, style: str) -> None:
    server.extra = {"LOG_FORMAT": style, "GRANIAN_LOG_ACCESS_ENABLED": "true"}
    with server.running(documented(server.port)):
        assert call(server, "/livez").status == 200
        assert call(server, "/livez", {"Host": "evil.example"}).status == 400
        assert log_in(server, "nobody", "wrong").status == 401
    lines = server.log.splitlines()
    if style == "json":
        lines = [" ".join(list(json.loads(line).values())[:4]) for line in lines]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    loggers = {line.split()[2] for line in lines}
    assert loggers >= {"_granian", "granian.access", "api.audit", "django.security.DisallowedHost"}


def test_bad_value_stops_the_server_with_one_sentence(server: Server) -> None:
    server.extra = {"PUBLIC_URL": "https://auth.example.com", "SECRET_KEY": ""}
    with pytest.raises(AssertionError), server.running(documented(server.port)):
        pass
    assert server.log == "SECRET_KEY is required when PUBLIC_URL is public.\n"
