"""Neighbours of the service that a test may stop, freeze and kill: databases, Redis, a network."""

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from api.tests.support.server import free_port

PASSWORD = "p@ss w:/?#%é"


def eventually(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(stat.parent.name))
    return found


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Neighbour:
    """A process that listens on a port."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(lambda: listens(self.port), 20)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the process and its children: connections are accepted, and never answered."""
        assert self.process
        pids = [self.process.pid, *children(self.process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@dataclass
class Redis(Neighbour):
    """A Redis server, with `options` for its command line."""

    options: tuple[str, ...] = ()

    def command(self) -> list[str]:
        usual = ("--port", str(self.port), "--save", "", "--bind", "127.0.0.1")
        return ["redis-server", *usual, *self.options]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@dataclass
class Sentinel(Neighbour):
    """A Redis Sentinel that `monitors` the master with these options of its own."""

    options: tuple[str, ...] = ()
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="sentinel-")))

    def command(self) -> list[str]:
        config = self.directory / "sentinel.conf"  # it writes there what it learns
        lines = (f"port {self.port}", "bind 127.0.0.1", f"dir {self.directory}", *self.options)
        config.write_text("\n".join(lines))
        return ["redis-server", str(config), "--sentinel"]

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)


def as_postgres() -> list[str]:
    """Return how to begin a command that refuses to run as root."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@dataclass
class PostgreSQL(Neighbour):
    """A PostgreSQL server of its own, in a directory that its own user can reach.

    The user `guarded` needs a password, others none. It listens on a socket in `directory` too.
    """

    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="postgresql-")))

    @staticmethod
    def binaries() -> Path | None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        initdb = shutil.which("initdb")
        return found[-1] if found else Path(initdb).parent if initdb else None

    def command(self) -> list[str]:
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "max_connections": 40}
        options |= {"unix_socket_directories": self.directory, "fsync": "off"}
        return self._run("postgres", *(f"-c{name}={value}" for name, value in options.items()))

    def _run(self, program: str, *arguments: str) -> list[str]:
        binary = f"{self.binaries()}/{program}"
        return [*as_postgres(), binary, "-D", str(self.directory / "data"), *arguments]

    def create(self) -> None:
        self.own(self.directory)
        initdb = self._run("initdb", "--auth=trust", "--username=root", "--no-sync")
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
        access = self.directory / "data" / "pg_hba.conf"
        access.write_text(f"host all guarded 127.0.0.1/32 scram-sha-256\n{access.read_text()}")
        self.start()
        guarded = f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{PASSWORD}'"
        self.execute(guarded, database="postgres")
        self.execute("CREATE DATABASE authdemo", database="postgres")

    def own(self, path: Path) -> None:
        """Give a path to the user as whom PostgreSQL runs."""
        if os.getuid() == 0:
            shutil.chown(path, "postgres")

    def start(self) -> None:
        super().start()
        eventually(self._answers, 20)

    def standby(self) -> "PostgreSQL":
        """Start a server that repeats what this one writes, until it is promoted."""
        other = PostgreSQL()
        other.own(other.directory)
        source = ("--dbname", self.url(database="postgres"), "--write-recovery-conf", "--no-sync")
        copy = other._run("pg_basebackup", *source, "--checkpoint=fast")
        subprocess.run(copy, check=True, stdout=subprocess.DEVNULL)
        other.start()
        return other

    def promote(self) -> None:
        self.execute("SELECT pg_promote()")  # waits until it is done

    def set(self, name: str, value: str) -> None:
        """Change a setting of the server while it runs, also for connections that are open."""
        self.execute(f"ALTER SYSTEM SET {name} = {value}")
        self.execute("SELECT pg_reload_conf()")

    def remove(self) -> None:
        self.stop(signal.SIGINT)
        shutil.rmtree(self.directory)

    def execute(self, sql: str, *, database: str = "authdemo") -> None:
        with self.connect(database) as connection:
            connection.execute(sql.encode())

    def connect(self, database: str = "authdemo") -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.url(database=database), autocommit=True)

    def end_connections(self, limit: int | None = None) -> None:
        with self.connect() as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = 'authdemo' AND pid <> pg_backend_pid() LIMIT %s",
                [limit],
            )

    def url(
        self, *, port: int | None = None, user: str = "root", database: str = "authdemo"
    ) -> str:
        return f"postgres://{user}@127.0.0.1:{port or self.port}/{database}"

    def _answers(self) -> bool:
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True


@dataclass
class PgBouncer(Neighbour):
    """A pooler in front of a PostgreSQL server, whose few sessions it hands out by transaction."""

    postgresql_port: int = 0
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pgbouncer-")))

    @staticmethod
    def binary() -> str | None:
        return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

    def command(self) -> list[str]:
        config = self.directory / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.postgresql_port} user=root\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            "auth_type = any\nunix_socket_dir =\npool_mode = transaction\ndefault_pool_size = 3\n"
        )
        self.directory.chmod(0o755)
        return [*as_postgres(), str(self.binary()), str(config)]


class Network:
    """A TCP proxy in front of a port; while it `is_cut`, nothing gets through, silently.

    Of what the port answers at a time, the last `lost` bytes get lost. A connection that was idle
    for longer than `patience` is forgotten: it is reset when somebody sends something.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.is_cut = False
        self.lost = 0
        self.patience = float("inf")  # seconds
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as far:
            other = {near: far, far: near}
            used_at = time.monotonic()
            while True:
                if self.is_cut:
                    time.sleep(0.01)
                    continue
                for end in select.select([near, far], [], [], 0.1)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    idle, used_at = time.monotonic() - used_at, time.monotonic()
                    if idle > self.patience:
                        reset = struct.pack("ii", 1, 0)  # what is sent when it is closed
                        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                        return
                    if end is far and self.lost:
                        data = data[: -self.lost]
                    other[end].sendall(data)
