"""The lifetime of a token is one setting: tokens, responses, pages and rotation follow it."""

import json
import urllib.request

import jwt

from api.tests.support.server import Server

SET_UP = """
from api.credentials import create_client
create_client("foo", secret="bar")
"""
ROTATION = """
from api import keys
from api.models import SigningKey
old, new = keys.signing_key().kid, keys.rotate()
print(SigningKey.objects.get(kid=old).verifies_until - new.signs_from - keys.LEEWAY)
"""


def fetch(url: str, body: dict[str, str] | None = None, accept: str = "*/*") -> str:
    headers = {"Accept": accept, "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as response:
        return str(response.read().decode())


def test_one_variable_changes_the_lifetime_everywhere(server: Server) -> None:
    server.extra["ACCESS_TOKEN_LIFETIME"] = "90s"
    server.shell(SET_UP)
    with server.running():
        answer = json.loads(
            fetch(f"{server.url}/login", {"client_id": "foo", "client_secret": "bar"})
        )
        schema = json.loads(fetch(f"{server.url}/schema"))
        pages = [fetch(f"{server.url}{path}", accept="text/html") for path in ("/", "/login")]
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (answer["expires_in"], claims["exp"] - claims["iat"]) == (90, 90)
    assert all("for 90 seconds." in page for page in pages)
    assert '"expires_in": 90' in json.dumps(schema)
    assert server.shell(ROTATION) == "0:01:30"
