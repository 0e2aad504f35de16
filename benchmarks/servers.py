"""Compare WSGI servers: granian, gunicorn's threads and waitress, behind nginx and without it.

    apt-get install nginx-light wrk
    pip install -r benchmarks/requirements.txt gunicorn waitress
    python benchmarks/servers.py

Each serves with one process and 8 threads on SQLite. For each the table shows what a login and a
call cost in CPU, whether `/livez` answers within 5 seconds while callers send bodies that never end
or only hold connections, and the status of a call whose token is not ASCII.
"""

import socket
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from databases import scratch
from harness import GRANIAN, Request, Server, end_in_order, nginx, processors
from load import load
from report import markdown
from systems import Ours

THREADS = 8
PATIENCE = 5.0  # seconds
UNFINISHED = (
    b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
)
NOT_ASCII = (
    b"GET /private HTTP/1.1\r\nHost: localhost\r\n"
    b"Authorization: Bearer \xe9\r\nConnection: close\r\n\r\n"
)


class Served(Ours):
    """The service, on one of the servers."""

    extra = {"TRUSTED_PROXIES": "1", "LOG_LEVEL": "ERROR"}
    server = ""

    def command(self, port: int, workers: int) -> list[str]:
        threads = str(THREADS)
        return (
            [sys.executable, "-m"]
            + {
                "granian": [*GRANIAN, "--blocking-threads", threads, "--port", str(port)],
                "gunicorn": ["gunicorn", "--threads", threads, "--bind", f"127.0.0.1:{port}"],
                "waitress": ["waitress", "--threads", threads, "--listen", f"127.0.0.1:{port}"],
            }[self.server]
            + [*self.application]
        )


@dataclass(frozen=True)
class Found:
    server: str
    front: str
    login: float  # seconds of CPU
    call: float
    under: dict[str, str]  # what `/livez` takes, by kind and number of slow callers
    not_ascii: str


def ask(port: int, request: bytes) -> str:
    """Return the status of a response, or `none` if there is none in time."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(request)
            return connection.recv(64).decode("latin-1").split(" ")[1]
    except (OSError, IndexError):
        return "none"


def endure(port: int, callers: int, sent: bytes) -> str:
    """Return how long `/livez` takes while so many callers have sent this and no more."""
    with ExitStack() as stack:
        for _ in range(callers):
            with suppress(OSError):  # the server accepts no more
                connection = socket.create_connection(("127.0.0.1", port), 1)
                stack.enter_context(connection).sendall(sent)
        time.sleep(1)
        started = time.monotonic()
        status = ask(port, Request("GET", "/livez", {"Connection": "close"}).raw)
        taken = time.monotonic() - started
    return f"{taken * 1000:.0f} ms" if status == "200" else "no answer"


def measure(system: Served, server: Server, front: str, port: int) -> Found:
    entry = Server(server.process, port)  # costs are the server's, whoever is in front
    requests = system.loads(entry)
    return Found(
        server=system.server,
        front=front,
        login=load(entry, requests["login, generated secret"], seconds=3).cpu,
        call=load(entry, requests["private"], seconds=3).cpu,
        not_ascii=ask(port, NOT_ASCII),
        under={
            "8 bodies": endure(port, 8, UNFINISHED),
            "40 bodies": endure(port, 40, UNFINISHED),
            "400 bodies": endure(port, 400, UNFINISHED),
            "1,200 idle": endure(port, 1200, b""),
        },
    )


def main() -> None:
    end_in_order()
    found = []
    with scratch("SQLite") as database:
        system = Served(database)
        system.prepare(1000)
        for system.server in ("granian", "gunicorn", "waitress"):
            for front in ("none", "nginx"):
                with (
                    system.serving(processors()[0]) as server,
                    nginx(server.call.connection.port) as port,
                ):
                    entry = port if front == "nginx" else server.call.connection.port
                    found.append(measure(system, server, front, entry))
    columns = {
        "server": lambda each: each.server,
        "in front": lambda each: each.front,
        ">login, CPU ms": lambda each: f"{each.login * 1000:.2f}",
        ">call, CPU ms": lambda each: f"{each.call * 1000:.2f}",
        **{f">{kind}": (lambda each, kind=kind: each.under[kind]) for kind in found[0].under},
        ">token not ASCII": lambda each: each.not_ascii,
    }
    print(markdown(found, columns))


if __name__ == "__main__":
    main()
