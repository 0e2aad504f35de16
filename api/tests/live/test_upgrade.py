"""A database of the release before: it migrates, and both releases can use it during the upgrade.

`release_before/` has such a database for each vendor, and the secrets and tokens of its clients.
"""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import jwt
import pytest

from api.tests.support.server import PROJECT, Server
from api.tests.support.services import PostgreSQL

RELEASE_BEFORE = PROJECT / "api" / "tests" / "release_before"
OWN_ROW = re.compile(r"INSERT INTO \S*?\b((?:api|auth_user|auth_group)\w*).*")

# Log in with each secret, and call with each token, at the time when the database was made.
CALLS = """
import json
from datetime import UTC, datetime
import time_machine
from rest_framework.test import APIClient

http = APIClient(HTTP_HOST="localhost")

def log_in(client_id, secret):
    return http.post("/login", {"client_id": client_id, "client_secret": secret}, format="json")

def visit(token):
    return http.get("/private", headers={"Authorization": f"Bearer {token}"}).status_code

with time_machine.travel(datetime.fromtimestamp(MADE["at"], UTC)):
    print(json.dumps({
        "ready": http.get("/readyz").status_code,
        "secrets": [log_in(*pair).status_code for pair in MADE["secrets"]],
        "inactive": [log_in(*pair).status_code for pair in MADE["inactive"]],
        "tokens": [visit(token) for token in MADE["tokens"].values()],
        "ended tokens": [visit(token) for token in MADE["ended tokens"].values()],
        "keys": sorted(key["kid"] for key in http.get("/.well-known/jwks.json").json()["keys"]),
        "new token": log_in(*MADE["secrets"][0]).json()["access_token"],
    }))
"""


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_upgrade_keeps_what_the_release_before_has_made_and_lets_it_go_on(
    vendor: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    sql = (RELEASE_BEFORE / f"{vendor}.sql").read_text()
    made = json.loads((RELEASE_BEFORE / f"{vendor}.json").read_text())
    if vendor == "sqlite":
        file = tmp_path / "db.sqlite3"
        url = f"sqlite:///{file}"

        def execute(sql: str) -> None:
            with closing(sqlite3.connect(file)) as connection:
                connection.executescript(sql)
    else:
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        postgresql.execute("CREATE DATABASE before", database="postgres")
        url = postgresql.url(database="before")

        def execute(sql: str) -> None:
            postgresql.execute(sql, database="before")

    execute(sql)
    server = Server(tmp_path, url, extra=made["settings"])
    server.manage("migrate", "--verbosity", "0")
    assert_all_is_alive(server, made)

    # Processes of the release before go on. They write all rows with statements of their own.
    rows = list(OWN_ROW.finditer(sql))
    delete = [f"DELETE FROM {table};" for table in {row[1] for row in rows}]  # noqa: S608
    execute("\n".join(["BEGIN;", *delete, *(row[0] for row in rows), "COMMIT;"]))
    assert_all_is_alive(server, made)


def assert_all_is_alive(server: Server, made: dict[str, Any]) -> None:
    answers: dict[str, Any] = json.loads(server.shell(CALLS.replace("MADE", repr(made))))
    new_token = answers.pop("new token")
    assert answers == {
        "ready": 200,
        "secrets": [200] * len(made["secrets"]),
        "inactive": [401],
        "tokens": [200] * len(made["tokens"]),
        "ended tokens": [401] * len(made["ended tokens"]),
        "keys": sorted([made["kid"], made["next_kid"]]),
    }
    # The release before accepts new tokens too: they have the header and the claims of its own.
    old, new = read(made["tokens"]["good"]), read(new_token)
    assert new.items() >= old.items()


def read(token: str) -> dict[str, Any]:
    """Return the header and the claims, without those that differ each time."""
    parts = jwt.decode_complete(token, options={"verify_signature": False})
    claims = parts["header"] | parts["payload"]
    return {name: claims[name] for name in claims.keys() - {"iat", "exp", "jti"}}
