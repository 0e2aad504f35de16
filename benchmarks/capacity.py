"""How many clients does one core serve?

Each logs in once before its usage is written, as clients do that log in every five minutes. They
are more than the caches of the service hold, so that no login and no call profits from an earlier
one. What a login costs includes the writing of its usage.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean, median

from harness import CONNECTIONS, PATIENCE, processors
from load import load, load_once
from population import OWN_KEYS, Population
from report import markdown
from systems import LIFETIME
from traffic import IDENTITY, KEY, PRIVATE, SECRET, WARM_UP, Traffic

LOGINS = OWN_KEYS  # of as many clients
TOKENS = 2000  # called with in turn, which is twice as many as the service keeps in mind
LIMIT = 120  # seconds for so many logins
CALLS = LIFETIME / 10  # of /private in the lifetime of a token: one each ten seconds
METHODS = (SECRET, KEY, IDENTITY)
THIRDS = "a third each"
SUCCESSES = "SELECT COALESCE(SUM(count), 0) FROM api_usagetotal WHERE outcome = 'success'"


@dataclass(frozen=True)
class Cost:
    """The CPU time of a request, in the worker and in PostgreSQL, in seconds."""

    worker: float
    database: float

    @property
    def whole(self) -> float:
        return self.worker + self.database


@dataclass(frozen=True)
class Capacity:
    """The clients of one core that log in so every five minutes; CPU times in seconds.

    `of_worker` are those of a core that does the worker's part only, `clients` those of one that
    does PostgreSQL's too, and `with_calls` those that also call `/private` each ten seconds, which
    costs `call_cpu` in the worker and in PostgreSQL.
    """

    engine: str
    login: str
    worker_cpu: float
    database_cpu: float
    call_cpu: float
    of_worker: float
    clients: float
    with_calls: float


def measure(system: Population, rounds: int, seconds: int) -> list[Capacity]:
    measured = [visit(system, seconds) for _ in range(rounds)]
    costs = {name: middle([each[name] for each in measured]) for name in (*METHODS, PRIVATE)}
    costs[THIRDS] = Cost(
        mean(costs[method].worker for method in METHODS),
        mean(costs[method].database for method in METHODS),
    )
    return [
        Capacity(
            engine=system.database.engine,
            login=name,
            worker_cpu=cost.worker,
            database_cpu=cost.database,
            call_cpu=costs[PRIVATE].whole,
            of_worker=LIFETIME / cost.worker,
            clients=LIFETIME / cost.whole,
            with_calls=LIFETIME / (cost.whole + CALLS * costs[PRIVATE].whole),
        )
        for name in (*METHODS, THIRDS)
        for cost in [costs[name]]
    ]


def middle(costs: Sequence[Cost]) -> Cost:
    return Cost(median(each.worker for each in costs), median(each.database for each in costs))


def visit(system: Population, seconds: int) -> dict[str, Cost]:
    """Let clients call a fresh server with tokens, and log in by each method."""
    with system.serving(processors()[0]) as server:
        traffic = Traffic(system, server, system.in_use(LOGINS))
        written = system.database.number(SUCCESSES)
        calls = traffic.calls(TOKENS)
        warm_up = sum(log_in(traffic, method, WARM_UP) for method in METHODS)
        await_usage(traffic, written + len(calls) + warm_up)
        costs = {PRIVATE: cost(traffic, lambda: load(server, calls, seconds=seconds).answered)}
        for method in METHODS:
            costs[method] = cost(traffic, partial(log_in_and_write, traffic, method))
    for name, each in costs.items():
        split = f"{each.worker * 1e3:.3f} ms in the worker, {each.database * 1e3:.3f} in PostgreSQL"
        print(f"  {name}: {split}", flush=True)
    return costs


def cost(traffic: Traffic, run: Callable[[], int]) -> Cost:
    """Return what each request of a run costs that returns their number."""
    server, database = traffic.server, traffic.system.database
    before = server.cpu_seconds(), database.server_cpu_seconds()
    requests = run()
    server.settle()
    after = server.cpu_seconds(), database.server_cpu_seconds()
    return Cost((after[0] - before[0]) / requests, (after[1] - before[1]) / requests)


def log_in(traffic: Traffic, method: str, count: int) -> int:
    """Let clients log in, and return how many did."""
    logins = traffic.requests(method, count + 2 * CONNECTIONS)
    return load_once(traffic.server, logins, seconds=LIMIT).answered


def log_in_and_write(traffic: Traffic, method: str) -> int:
    """Let clients log in, and return how many did when their usage is in the database."""
    written = traffic.system.database.number(SUCCESSES)
    logins = log_in(traffic, method, LOGINS)
    await_usage(traffic, written + logins)
    return logins


def await_usage(traffic: Traffic, logins: int) -> None:
    """Wait until so many logins have been written. Raises `TimeoutError`."""
    deadline = time.monotonic() + PATIENCE
    while traffic.system.database.number(SUCCESSES) < logins:
        if time.monotonic() > deadline:
            raise TimeoutError("The usage of some logins was not recorded.")
        time.sleep(0.2)


def table(figures: Sequence[Capacity]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            "login": lambda each: each.login.removeprefix("/login, "),
            ">worker's CPU ms/login": lambda each: f"{each.worker_cpu * 1e3:.3f}",
            ">PostgreSQL's": lambda each: f"{each.database_cpu * 1e3:.3f}",
            ">both's ms/call": lambda each: f"{each.call_cpu * 1e3:.3f}",
            ">clients a core, worker alone": lambda each: f"{each.of_worker:,.0f}",
            ">both": lambda each: f"{each.clients:,.0f}",
            ">both, and a call each 10 s": lambda each: f"{each.with_calls:,.0f}",
        },
    )
