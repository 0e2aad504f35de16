"""The real server, as its users start it: a process of its own on a free port."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

# A token that `foo` got a lifetime ago, and that expires at this moment.
EXPIRED_TOKEN = """
from datetime import timedelta
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient
from api.claims import LIFETIME

with time_machine.travel(timezone.now() - timedelta(seconds=LIFETIME)):
    foo = {"client_id": "foo", "client_secret": "bar"}
    response = APIClient(HTTP_HOST="localhost").post("/login", foo, format="json")
print(response.data["access_token"])
"""
PROJECT = Path(__file__).resolve().parent.parent.parent.parent
GRANIAN = ("-m", "granian", "--interface", "wsgi", "authdemo.wsgi:application")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Server:
    """A service on its own database: `manage` runs its commands, `running` its server."""

    directory: Path
    database_url: str
    port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict)
    project: Path = PROJECT
    prefix: tuple[str, ...] = ()  # of each command, such as `env`
    path: str = ""  # of the public address

    @classmethod
    def with_copy(cls, directory: Path, database: Path) -> "Server":
        """Return a service, not yet running, with its own copy of an SQLite database."""
        copy = shutil.copy(database, directory / "db.sqlite3")
        return cls(directory, f"sqlite:///{copy}")

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}{self.path}"

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text()

    @property
    def environment(self) -> dict[str, str]:
        names = ("PATH", "HOME", "ACCESS_TOKEN_LIFETIME")
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        own = {
            "PUBLIC_URL": self.url,
            "DATABASE_URL": self.database_url,
            "SECRET_KEY": "a secret key for the servers that tests start of 50 and more",
        }
        return inherited | own | self.extra

    def run(
        self, *arguments: str, stdout: int | IO[str] = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a management command, whatever comes of it."""
        return subprocess.run(
            [*self.prefix, sys.executable, "manage.py", *arguments],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shell(self, code: str) -> str:
        """Run code in a shell of Django's and return what it printed."""
        return self.manage("shell", "--verbosity", "0", "--command", code).strip()

    def race(self, code: str, processes: int) -> list[str]:
        """Run code in processes that begin together, once Django is set up; return their lines.

        The code defines `go`, which is called when all processes have run it.
        """
        program = f"import django, sys; django.setup()\n{code}\n"
        program += "print(flush=True); sys.stdin.read(1); go()"
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=self.project,
                env=self.environment | {"DJANGO_SETTINGS_MODULE": "authdemo.settings"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(processes)
        ]
        for racer in racers:
            assert racer.stdout
            assert racer.stdout.readline() == "\n"
        for racer in racers:
            assert racer.stdin
            racer.stdin.write("\n")
            racer.stdin.flush()
        return "".join(racer.communicate(timeout=60)[0] for racer in racers).splitlines()

    @contextmanager
    def running(self, arguments: Sequence[str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """Run the server until the block ends; granian with one worker unless told otherwise."""
        arguments = arguments or (*GRANIAN, "--port", str(self.port))
        with (self.directory / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, *arguments],
                cwd=self.project,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            self.wait(process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server answers."""
        live = urllib.request.Request(f"http://localhost:{self.port}/livez")
        live.add_header("X-Forwarded-Proto", "https")  # or a service for https redirects it
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, self.log
            try:
                with urllib.request.urlopen(live, timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"The server did not answer: {self.log}")


@dataclass(frozen=True)
class Service:
    """A server that runs, and a client of it with the scope `read`."""

    url: str
    client_id: str
    secret: str


def serve(server: Server) -> tuple[str, ...]:
    """Return the command of production, for `Server.running`."""
    return ("manage.py", "serve", "--port", str(server.port))
