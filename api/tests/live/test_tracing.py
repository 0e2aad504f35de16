"""OpenTelemetry traces requests and SQL statements, as docs/deploy.md shows."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.tests.support.load import Load, log_in, visit
from api.tests.support.server import GRANIAN, Server
from api.tests.support.services import eventually

TRACED = {
    "DJANGO_SETTINGS_MODULE": "authdemo.settings",
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_PYTHON_LOG_CORRELATION": "true",
    "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds until spans are printed
}


def spans(log: str) -> Iterator[dict[str, Any]]:
    """Return the spans that the console exporter printed among other lines."""
    for found in re.finditer(r"^\{\n.*?^\}$", log, re.MULTILINE | re.DOTALL):
        yield json.loads(found[0])


def trace_a_login_and_a_call(load: Load) -> None:
    server = load.server
    instrument = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    server.extra = TRACED
    with server.running((instrument, sys.executable, *GRANIAN, "--port", str(server.port))):
        token = log_in(server, load.client_id, load.secret).body["access_token"]
        assert visit(server, token).status == 200
        eventually(lambda: any(span["name"] == "GET private" for span in spans(server.log)))
    by_name = {span["name"]: span for span in spans(server.log)}
    for request, statement in (("POST login", "is_client"), ("GET private", "is_revoked")):
        (query,) = (
            span
            for span in spans(server.log)
            if statement in span["attributes"].get("db.statement", "")
        )
        assert query["parent_id"] == by_name[request]["context"]["span_id"]
    trace_id = by_name["POST login"]["context"]["trace_id"].removeprefix("0x")
    assert re.search(rf"token_issued client=.* trace_id={trace_id}$", server.log, re.MULTILINE)
    assert load.secret not in server.log
    assert token not in server.log


def test_tracer_sees_requests_and_statements_on_sqlite(server: Server) -> None:
    trace_a_login_and_a_call(Load.of_a_new_client(server))


@pytest.mark.postgres
def test_tracer_sees_requests_and_statements_on_postgresql(load: Load) -> None:
    trace_a_login_and_a_call(load)
