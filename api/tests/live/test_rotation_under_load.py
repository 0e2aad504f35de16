"""Rotating a secret while its client is at work, on the real server."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from api.tests.support.server import GRANIAN, Server

WORKERS = 4


@pytest.fixture
def service(server: Server) -> Iterator[Server]:
    with server.running((*GRANIAN, "--port", str(server.port), "--workers", "2")):
        yield server


def fetch(url: str, headers: dict[str, str], body: dict[str, str] | None = None) -> tuple[int, str]:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def log_in(service: Server, credentials: dict[str, str]) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"}
    status, text = fetch(f"{service.url}/login", headers, credentials)
    return status, json.loads(text).get("access_token", "")


def call(service: Server, token: str) -> int:
    return fetch(f"{service.url}/private", {"Authorization": f"Bearer {token}"})[0]


@contextmanager
def load(service: Server, credentials: Callable[[], dict[str, str]]) -> Iterator[Counter[int]]:
    """Log in, and call with the newest token and with the first, until the block ends.

    Yields the answers, counted by status.
    """
    answers: Counter[int] = Counter()
    stop = threading.Event()

    def work() -> Counter[int]:
        counted: Counter[int] = Counter()
        first = log_in(service, credentials())[1]
        while not stop.is_set():
            status, token = log_in(service, credentials())
            counted.update([status, call(service, token), call(service, first)])
        return counted

    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(work) for _ in range(WORKERS)]
        try:
            yield answers
            time.sleep(1)
        finally:
            stop.set()
        for future in futures:
            answers.update(future.result())


def test_rotation_with_a_grace_refuses_nobody(service: Server) -> None:
    current = json.loads(service.manage("createclient", "busy"))
    with load(service, lambda: current) as answers:
        time.sleep(1)
        new = json.loads(service.manage("rotatesecret", "busy", "--grace", "1h"))
        time.sleep(1)  # both are good: the client has not heard of the new one
        current = new
    assert answers.keys() == {200}
    assert answers[200] > 100


def test_rotation_now_refuses_the_very_next_request(service: Server) -> None:
    old = json.loads(service.manage("createclient", "busy"))
    _, token = log_in(service, old)
    with load(service, lambda: old) as answers:
        pass  # so that every worker has seen the token, and remembers its signature
    assert answers.keys() == {200}
    new = json.loads(service.manage("rotatesecret", "busy", "--now"))
    assert [call(service, token) for _ in range(20)] == [401] * 20
    assert log_in(service, old)[0] == 401
    assert call(service, log_in(service, new)[1]) == 200
