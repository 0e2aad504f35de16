"""Does anything cost more when there are more clients?"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from harness import processors
from load import Load
from population import Population
from report import Verdict, markdown
from traffic import RIGHT, Traffic

IN_USE = 1000  # clients of each kind at most, as many in the larger table as in the smallest
SLOWER = 0.10


@dataclass(frozen=True)
class Growth:
    """Medians of the rounds with so many clients.

    `relative` is the rate relative to the smallest table's, taken in each round, so that a slower
    minute counts for both.
    """

    engine: str
    clients: int
    endpoint: str
    rate: float
    cpu: float
    relative: float


def measure(populations: Sequence[Population], rounds: int, seconds: int) -> list[Growth]:
    """Compare populations of different sizes, the smallest first, endpoint by endpoint."""
    engine = populations[0].database.engine
    measured = [visit(populations, seconds, number) for number in range(rounds)]
    return [
        Growth(
            engine=engine,
            clients=system.clients,
            endpoint=endpoint,
            rate=median(each[endpoint][place].rate for each in measured),
            cpu=median(each[endpoint][place].cpu for each in measured),
            relative=median(
                each[endpoint][place].rate / each[endpoint][0].rate for each in measured
            ),
        )
        for endpoint in RIGHT
        for place, system in enumerate(populations)
    ]


def visit(populations: Sequence[Population], seconds: int, number: int) -> dict[str, list[Load]]:
    """Run a fresh server on each population, and load them in turn with each endpoint.

    The order is reversed each time.
    """
    found: dict[str, list[Load]] = {}
    in_use = populations[0].in_use(IN_USE)
    with ExitStack() as stack:
        traffic = [
            Traffic(system, stack.enter_context(system.serving(processors()[0])), in_use)
            for system in populations
        ]
        for turn, endpoint in enumerate(RIGHT, start=number):
            step = 1 if turn % 2 == 0 else -1
            loads = [each.measure(endpoint, seconds) for each in traffic[::step]][::step]
            found[endpoint] = loads
            rates = ", ".join(
                f"{system.clients:,}: {each.rate:,.0f}/s"
                for system, each in zip(populations, loads, strict=True)
            )
            print(f"  {endpoint}, by clients: {rates}", flush=True)
    return found


def judge(figures: Sequence[Growth]) -> list[Verdict]:
    largest = max(each.clients for each in figures)
    return [
        Verdict(
            target=f"`{each.endpoint}`: requests/s at {largest:,} clients, relative to the fewest",
            bound=f"≥ -{SLOWER * 100:.0f} %",
            engine=each.engine,
            measured=f"{each.relative - 1:+.1%}",
            reached=each.relative >= 1 - SLOWER,
        )
        for each in figures
        if each.clients == largest
    ]


def table(figures: Sequence[Growth]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            "endpoint": lambda each: f"`{each.endpoint}`",
            ">clients": lambda each: f"{each.clients:,}",
            ">requests/s": lambda each: f"{each.rate:,.0f}",
            ">relative": lambda each: f"{each.relative:.3f}",
            ">CPU ms/request": lambda each: f"{each.cpu * 1e3:.3f}",
        },
    )
