"""The commands of `docs/deploy.md` that back a served database up, and restore it."""

import json
import os
import shutil
import subprocess

import pytest

from api.tests.support.docs import DOCS, blocks, section
from api.tests.support.load import call, log_in, visit
from api.tests.support.needs import need
from api.tests.support.server import Server
from api.tests.support.services import PostgreSQL

CREATE = """
import json
from api.clients import create_client
print(json.dumps({name: create_client(name)[1] for name in ("leaked", "stopped", "newest")}))
"""
END = """
from api import keys
from api.clients import rotate_secret
from api.models import Client
rotate_secret(Client.objects.get(username="leaked"))
stopped = Client.objects.get(username="stopped")
stopped.is_active = False
stopped.save()
keys.rotate(immediately=True)
"""


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_restore_revives_what_has_ended_since_and_revokeall_ends_its_tokens(
    vendor: str, server: Server, request: pytest.FixtureRequest
) -> None:
    commands = blocks("sh", section(DOCS / "deploy.md", "Backup and restore"))
    backup, restore = commands[:2] if vendor == "postgresql" else commands[2:]
    if vendor == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        postgresql.execute("CREATE DATABASE served", database="postgres")
        server = Server(server.directory, postgresql.url(database="served"))
        server.manage("migrate", "--verbosity", "0")
    else:
        need(shutil.which("sqlite3"), "sqlite3")

    def run(commands: str) -> None:
        path = f"{os.environ['PATH']}:{PostgreSQL.binaries()}"
        environment = server.environment | {"PATH": path}
        shell = ["bash", "-euc", commands]
        subprocess.run(shell, cwd=server.directory, env=environment, check=True, timeout=60)

    def statuses() -> list[int]:
        return [log_in(server, name, secret).status for name, secret in secrets.items()]

    with server.running():
        assert call(server, "/readyz").status == 200  # so it has the database open
        secrets = json.loads(server.shell(CREATE))
        token = log_in(server, "newest", secrets["newest"]).body["access_token"]
        run(backup)
        server.shell(END)
        assert statuses() == [401, 401, 200]
    (file,) = server.directory.glob("backup.*")
    assert file.stat().st_mode & 0o777 == 0o600
    if vendor == "postgresql":
        postgresql.execute("DROP DATABASE served WITH (FORCE)", database="postgres")
        postgresql.execute("CREATE DATABASE served", database="postgres")
    run(restore)
    server.manage("migrate", "--verbosity", "0")
    with server.running():
        assert statuses() == [200, 200, 200]
        assert visit(server, token).status == 200
    server.manage("revokeall")
    with server.running():
        assert statuses() == [200, 200, 200]
        assert visit(server, token).status == 401
        assert call(server, "/readyz").status == 200
