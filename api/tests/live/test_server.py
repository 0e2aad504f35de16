"""The service as it is run: a server process, real requests."""

import json
import urllib.request

from api.tests.support.server import Server


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
