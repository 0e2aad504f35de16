"""Count requests and checks for Prometheus.

Each process counts by itself. With `PROMETHEUS_MULTIPROC_DIR`, the processes of one machine share
files in that directory, and any of them reports the sum. Labels have few values, and name no
client.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from django.conf import settings
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
KNOWN_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
MAX_CHILDREN = 2048  # cached combinations of route, method and status

_requests = Histogram(
    "authdemo_http_request_duration_seconds",
    "Requests, by the route of the path, and the time to their response.",
    ("route", "method", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_authentications = Counter(
    "authdemo_authentications",
    "Checks of a client's or a person's credentials, by method and outcome.",
    ("method", "outcome"),
)
_token_checks = Counter(
    "authdemo_token_checks", "Verifications of access tokens, by outcome.", ("outcome",)
)
_slow_hash_queue = Gauge(
    "authdemo_slow_hash_queue",
    "Requests that wait for a slow hash.",
    multiprocess_mode="livesum",
)


def count_request(route: str | None, method: str, status: int, seconds: float) -> None:
    """Count a request. `route` is its URL pattern, or `None` for a path that has none."""
    _request(route, method if method in KNOWN_METHODS else "other", status).observe(seconds)


@lru_cache(maxsize=MAX_CHILDREN)
def _request(route: str | None, method: str, status: int) -> Histogram:
    return _requests.labels("none" if route is None else f"/{route}", method, status)


def count_authentication(method: str, outcome: str) -> None:
    """Count a check of credentials.

    `outcome` is `success`, `failure`, `throttled`, `queue_full` or `issuer_unavailable`.
    """
    _authentication(method, outcome).inc()


@cache
def _authentication(method: str, outcome: str) -> Counter:
    return _authentications.labels(method, outcome)


def count_token_check(outcome: str) -> None:
    """Count a verification of an access token: `good` or `refused`."""
    _token_check(outcome).inc()


@cache
def _token_check(outcome: str) -> Counter:
    return _token_checks.labels(outcome)


def show_queue(length: int) -> None:
    """Show how many requests of this process wait for a slow hash."""
    _slow_hash_queue.set(length)


class _Snapshot(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def render(state: Iterable[Metric]) -> bytes:
    """Return the counts of all processes, and the `state`, in Prometheus's text format."""
    snapshot = CollectorRegistry()
    snapshot.register(_Snapshot(state))
    return generate_latest(_counts()) + generate_latest(snapshot)


def _counts() -> CollectorRegistry:
    if not settings.METRICS_DIRECTORY:
        return REGISTRY
    _forget_dead_processes(Path(settings.METRICS_DIRECTORY))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _forget_dead_processes(directory: Path) -> None:
    """Drop the gauges of processes that were killed; their counters stay in the sums."""
    for file in directory.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            mark_process_dead(int(pid))  # type: ignore[no-untyped-call]
