"""The real Prometheus logs in here and reads the figures of all workers."""

import json
import os
import shutil
import signal
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import yaml

from api.hashers import generate_secret
from api.tests.support.load import call, log_in
from api.tests.support.needs import need
from api.tests.support.server import GRANIAN, PROJECT, Server
from api.tests.support.services import Neighbour, children, eventually

DEPLOY = PROJECT / "deploy"


@dataclass(kw_only=True)
class Prometheus(Neighbour):
    directory: Path

    def command(self) -> list[str]:
        address = f"--web.listen-address=127.0.0.1:{self.port}"
        data = f"--storage.tsdb.path={self.directory / 'data'}"
        return ["prometheus", f"--config.file={self.directory / 'prometheus.yml'}", address, data]

    def query(self, expression: str) -> float | None:
        """Return the value of an expression, or `None` if it has none yet."""
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{query}"
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                found: list[dict[str, Any]] = json.load(response)["data"]["result"]
        except HTTPError:  # 503 while it starts
            return None
        return float(found[0]["value"][1]) if found else None


def write_config(
    directory: Path, server: Server, *, client_id: str, client_secret: str, **_: str
) -> None:
    """Write the configuration of `deploy/` for this server, and for short tests."""
    shutil.copy(DEPLOY / "alerts.yml", directory)
    secret = directory / "authdemo.secret"
    secret.write_text(client_secret)
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["oauth2"].keys() == {"client_id", "client_secret_file", "token_url"}
    job["oauth2"] |= {"client_id": client_id, "client_secret_file": str(secret)}
    job["oauth2"] |= {"token_url": f"{server.url}/login"}
    job |= {"scheme": "http", "scrape_interval": "500ms", "scrape_timeout": "500ms"}
    job["static_configs"] = [{"targets": [f"localhost:{server.port}"]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))


def test_prometheus_logs_in_and_adds_up_what_two_workers_count(
    server: Server, tmp_path: Path
) -> None:
    need(shutil.which("prometheus"), "prometheus")
    figures = tmp_path / "figures"
    figures.mkdir()
    server.extra = {"PROMETHEUS_MULTIPROC_DIR": str(figures)}
    scraper = json.loads(server.manage("createclient", "prometheus", "--scope", "metrics"))
    prometheus = Prometheus(directory=tmp_path)
    write_config(tmp_path, server, **scraper)
    calls = 'sum(authdemo_http_request_duration_seconds_count{route="/public"})'
    failures = 'sum(authdemo_authentications_total{outcome="failure"})'
    workers = (*GRANIAN, "--port", str(server.port), "--workers", "2", "--respawn-failed-workers")
    with server.running(workers) as process:
        made = 0
        counters: set[Path] = set()
        while made < 40 or len(counters) < 2:  # the second worker may start late
            assert call(server, "/public").status == 200
            made += 1
            assert made < 5000, "the second worker counts nothing"
            counters = set(figures.glob("histogram_*.db"))
        for _ in range(3):
            assert log_in(server, "prometheus", generate_secret()).status == 401
        prometheus.start()
        try:
            eventually(lambda: prometheus.query(calls) == made, 30)
            eventually(lambda: prometheus.query(failures) == 3)
            eventually(lambda: prometheus.query("min(authdemo_database_up)") == 1)
            os.kill(children(process.pid)[-1], signal.SIGKILL)
            # A connection may still reach the killed worker, which answers and counts nothing.
            eventually(lambda: call(server, "/public").status == 200)
            eventually(lambda: prometheus.query(calls) == made + 1, 30)  # nothing counted is lost
        finally:
            prometheus.stop()
