"""nginx as `deploy/nginx.conf` configures it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from api.tests.support.docs import DOCS, blocks
from api.tests.support.needs import need
from api.tests.support.server import PROJECT
from api.tests.support.services import Neighbour, children, eventually

FRAME = """
daemon off; pid {directory}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
    {config}
}}
"""


def documented_config() -> tuple[str, str]:
    """Return the configuration, and the locations that replace its own below a path."""
    (below_a_path,) = blocks("nginx", (DOCS / "deploy.md").read_text())
    return (PROJECT / "deploy" / "nginx.conf").read_text(), below_a_path


def make_certificate(directory: Path) -> Path:
    """Make a certificate for localhost that signs itself. Return the file with it and its key."""
    need(shutil.which("openssl"), "openssl")
    file = directory / "localhost.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(file), "-out", str(file)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return file


@dataclass(kw_only=True)
class Nginx(Neighbour):
    """nginx with a documented configuration, in front of a server's port."""

    directory: Path
    config: str
    behind: int  # port
    certificate: Path | None = None  # without one, nginx speaks plain http

    def command(self) -> list[str]:
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        need(program, "nginx")
        return [str(program), "-c", str(self._write())]

    def reload(self, config: str) -> None:
        """Use another configuration, and wait until the former one has finished its requests."""
        assert self.process
        pid = self.process.pid
        former = children(pid)
        self.config = config
        self._write()
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: bool(now := children(pid)) and not set(now) & set(former), 30)

    def _write(self) -> Path:
        file = self.directory / "nginx.conf"
        config = "\n".join(map(self._adapt, self.config.splitlines()))
        file.write_text(FRAME.format(directory=self.directory, config=config))
        return file

    def _adapt(self, line: str) -> str:
        """Return a line of the configuration for this machine, with free ports."""
        match line.split():
            case ["listen", "443", "ssl", "http2;"]:
                return f"listen 127.0.0.1:{self.port}{' ssl http2' if self.certificate else ''};"
            case ["ssl_certificate" | "ssl_certificate_key" as name, _]:
                return f"{name} {self.certificate};" if self.certificate else ""
        return line.replace("127.0.0.1:8000", f"127.0.0.1:{self.behind}")

    @contextmanager
    def running(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.stop()
