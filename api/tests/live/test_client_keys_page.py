"""What docs/client-keys.md says, done: its shell commands and its Python."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from api.tests.support.docs import DOCS, blocks
from api.tests.support.needs import need
from api.tests.support.server import PROJECT, Server

PAGE = (DOCS / "client-keys.md").read_text()
HERE = "http://localhost:8000"


def run(server: Server, folder: Path, *command: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_and_python_get_a_token(server: Server, tmp_path: Path) -> None:
    for program in ("openssl", "curl"):
        need(shutil.which(program), program)
    make_pair, make_client, log_in = blocks("sh", PAGE)
    run(server, tmp_path, "bash", "-ec", make_pair)
    manage = f"{sys.executable} {PROJECT / 'manage.py'}"
    command = make_client.replace(".venv/bin/python manage.py", manage)
    assert json.loads(run(server, tmp_path, "bash", "-ec", command)).keys() == {
        "client_id",
        "kids",
        "scope",
    }
    (snippet,) = blocks("python", PAGE)
    with server.running():
        for _ in range(2):
            answer = json.loads(
                run(server, tmp_path, "bash", "-ec", log_in.replace(HERE, server.url))
            )
            assert (answer.get("token_type"), answer.get("scope")) == ("Bearer", "read"), answer
        program = snippet.replace(HERE, server.url) + '\nprint(token["scope"])\n'
        assert run(server, tmp_path, sys.executable, "-c", program) == "read\n"
    with pytest.raises(AssertionError, match="private key"):
        run(server, tmp_path, "bash", "-ec", command.replace("public.pem", "private.pem"))
