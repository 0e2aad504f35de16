"""A pipeline that manages clients by curl alone, against the server of production."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.tests.support.curl import curl
from api.tests.support.server import Server, serve
from api.tests.support.services import eventually

URL = "https://app.example.com/a//b"
SCOPES = ("clients:read", "clients:write", "read")
FLUSHED = 15  # seconds until the last use of a credential has certainly been written
GRANT = ("--data", "grant_type=client_credentials")


class Pipeline:
    """Calls a server as the client `pipeline`."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        made = json.loads(server.manage("createclient", "pipeline", *scopes(*SCOPES)))
        self.secret = made["client_secret"]

    def log_in(self, client_id: str, secret: str) -> tuple[int, Any]:
        return curl("--user", f"{client_id}:{secret}", *GRANT, f"{self.url}/login")

    def __call__(self, method: str, path: str, body: Any = None, *arguments: str) -> Any:
        _, login = self.log_in("pipeline", self.secret)
        sent = [] if body is None else ["--json", json.dumps(body)]
        authorization = ("--header", f"Authorization: Bearer {login['access_token']}")
        url = f"{self.url}{path}"
        return curl("--request", method, *authorization, *sent, *arguments, url)


def scopes(*names: str) -> list[str]:
    return [argument for name in names for argument in ("--scope", name)]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Pipeline]:
    server = Server.with_copy(tmp_path_factory.mktemp("managed"), migrated)
    server.extra = {"WORKERS": "2"}
    pipeline = Pipeline(server)
    server.manage("createclient", URL)
    with server.running(serve(server)):
        yield pipeline


def test_secret_is_replaced_without_a_gap_and_the_client_deleted(pipeline: Pipeline) -> None:
    status, client = pipeline("POST", "/clients", {"client_name": "Billing", "scope": "read"})
    path, old = f"/clients/{client['client_id']}", client["client_secret"]
    assert status == 201
    assert pipeline.log_in(client["client_id"], old)[0] == 200

    status, rotated = pipeline("POST", f"{path}/secret", {"grace": 3600})
    new = rotated["client_secret"]
    assert status == 200
    assert pipeline.log_in(client["client_id"], new)[0] == 200

    def credentials() -> dict[str, Any]:
        listed = pipeline("GET", f"{path}/credentials")[1]["credentials"]
        return {one.pop("id"): one for one in listed}

    eventually(lambda: credentials()["secret"]["last_used_at"] is not None, FLUSHED)
    assert credentials()["previous_secret"]["last_used_at"] is None  # nobody uses the old one
    assert pipeline.log_in(client["client_id"], old)[0] == 200  # but it is still good

    assert pipeline("DELETE", f"{path}/credentials/previous_secret") == (204, None)
    assert pipeline.log_in(client["client_id"], old)[0] == 401
    assert pipeline.log_in(client["client_id"], new)[0] == 200
    assert pipeline("DELETE", path) == (204, None)
    assert pipeline("GET", path)[0] == 404
    assert pipeline.log_in(client["client_id"], new)[0] == 401


@pytest.mark.parametrize("times", [1, 2], ids=["encoded", "encoded twice"])
def test_client_id_may_be_a_url(pipeline: Pipeline, times: int) -> None:
    path = URL
    for _ in range(times):
        path = quote(path, safe="")
    status, client = pipeline("GET", f"/clients/{path}")
    assert (status, client["client_id"]) == (200, URL)
    status, rotated = pipeline("POST", f"/clients/{path}/secret")
    assert (status, rotated["client_id"]) == (200, URL)
    assert pipeline("DELETE", f"/clients/{path}/credentials/secret") == (204, None)


def test_of_concurrent_changes_from_one_state_one_wins(pipeline: Pipeline, tmp_path: Path) -> None:
    _, client = pipeline("POST", "/clients", {"client_name": "Billing"})
    path, headers = f"/clients/{client['client_id']}", tmp_path / "headers"
    pipeline("GET", path, None, "--dump-header", str(headers))
    tag = headers.read_text().lower().partition("\netag: ")[2].partition("\n")[0].strip()

    def change(name: str) -> int:
        expected = ("--header", f"If-Match: {tag}")
        return int(pipeline("PATCH", path, {"client_name": name}, *expected)[0])

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(change, "abcdefgh"))
    assert sorted(statuses) == [200, *[412] * 7]
