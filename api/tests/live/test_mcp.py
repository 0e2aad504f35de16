"""The Model Context Protocol, with programs that nobody here wrote.

FastMCP is the API, protected by the code that the admin shows. The SDKs of PyPI and npm log in by
the extension OAuth Client Credentials. Each is a process of its own.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest
import requests

from api.tests.support.needs import need
from api.tests.support.server import PROJECT, Server, free_port

NODE = PROJECT / "api" / "tests" / "support" / "node"
SNIPPET = """
from api.admin.connection import instructions
from api.models import Resource
shown = instructions(Resource.objects.get(identifier={identifier!r}))
print(next(code for _, name, _, code in shown["snippets"] if name == "fastmcp"))
"""
TOOLS = """

@mcp.tool
def add(a: int, b: int) -> int:
    return a + b


mcp.run(transport="http", host="localhost", port={port}, show_banner=False)
"""


@dataclass
class MCP:
    """A FastMCP server that is an API of a service."""

    service: Server
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/mcp"

    def client(self, *arguments: str) -> tuple[str, str]:
        """Make a client of the service and return its id and secret."""
        made = json.loads(self.service.manage("createclient", *arguments))
        return made["client_id"], made["client_secret"]


@pytest.fixture(scope="module")
def mcp(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[MCP]:
    """FastMCP with the snippet of the admin's page, and the service that issues its tokens."""
    directory = tmp_path_factory.mktemp("mcp")
    service = Server.with_copy(directory, migrated)
    mcp = MCP(service)
    service.manage("createresource", mcp.url, "--name", "Calculator", "--scope", "read")
    program = directory / "calculator.py"
    snippet = service.shell(SNIPPET.format(identifier=mcp.url))
    program.write_text(snippet + TOOLS.format(port=mcp.port))
    with service.running(), (directory / "mcp.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, program], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, (directory / "mcp.log").read_text()
                try:
                    socket.create_connection(("localhost", mcp.port), timeout=1).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            yield mcp
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs npm's SDK, installed as its lock file says."""
    need(shutil.which("npm"), "npm")
    directory = tmp_path_factory.mktemp("node") / "tests"
    shutil.copytree(NODE, directory)
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=300)
    return ["node", str(directory / "mcp_client.mjs")]


@pytest.fixture(params=["python", "node"])
def sdk(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "node":
        command: list[str] = request.getfixturevalue("node")
        return command
    return [sys.executable, str(PROJECT / "api" / "tests" / "support" / "mcp_client.py")]


def run(sdk: list[str], mcp: MCP, credentials: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    arguments = (mcp.url, mcp.service.url, *credentials)
    return subprocess.run(
        [*sdk, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_sdk_logs_in_lists_the_tools_and_calls_one(sdk: list[str], mcp: MCP) -> None:
    credentials = mcp.client("--scope", "read", "--scope", "write", "--resource", mcp.url)
    done = run(sdk, mcp, credentials)
    assert done.returncode == 0, done.stderr
    tools, total, token = json.loads(done.stdout)
    assert (tools, total) == (["add"], "5")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["scope"]) == (mcp.url, "read")


@pytest.mark.parametrize("granted", ["nothing", "another-API"])
def test_sdk_of_a_client_without_the_grant_is_refused(
    sdk: list[str], mcp: MCP, granted: str
) -> None:
    arguments = []
    if granted == "another-API":
        another = f"urn:example:{time.monotonic_ns()}"
        mcp.service.manage("createresource", another)
        arguments = ["--default-resource", another]
    done = run(sdk, mcp, mcp.client(*arguments))
    assert done.returncode != 0
    assert "invalid_target" in done.stderr
    assert done.stdout == ""


def test_sdk_with_a_wrong_secret_is_refused(sdk: list[str], mcp: MCP) -> None:
    client_id, _ = mcp.client("--resource", mcp.url)
    done = run(sdk, mcp, (client_id, "wrong"))
    assert done.returncode != 0
    assert "invalid_client" in done.stderr


def test_fastmcp_refuses_a_token_for_another_api(mcp: MCP) -> None:
    another = "urn:example:another"
    mcp.service.manage("createresource", another)
    credentials = mcp.client("--resource", mcp.url, "--resource", another)
    asked = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    accept = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    refused = {}
    for resource in (mcp.url, another, mcp.service.url):
        form = {"grant_type": "client_credentials", "resource": resource}
        login = requests.post(f"{mcp.service.url}/login", form, auth=credentials, timeout=10)
        headers = accept | {"Authorization": f"Bearer {login.json()['access_token']}"}
        called = requests.post(mcp.url, data=asked, headers=headers, timeout=10)
        refused[resource] = called.status_code == 401
    assert refused == {mcp.url: False, another: True, mcp.service.url: True}
