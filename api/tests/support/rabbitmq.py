"""A RabbitMQ of its own, beside any other on the machine."""

import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from api.tests.support.needs import need
from api.tests.support.server import free_port
from api.tests.support.services import Neighbour, eventually, listens

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PATIENCE = 120  # seconds to start or stop


@dataclass(kw_only=True)
class RabbitMQ(Neighbour):
    directory: Path
    config: str
    plugin: str
    names_port: int = field(default_factory=free_port)  # of its own epmd, which names nodes

    def start(self) -> None:
        need(PROGRAM.exists(), "RabbitMQ")
        listener = f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
        (self.directory / "rabbitmq.conf").write_text(listener + self.config)
        (self.directory / "plugins").write_text(f"[{self.plugin}].")
        with (self.directory / "rabbitmq.log").open("wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM], env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        eventually(lambda: listens(self.port), PATIENCE)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if not self.process:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(PATIENCE)
        finally:
            subprocess.run(
                ["epmd", "-port", str(self.names_port), "-kill"], capture_output=True, check=False
            )
            self.process = None

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(self.names_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_NODENAME": f"authdemo_{self.port}@localhost",
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
        }
