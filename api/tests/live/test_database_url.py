"""What `DATABASE_URL` may say about PostgreSQL, tried on a real one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from api.tests.support.certificates import Authority
from api.tests.support.load import Load, call, log_in, revoke
from api.tests.support.server import Server
from api.tests.support.services import PASSWORD, PostgreSQL

pytestmark = pytest.mark.postgres
GUARDED = f"guarded:{quote(PASSWORD, safe='')}"
# How the service is connected, while it is ready.
ASK = """
import json, os, socket
from django.db import connection
from api.health import check_readiness
check_readiness()
info = connection.connection.info
end = socket.socket(fileno=os.dup(connection.connection.fileno()))
tcp = end.family == socket.AF_INET
names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
alive = [end.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names if tcp]
print(json.dumps({
    "host": info.host, "port": info.port, "user": info.user, "encrypted": info.pgconn.ssl_in_use,
    "keepalives": alive, "timeout": int(info.get_parameters()["connect_timeout"]),
}))
"""


@pytest.fixture(scope="module")
def encrypted(installed: PostgreSQL) -> Iterator[Path]:
    """Let PostgreSQL encrypt too, with a certificate for `localhost`. Return its authority's."""
    data = installed.directory / "data"
    authority = Authority(installed.directory / "authority.pem")
    authority.certify(data / "server.crt", data / "server.key", "localhost")
    installed.own(data / "server.key")
    installed.set("ssl", "on")
    yield authority.path
    installed.set("ssl", "off")


@pytest.mark.parametrize(
    ("url", "connected"),
    [
        pytest.param("root@127.0.0.1:{port}/authdemo", {}, id="plain"),
        pytest.param(
            "root@127.0.0.1:1,127.0.0.1:{port}/authdemo?target_session_attrs=read-write",
            {"timeout": 2},
            id="several hosts",
        ),
        pytest.param(
            f"{GUARDED}@127.0.0.1:{{port}}/authdemo",
            {"user": "guarded"},
            id="percent-encoded password",
        ),
        pytest.param(
            "root@/authdemo?host={directory}&port={port}",
            {"host": "{directory}", "keepalives": []},
            id="socket in a parameter",
        ),
        pytest.param(
            "root@{quoted}:{port}/authdemo",
            {"host": "{directory}", "keepalives": []},
            id="socket in place of the host",
        ),
        pytest.param(
            "root@127.0.0.1:{port}/authdemo?keepalives_idle=7&keepalives_interval=2"
            "&keepalives_count=4&connect_timeout=5",
            {"keepalives": [7, 2, 4], "timeout": 5},
            id="keepalives",
        ),
        pytest.param(
            "root@localhost:{port}/authdemo?sslmode=verify-full&sslrootcert={authority}",
            {"host": "localhost", "encrypted": True},
            id="verify-full",
        ),
    ],
)
def test_connection_is_as_the_url_says(
    tmp_path: Path,
    postgresql: PostgreSQL,
    encrypted: Path,
    url: str,
    connected: dict[str, Any],
) -> None:
    values = {"port": postgresql.port, "directory": postgresql.directory, "authority": encrypted}
    values["quoted"] = quote(str(postgresql.directory), safe="")
    usual = {"host": "127.0.0.1", "port": postgresql.port, "user": "root", "encrypted": False}
    usual |= {"keepalives": [30, 5, 3], "timeout": 3}
    server = Server(tmp_path, f"postgres://{url.format(**values)}")
    if "sslmode" not in url:
        server.extra["PGSSLMODE"] = "disable"
    if host := connected.get("host"):
        connected = connected | {"host": host.format(**values)}
    assert json.loads(server.shell(ASK)) == usual | connected


@pytest.mark.parametrize(
    ("host", "is_ours", "cause"),
    [
        pytest.param("localhost", False, "certificate verify failed", id="another authority"),
        pytest.param("127.0.0.1", True, "does not match host name", id="another name"),
    ],
)
def test_server_that_cannot_prove_its_name_is_refused(
    tmp_path: Path,
    postgresql: PostgreSQL,
    encrypted: Path,
    host: str,
    is_ours: bool,
    cause: str,
) -> None:
    authority = encrypted if is_ours else Authority(tmp_path / "other.pem").path
    url = f"postgres://root@{host}:{postgresql.port}/authdemo"
    server = Server(tmp_path, f"{url}?sslmode=verify-full&sslrootcert={authority}")
    with pytest.raises(AssertionError, match=cause):
        server.manage("migrate")


def test_tables_are_in_the_schema_of_the_url(tmp_path: Path, postgresql: PostgreSQL) -> None:
    postgresql.execute("CREATE DATABASE shared")
    with postgresql.connect("shared") as connection:
        connection.execute("CREATE SCHEMA auth")
        url = f"{postgresql.url(database='shared')}?options=-c%20search_path%3Dauth"
        server = Server(tmp_path, url)
        server.manage("migrate", "--verbosity", "0")
        load = Load.of_a_new_client(server)
        with server.running():
            token = log_in(server, load.client_id, load.secret).body["access_token"]
            assert revoke(load, token) == 200
            assert call(server, "/readyz").status == 200
        sql = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename ~ '^(api|auth|django)_'"
        assert connection.execute(sql).fetchall() == [("auth",)]
