"""Mixed traffic for as long as one likes: memory stays flat after warm-up, no descriptor leaks.

SOAK_SECONDS=240 pytest -s api/tests/test_soak.py
"""

import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path
from secrets import token_hex

import pytest

from api.tests.support.load import Load, call, log_in
from api.tests.support.server import GRANIAN, Server
from api.tests.support.services import children

SECONDS = float(os.environ.get("SOAK_SECONDS", "5"))
GROWTH = 1024  # KiB a minute after warm-up; what is left of it is the noise of the allocator


def resident(pid: int) -> int:
    """Return the KiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def call_wrongly(server: Server) -> list[int]:
    """Send what is refused, and what no cache has seen: clients, tokens, addresses."""
    unseen = token_hex(16)
    forwarded = {"X-Forwarded-For": f"2001:db8:{unseen[:4]}:{unseen[4:8]}::1"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return [
        log_in(server, unseen, "wrong", forwarded).status,
        call(server, "/private", {"Authorization": f"Bearer eyJ.{unseen}.{unseen}"}).status,
        call(server, "/login", form, f"grant_type={unseen}").status,
        call(server, f"/{unseen}").status,
        call(server, "/register", form | forwarded, "client_name=soak").status,
    ]


@pytest.mark.fault
def test_memory_and_descriptors_stay_flat(server: Server) -> None:
    created = json.loads(server.manage("createclient", "foo"))
    server.extra = {"TRUSTED_PROXIES": "1"}
    load = Load(server, created["client_id"], created["client_secret"], pause=0.001)
    refused: Counter[int] = Counter()
    samples: list[tuple[float, int, int]] = []
    with server.running((*GRANIAN, "--port", str(server.port), "--blocking-threads", "16")) as it:
        (worker,) = children(it.pid)
        started = time.monotonic()
        with load.running():
            while (now := time.monotonic() - started) < SECONDS:
                refused.update(call_wrongly(server))
                if now > SECONDS / 3:  # warm by then
                    samples.append((now, resident(worker), descriptors(worker)))
    times, memory, open_files = zip(*samples, strict=True)
    slope = statistics.linear_regression(times, memory).slope * 60
    print(  # noqa: T201 (the figures are what one runs this for)
        f"{len(load.answers) + refused.total()} calls in {SECONDS:.0f} s; "
        f"memory {memory[0]} to {memory[-1]} KiB, {slope:+.0f} KiB/minute; "
        f"descriptors {min(open_files)} to {max(open_files)}; refused {dict(refused)}"
    )
    assert load.statuses("login", "private", "public", "livez", "jwks").keys() == {200}
    assert refused.keys() <= {401, 400, 404, 201}
    assert max(open_files) - min(open_files) <= 2 * 16  # connections of the moment
    if SECONDS >= 60:
        assert slope < GROWTH
