"""What do more workers bring?"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness import CONNECTIONS, processors
from load import Load
from population import Population
from report import markdown
from traffic import MIX, PRIVATE, SECRET, Traffic

WORKERS = (1, 2, 4)
ENDPOINTS = (SECRET, PRIVATE, MIX)
IN_USE = 1000  # clients of each kind at most


@dataclass(frozen=True)
class Workers:
    """Medians of the rounds with so many workers; times in seconds, `cpu` per request."""

    engine: str
    workers: int
    endpoint: str
    rate: float
    p99: float
    cpu: float


def measure(system: Population, rounds: int, seconds: int) -> list[Workers]:
    measured = [{each: visit(system, each, seconds) for each in WORKERS} for _ in range(rounds)]
    return [
        Workers(
            engine=system.database.engine,
            workers=each,
            endpoint=endpoint,
            rate=median(loads[each][endpoint].rate for loads in measured),
            p99=median(loads[each][endpoint].p99 for loads in measured),
            cpu=median(loads[each][endpoint].cpu for loads in measured),
        )
        for endpoint in ENDPOINTS
        for each in WORKERS
    ]


def visit(system: Population, workers: int, seconds: int) -> dict[str, Load]:
    """Load a fresh server, whose workers have a processor each as far as there are."""
    with system.serving(processors(workers)[0], workers) as server:
        traffic = Traffic(system, server, system.in_use(IN_USE))
        found = {
            endpoint: traffic.measure(endpoint, seconds, CONNECTIONS * workers)
            for endpoint in ENDPOINTS
        }
    rates = ", ".join(f"{endpoint}: {each.rate:,.0f}/s" for endpoint, each in found.items())
    print(f"  {workers} workers: {rates}", flush=True)
    return found


def table(figures: Sequence[Workers]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            "endpoint": lambda each: (
                each.endpoint if each.endpoint == MIX else f"`{each.endpoint}`"
            ),
            ">workers": lambda each: str(each.workers),
            ">requests/s": lambda each: f"{each.rate:,.0f}",
            ">p99 ms": lambda each: f"{each.p99 * 1e3:.1f}",
            ">CPU ms/request": lambda each: f"{each.cpu * 1e3:.3f}",
        },
    )
