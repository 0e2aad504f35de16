"""Load a server with wrk, which has a processor of its own."""

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from harness import CONNECTIONS, HERE, PATIENCE, Caller, Request, Server, processors, run


@dataclass(frozen=True)
class Load:
    """What came of one run of the load generator; times in seconds, `cpu` per request."""

    answered: int
    rate: float
    p50: float
    p99: float
    cpu: float


def load(
    server: Server,
    requests: Sequence[Request],
    *,
    seconds: int,
    answers: int = 0,
    connections: int = CONNECTIONS,
) -> Load:
    """Send the requests in turn, over and over, for a time or until there are so many answers.

    With fewer `answers` than requests, each is sent at most once.
    A server too slow to give two answers on each connection in that time gets the time for it.
    Raises `RuntimeError` if one of the answers isn't a success, or none came.
    """
    started = time.monotonic()
    Caller(server.port)(requests[-1])
    slowest = 2 * connections * (time.monotonic() - started)
    before = server.cpu_seconds()
    options = {"connections": connections, "duration": max(seconds, ceil(slowest))}
    result = run_wrk(server, requests, options, answers=answers)
    server.settle()
    return Load(
        answered=result["answered"],
        rate=result["answered"] / result["seconds"],
        p50=result["p50"],
        p99=result["p99"],
        cpu=(server.cpu_seconds() - before) / result["sent"],
    )


def load_once(
    server: Server, requests: Sequence[Request], *, seconds: int, connections: int = CONNECTIONS
) -> Load:
    """Send each of the requests at most once, for a time or until nearly all are answered."""
    answers = len(requests) - 2 * connections
    return load(server, requests, seconds=seconds, answers=answers, connections=connections)


def collect(server: Server, requests: Sequence[Request], answers: int) -> list[Any]:
    """Send requests until there are so many answers, and return these, read as JSON."""
    with tempfile.NamedTemporaryFile() as bodies:
        options = {"connections": CONNECTIONS, "duration": ceil(PATIENCE)}
        run_wrk(server, requests, options, answers=answers, bodies=bodies.name)
        lines = Path(bodies.name).read_text().splitlines()
    return [json.loads(line) for line in lines[:answers]]


def run_wrk(
    server: Server,
    requests: Sequence[Request],
    options: Mapping[str, int],
    *,
    answers: int,
    bodies: str = "",
) -> dict[str, Any]:
    """Run wrk with `load.lua`, and return what that reports.

    Raises `RuntimeError` if one of the answers isn't a success, or none came.
    """
    with tempfile.NamedTemporaryFile() as plan:
        for request in requests:
            plan.write(b"%d\n%s" % (len(request.raw), request.raw))
        plan.flush()
        printed = run(
            [
                *("taskset", "--cpu-list", str(processors()[1])),
                *("wrk", "--threads", "1", "--timeout", f"{PATIENCE:.0f}"),
                *(f"--{name}={value}" for name, value in options.items()),
                *("--script", str(HERE / "load.lua"), f"http://127.0.0.1:{server.port}"),
                *("--", plan.name, str(answers), bodies),
            ],
            HERE,
            os.environ,
        )
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    if not result["answered"] or result["refused"] or result["broken"]:
        raise RuntimeError(f"Not every request was answered with success: {result}")
    return result
