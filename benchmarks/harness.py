"""Start a server as its users would, and read from the kernel what it costs.

Servers and load generator are kept on processors of their own, so that neither takes the other's
time. What a server costs is what the kernel charged to its process and the children of it.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
RESULTS = HERE / "results"
SECRET_KEY = "a key for the servers that benchmarks start and no secret at all"
CONNECTIONS = 8
PATIENCE = 60.0  # seconds that anything here waits for a server
LIMIT = 900.0  # seconds after which a command has hung
TICKS = os.sysconf("SC_CLK_TCK")

# By engine, the best on one core of what was tried. One Python thread leaves nobody to wait for the
# interpreter's lock; a second one works while the first waits for PostgreSQL.
THREADS = {"SQLite": 1, "PostgreSQL": 2}
GRANIAN = ("granian", "--interface", "wsgi", "--no-ws")
# Threads of one server that share a core don't interrupt each other whenever they have something to
# do, so the caches of the one that computes stay warm: a sixth to a quarter less CPU per request.
UNHURRIED = ("chrt", "--batch", "0")
NGINX = """
daemon off; pid {directory}/nginx.pid; error_log stderr crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    upstream service {{ server 127.0.0.1:{port}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host localhost; proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
}}
"""


def processors(servers: int = 1) -> tuple[list[int], int]:
    """Return the processors for so many server processes, and the load generator's.

    The last one is the load generator's, and a server's too only where there are too few.
    """
    available = sorted(os.sched_getaffinity(0))
    return available[:servers], available[-1]


def end_in_order() -> None:
    """Let a request to terminate end the servers and drop the databases as well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))


# Requests


@dataclass(frozen=True)
class Request:
    """An HTTP request, to be sent one at a time or under load."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def post_json(cls, path: str, content: Mapping[str, str]) -> "Request":
        body = json.dumps(content).encode()
        return cls("POST", path, {"Content-Type": "application/json"}, body)

    @property
    def raw(self) -> bytes:
        headers = {"Host": "localhost", **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One keep-alive connection to a server."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def __call__(self, request: Request) -> Answer:
        headers = {"Host": "localhost", **request.headers}
        self.connection.request(request.method, request.path, request.body or None, headers)
        response = self.connection.getresponse()
        return Answer(response.status, response.read())


# Servers


def tree(root: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that just ended
                found += map(int, children.read_text().split())
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU time of a process and its descendants, in user mode and in the kernel's.

    That of descendants that have ended counts too, as their parents have waited for them.
    """
    used = 0
    for pid in tree(root):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += sum(map(int, fields[11:15]))  # utime to cstime: proc(5) counts from the state
    return used / TICKS


class Server:
    """A running server, and what the kernel says of it and its children."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.call = Caller(port)

    def tree(self) -> list[int]:
        return tree(self.process.pid)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def memory(self, kind: str) -> list[int]:
        """Return each process's memory in bytes; `VmHWM` is its peak, `VmRSS` what it has now."""
        status = (Path(f"/proc/{pid}/status").read_text() for pid in self.tree())
        kilobytes = (re.search(rf"^{kind}:\s+(\d+) kB", text, re.MULTILINE) for text in status)
        return [int(match[1]) * 1024 for match in kilobytes if match]

    def settle(self) -> None:
        """Wait until the server has finished what it still had in hand."""
        deadline = time.monotonic() + PATIENCE
        before = -1.0
        while before != (before := self.cpu_seconds()) and time.monotonic() < deadline:
            time.sleep(0.1)


@contextmanager
def serving(
    command: Sequence[str],
    *,
    port: int,
    directory: Path,
    environment: Mapping[str, str],
    cpus: Sequence[int],
) -> Iterator[Server]:
    """Run a server on the given processors until the block ends."""
    pinned = (*UNHURRIED, "taskset", "--cpu-list", ",".join(map(str, cpus)), *command)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            pinned, cwd=directory, env=dict(environment), stdout=log, stderr=log
        )
        server = Server(process, port)
        try:
            await_answer(process, port, log)
            yield server
        finally:
            stop(server)


def await_answer(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            Caller(port)(Request("GET", "/"))
        except OSError:
            time.sleep(0.05)
        else:
            return
    log.seek(0)
    raise RuntimeError(f"The server did not start:\n{log.read().decode()}")


def stop(server: Server) -> None:
    """End a server, its workers too: one in the middle of a slow hash may not listen."""
    pids = server.tree()
    server.process.terminate()
    try:
        server.process.wait(5)
    except subprocess.TimeoutExpired:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def nginx(port: int) -> Iterator[int]:
    """Run nginx in front of a port, and yield its own."""
    front = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "nginx.conf")
        config.write_text(NGINX.format(directory=directory, port=port, front=front))
        process = subprocess.Popen(["nginx", "-c", str(config)])
        try:
            time.sleep(1)
            yield front
        finally:
            process.terminate()
            process.wait()


def run(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
