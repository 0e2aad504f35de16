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
    server = Server(tmp_path, url, extra={"PUBLIC_URL": "http://localhost:8000"})
    server.manage("migrate", "--verbosity", "0")

    def check() -> None:
        answers: dict[str, Any] = json.loads(server.shell(CALLS.replace("MADE", repr(made))))
        new, old = (
            jwt.decode_complete(token, options={"verify_signature": False})
            for token in (answers.pop("new token"), made["tokens"]["good"])
        )
        assert answers == {
            "ready": 200,
            "secrets": [200] * len(made["secrets"]),
            "inactive": [401],
            "tokens": [200] * len(made["tokens"]),
            "ended tokens": [401] * len(made["ended tokens"]),
            "keys": sorted([made["kid"], made["next_kid"]]),
        }
        # So the processes of the release before, which look for nothing else, accept it.
        differ = {"iat", "exp", "jti"}
        assert new["header"] == old["header"]
        assert old["payload"].items() - new["payload"].items() <= {
            item for item in old["payload"].items() if item[0] in differ
        }

    check()
    rows = list(OWN_ROW.finditer(sql))
    emptied = [f"DELETE FROM {table};" for table in {row[1] for row in rows}]  # noqa: S608
    written = [row[0] for row in rows]
    execute("\n".join(["BEGIN;", *emptied, *written, "COMMIT;"]))
    check()
