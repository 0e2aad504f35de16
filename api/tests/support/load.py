"""Clients that call the real server without pause, and a count of what they were answered."""

import base64
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from api.tests.support.server import Server

TIMEOUT = 10  # seconds; a call that takes longer counts as lost, with status 0


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]
    seconds: float


def call(
    server: Server, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
) -> Answer:
    """Make one call: a POST where there is a body."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("localhost", server.port, timeout=TIMEOUT)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        answer = json.loads(content) if is_json else content.decode()
        return Answer(response.status, answer, dict(response.headers), time.monotonic() - started)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, repr(error), {}, time.monotonic() - started)
    finally:
        connection.close()


def log_in(
    server: Server, client_id: str, secret: str, headers: Mapping[str, str] | None = None
) -> Answer:
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    sent = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return call(server, "/login", sent | dict(headers or {}), "grant_type=client_credentials")


def visit(server: Server, token: str) -> Answer:
    return call(server, "/private", {"Authorization": f"Bearer {token}"})


@dataclass
class Load:
    """Logins, verifications and the routes that need no database, from a few threads each."""

    server: Server
    client_id: str
    secret: str
    token: str = ""
    pause: float = 0.02  # seconds between two calls of one thread
    answers: list[tuple[float, str, Answer]] = field(default_factory=list)

    @classmethod
    def of_a_new_client(cls, server: Server) -> "Load":
        created = json.loads(server.manage("createclient"))
        return cls(server, created["client_id"], created["client_secret"])

    @contextmanager
    def running(self, threads: int = 2) -> Iterator["Load"]:
        self.token = log_in(self.server, self.client_id, self.secret).body["access_token"]
        stop = threading.Event()
        calls = {
            "login": lambda: log_in(self.server, self.client_id, self.secret),
            "private": lambda: visit(self.server, self.token),
            "public": lambda: call(self.server, "/public"),
            "livez": lambda: call(self.server, "/livez"),
            "jwks": lambda: call(self.server, "/.well-known/jwks.json"),
        }

        def work(kind: str) -> None:
            while not stop.wait(self.pause):
                answer = calls[kind]()
                self.answers.append((time.monotonic(), kind, answer))

        workers = [
            threading.Thread(target=work, args=(kind,)) for kind in calls for _ in range(threads)
        ]
        for worker in workers:
            worker.start()
        try:
            yield self
        finally:
            stop.set()
            for worker in workers:
                worker.join()

    def statuses(self, *kinds: str, since: float = 0, until: float = float("inf")) -> Counter[int]:
        """Count the answers by status, of calls of these kinds that ended in a span of time."""
        return Counter(
            answer.status
            for ended, kind, answer in self.answers
            if kind in kinds and since <= ended <= until
        )

    def slowest(self, *kinds: str) -> float:
        return max(answer.seconds for _, kind, answer in self.answers if kind in kinds)

    def summary(self) -> str:
        kinds = sorted({kind for _, kind, _ in self.answers})
        return "; ".join(
            f"{kind} {dict(self.statuses(kind))} up to {self.slowest(kind):.2f} s" for kind in kinds
        )


def revoke(load: Load, token: str) -> int:
    """Revoke a token, which writes to the database, and return the status."""
    body = json.dumps({"client_id": load.client_id, "client_secret": load.secret, "token": token})
    return call(load.server, "/revoke", {"Content-Type": "application/json"}, body).status


ROTATION = """
from api.clients import SecretChangedError, rotate_secret
from api.keys import RotationPendingError, rotate
from api.models import Client
client = Client.objects.get(username="CLIENT")

def go():
    for kind, change, Refused in (
        ("secret", lambda: rotate_secret(client), SecretChangedError),
        ("key", lambda: rotate().kid, RotationPendingError),
    ):
        try:
            print(kind, change())
        except Refused:
            print(kind, "refused")
"""


def assert_one_rotation_wins(server: Server, client_id: str) -> None:
    """Rotate a client's secret, and the signing keys, in four processes at once."""
    lines = server.race(ROTATION.replace("CLIENT", client_id), 4)
    won = [line.split() for line in lines if not line.endswith(" refused")]
    assert (len(lines), sorted(kind for kind, _ in won)) == (8, ["key", "secret"])
    (secret,) = [value for kind, value in won if kind == "secret"]
    with server.running():
        answer = log_in(server, client_id, secret)
        assert answer.status == 200
        assert visit(server, answer.body["access_token"]).status == 200
