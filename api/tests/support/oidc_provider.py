"""A token issuer that nobody here wrote: npm's `oidc-provider`, in a process of its own."""

import json
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from api.tests.support.responses import basic
from api.tests.support.server import PROJECT
from api.tests.support.services import Neighbour, eventually, listens

SOURCE = PROJECT / "api" / "tests" / "live" / "oidc_provider"
WORKLOAD, PROGRAM = "workload", "program"


@dataclass
class OIDCProvider(Neighbour):
    """The issuer; its signing key is in a file, so it outlives a restart."""

    program: Path = SOURCE / "issuer.js"
    key: Path = Path("key.json")

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def command(self) -> list[str]:
        return ["node", str(self.program), str(self.port), str(self.key)]

    def start(self) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(self.command(), stdin=pipe, stdout=pipe, stderr=null)
        eventually(lambda: listens(self.port), 20)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if process := self.process:
            super().stop(number)
            process.communicate()  # closes its pipes

    def order(self, line: str) -> None:
        """Make it rotate its key, or misbehave from now on."""
        assert self.process
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"done\n"

    def token(self, audience: str, name: str = WORKLOAD) -> str:
        """Return a token for a workload, or an access token for a program."""
        form = {"grant_type": "client_credentials", "resource": audience}
        headers: Mapping[str, str] = basic(name, "known to its platform only")
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{self.url}/token", data, dict(headers))
        with urllib.request.urlopen(request, timeout=10) as response:
            return str(json.load(response)["access_token"])
