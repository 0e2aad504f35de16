"""The service as it is run: a server process, real requests."""

import json
import re
import urllib.request

import pytest

from api.tests.support.load import call, log_in
from api.tests.support.server import Server, serve

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+ .+")


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
    server.extra = {"LOG_FORMAT": style, "GRANIAN_BLOCKING_THREADS": "64"}
    with server.running(serve(server)):
        assert call(server, "/livez").status == 200
        assert call(server, "/public", {"Host": "evil.example"}).status == 400
        assert log_in(server, "nobody", "wrong").status == 401
    lines = server.log.splitlines()
    if style == "json":
        lines = [" ".join(list(json.loads(line).values())[:4]) for line in lines]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    loggers = {line.split()[2] for line in lines}
    assert loggers >= {"_granian", "api.audit", "django.security.DisallowedHost"}
    assert [line for line in lines if "WARNING _granian" in line] == []


def test_bad_value_stops_the_server_with_one_sentence(server: Server) -> None:
    server.extra = {"PUBLIC_URL": "https://auth.example.com", "SECRET_KEY": ""}
    with pytest.raises(AssertionError), server.running(serve(server)):
        pass
    assert server.log == "SECRET_KEY is required when PUBLIC_URL is public.\n"
