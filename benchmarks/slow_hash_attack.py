"""Show that a flood of wrong chosen secrets delays nobody else, through nginx.

    apt-get install nginx-light
    python benchmarks/slow_hash_attack.py
    python benchmarks/slow_hash_attack.py --project ../other   # another checkout, its own figures

Starts one server process with 8 threads, and nginx in front. 64 connections from 64 addresses send
wrong chosen secrets, each again as soon as it has its answer or after `--pause`. Beside them one
caller at another address asks for four things in turn. Prints the median of each, in milliseconds,
and the share that succeeded, without the attack and under it.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from harness import PROJECT, SECRET_KEY, free_port, nginx

CONNECTIONS = 64
CALLER = "127.200.0.1"
JSON = {"Content-Type": "application/json"}


def post(connection: http.client.HTTPConnection, path: str, body: dict[str, str]) -> int:
    connection.request("POST", path, json.dumps(body), JSON)
    response = connection.getresponse()
    response.read()
    return response.status


@contextmanager
def service(project: Path) -> Iterator[tuple[int, dict[str, dict[str, str]]]]:
    """Run the service behind nginx; yield nginx's port and the credentials of two clients."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {
            "DATABASE_URL": f"sqlite:///{directory}/db.sqlite3",
            "SECRET_KEY": SECRET_KEY,
            "TRUSTED_PROXIES": "1",
            "LOG_LEVEL": "ERROR",
        }

        def manage(*arguments: str) -> str:
            command = [sys.executable, "manage.py", *arguments]
            done = subprocess.run(
                command, cwd=project, env=environment, check=True, capture_output=True, text=True
            )
            return done.stdout

        manage("migrate", "--verbosity", "0")
        made = json.loads(manage("createclient", "generated"))
        code = "from api.credentials import create_client; create_client('chosen', secret='bar')"
        manage("shell", "--command", code)
        clients = {
            "generated": {name: made[name] for name in ("client_id", "client_secret")},
            "chosen": {"client_id": "chosen", "client_secret": "bar"},
        }
        granian = ["-m", "granian", "--interface", "wsgi", "--no-ws", "--blocking-threads", "8"]
        server = subprocess.Popen(
            [sys.executable, *granian, "--port", str(port), "authdemo.wsgi:application"],
            cwd=project,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with nginx(port) as front:
                time.sleep(3)
                yield front, clients
        finally:
            server.terminate()
            server.wait(20)


@contextmanager
def attack(port: int, pause: float) -> Iterator[Counter[int]]:
    """Guess at the chosen secret over 64 connections, and yield once each has guessed wrongly.

    Yields the answers, counted by status.
    """
    statuses: Counter[int] = Counter()
    over, failed = threading.Event(), set[int]()

    def guess(number: int) -> None:
        source = (f"127.{number}.0.1", 0)
        connection = http.client.HTTPConnection("127.0.0.1", port, 60, source_address=source)
        body = {"client_id": "chosen", "client_secret": "wrong"}
        while not over.is_set():
            status = post(connection, "/login", body)
            statuses[status] += 1
            if status == 401:
                failed.add(number)
            over.wait(pause)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(1, CONNECTIONS + 1)]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 60
        while len(failed) < CONNECTIONS and time.monotonic() < deadline:
            time.sleep(0.1)
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join()


def measure(port: int, clients: dict[str, dict[str, str]], seconds: float) -> dict[str, str]:
    """Ask for the four things in turn for some seconds; return median and success of each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, 60, source_address=(CALLER, 0))
    connection.request("POST", "/login", json.dumps(clients["generated"]), JSON)
    token = json.loads(connection.getresponse().read())["access_token"]

    def get(path: str, headers: dict[str, str]) -> int:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status

    calls: dict[str, Callable[[], int]] = {
        "/livez": lambda: get("/livez", {}),
        "/private": lambda: get("/private", {"Authorization": f"Bearer {token}"}),
        "generated login": lambda: post(connection, "/login", clients["generated"]),
        "chosen login": lambda: post(connection, "/login", clients["chosen"]),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    succeeded: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, call in calls.items():
            began = time.monotonic()
            succeeded[name] += call() == 200
            times[name].append(time.monotonic() - began)
    return {
        name: f"{median(taken) * 1000:.1f} ms, {succeeded[name] / len(taken):.0%}"
        for name, taken in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=PROJECT, help="the checkout to attack")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pause", type=float, default=0, help="seconds between two guesses")
    options = parser.parse_args()
    with service(options.project.resolve()) as (port, clients):
        print("without the attack", measure(port, clients, options.seconds))
        with attack(port, options.pause) as statuses:
            began, before = time.monotonic(), statuses.total()
            print("under the attack  ", measure(port, clients, options.seconds))
            rate = (statuses.total() - before) / (time.monotonic() - began)
            print(f"{rate:.0f} guesses a second were answered", dict(statuses))


if __name__ == "__main__":
    main()
