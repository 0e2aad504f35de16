"""Measure how the service scales: with its table, with its workers, and over time.

    pip install -r benchmarks/requirements.txt
    python benchmarks/scale.py

The service itself runs on the interpreter that `--python` names: one whose environment has what
serves, as in production, and not the tests' and the peers' packages, some of which take memory.

Three questions, each on both databases: does a login or a call with a token cost more when there
are a million clients than when there are a thousand; what do more workers bring; and does the
memory of a worker grow under sustained mixed traffic, in which every client's token is replaced
after each 10,000 requests. A full run keeps its figures in `benchmarks/results/`.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from databases import ENGINES, POSTGRES, scratch
from harness import (
    CONNECTIONS,
    GRANIAN,
    THREADS,
    UNHURRIED,
    Load,
    Request,
    Server,
    end_in_order,
    load,
    processors,
)
from report import Verdict, conditions, markdown, save, verdict_table
from systems import Ours, bearer

WARM_UP = 1  # seconds, before each measurement
SAMPLE = 1000  # clients that log in and call, spread over the table
ENDPOINTS = ("login", "private")
STEP, STEPS = 10_000, 10  # requests of sustained traffic between two looks at the memory
MIX = {"private": 160, "login": 20, "public": 19, "chosen": 1}  # of 200 requests
WORKERS = (1, 2, 4)
PATIENCE = 600  # seconds for one step of sustained traffic


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


@dataclass(frozen=True)
class Workers:
    engine: str
    workers: int
    endpoint: str
    rate: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Memory:
    """What the worker had in memory after so many requests, and its peak until then; in bytes."""

    engine: str
    requests: int
    resident: int
    peak: int


def plans(system: Ours, server: Server) -> dict[str, list[Request]]:
    """Return logins and calls of the sample; each client has logged in once by then."""
    logins = system.logins("generated", SAMPLE)
    tokens = [system.token(server.call(login)) for login in logins]
    return {"login": logins, "private": [bearer(token) for token in tokens]}


def visit(system: Ours, seconds: int, workers: int = 1) -> dict[str, Load]:
    """Load a fresh server with logins, then with calls."""
    loads = {}
    with system.serving(processors(workers)[0], workers) as server:
        for endpoint, requests in plans(system, server).items():
            for duration in (WARM_UP, seconds):
                loads[endpoint] = load(
                    server, requests, seconds=duration, connections=CONNECTIONS * workers
                )
    return loads


def growth(engine: str, options: argparse.Namespace) -> list[Growth]:
    """Compare tables of different sizes, up and down in turn."""
    sizes: list[int] = sorted(options.clients)
    with ExitStack() as stack:
        systems = {}
        for size in sizes:
            print(f"{engine}: making {size:,} clients", flush=True)
            systems[size] = Ours(stack.enter_context(scratch(engine, options.postgres)))
            systems[size].prepare(size, chosen=False)
        rounds: list[dict[int, dict[str, Load]]] = []
        for number in range(options.rounds):
            order = sizes if number % 2 == 0 else sizes[::-1]
            rounds.append({size: visit(systems[size], options.seconds) for size in order})
            rates = ", ".join(f"{size:,}: {rounds[-1][size]['login'].rate:,.0f}" for size in sizes)
            print(f"{engine}, round {number + 1}: logins/s {rates}", flush=True)
    return [
        Growth(
            engine=engine,
            clients=size,
            endpoint=endpoint,
            rate=median(each[size][endpoint].rate for each in rounds),
            cpu=median(each[size][endpoint].cpu for each in rounds),
            relative=median(
                each[size][endpoint].rate / each[sizes[0]][endpoint].rate for each in rounds
            ),
        )
        for endpoint in ENDPOINTS
        for size in sizes
    ]


def more_workers(engine: str, options: argparse.Namespace) -> list[Workers]:
    """Give the server one, two and four workers, and each a processor as far as there are."""
    with scratch(engine, options.postgres) as database:
        system = Ours(database)
        system.prepare(SAMPLE, chosen=False)
        rounds = []
        for number in range(options.rounds):
            rounds.append({each: visit(system, options.seconds, each) for each in WORKERS})
            rates = ", ".join(f"{each}: {rounds[-1][each]['login'].rate:,.0f}" for each in WORKERS)
            print(f"{engine}, round {number + 1}: logins/s by workers {rates}", flush=True)
    return [
        Workers(
            engine=engine,
            workers=each,
            endpoint=endpoint,
            rate=median(loads[each][endpoint].rate for loads in rounds),
            p99=median(loads[each][endpoint].p99 for loads in rounds),
            cpu=median(loads[each][endpoint].cpu for loads in rounds),
        )
        for endpoint in ENDPOINTS
        for each in WORKERS
    ]


def sustained(engine: str, options: argparse.Namespace) -> list[Memory]:
    """Look at the memory of one worker during 100,000 mixed requests."""
    seen = []
    with scratch(engine, options.postgres) as database:
        system = Ours(database)
        system.prepare(2 * SAMPLE)
        with system.serving(processors()[0]) as server:
            for step in range(1, STEPS + 1):
                load(server, mixed(system, server), seconds=PATIENCE, answers=STEP)
                resident, peak = max(server.memory("VmRSS")), max(server.memory("VmHWM"))
                seen.append(Memory(engine, step * STEP, resident, peak))
                print(f"{engine}, {step * STEP:,} requests: {resident / 1e6:.1f} MB", flush=True)
    return seen


def mixed(system: Ours, server: Server) -> list[Request]:
    """Return the sample's traffic with fresh tokens, in random order."""
    sources = plans(system, server) | {
        "public": [Request("GET", "/public")],
        "chosen": system.logins("chosen", SAMPLE),
    }
    requests = [
        source[number % len(source)]
        for kind, share in MIX.items()
        for source in [sources[kind]]
        for number in range(share * STEP // sum(MIX.values()))
    ]
    random.Random(0).shuffle(requests)
    return requests


def judge(grown: Sequence[Growth], memory: Sequence[Memory]) -> list[Verdict]:
    largest = max((each.clients for each in grown), default=0)
    verdicts = [
        Verdict(
            target=f"`/{each.endpoint}`: requests/s at {largest:,} clients, relative to the fewest",
            bound="≥ -10 %",
            engine=each.engine,
            measured=f"{each.relative - 1:+.1%}",
            reached=each.relative >= 0.90,
        )
        for each in grown
        if each.clients == largest
    ]
    for engine in ENGINES:
        seen = [each for each in memory if each.engine == engine]
        if not seen:
            continue
        growth = seen[-1].resident / seen[0].resident - 1
        requests = f"{seen[-1].requests:,}"
        verdicts += [
            Verdict(
                target=f"peak memory of a worker after {requests} mixed requests",
                bound="≤ 110 MB",
                engine=engine,
                measured=f"{seen[-1].peak / 1e6:.1f} MB",
                reached=seen[-1].peak <= 110e6,
            ),
            Verdict(
                target=f"its growth after the first {seen[0].requests:,}",
                bound="≤ 2 %",
                engine=engine,
                measured=f"{growth:+.1%}",
                reached=growth <= 0.02,
            ),
        ]
    return verdicts


def growth_table(figures: Sequence[Growth]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            "endpoint": lambda each: f"`/{each.endpoint}`",
            ">clients": lambda each: f"{each.clients:,}",
            ">requests/s": lambda each: f"{each.rate:,.0f}",
            ">relative": lambda each: f"{each.relative:.3f}",
            ">CPU ms/request": lambda each: f"{each.cpu * 1e3:.3f}",
        },
    )


def workers_table(figures: Sequence[Workers]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            "endpoint": lambda each: f"`/{each.endpoint}`",
            ">workers": lambda each: str(each.workers),
            ">requests/s": lambda each: f"{each.rate:,.0f}",
            ">p99 ms": lambda each: f"{each.p99 * 1e3:.1f}",
            ">CPU ms/request": lambda each: f"{each.cpu * 1e3:.3f}",
        },
    )


def memory_table(figures: Sequence[Memory]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            ">requests": lambda each: f"{each.requests:,}",
            ">resident MB": lambda each: f"{each.resident / 1e6:.1f}",
            ">peak MB": lambda each: f"{each.peak / 1e6:.1f}",
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000]
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--postgres", default=POSTGRES, help="URL of the server, without a name")
    parser.add_argument(
        "--python", default=sys.executable, help="that has what serves, and no more"
    )
    options = parser.parse_args()
    end_in_order()
    Ours.interpreter = options.python

    grown = [figure for engine in ENGINES for figure in growth(engine, options)]
    workers = [figure for engine in ENGINES for figure in more_workers(engine, options)]
    memory = [figure for engine in ENGINES for figure in sustained(engine, options)]
    verdicts = judge(grown, memory)
    tables = {
        "A larger table": growth_table(grown),
        "More workers": workers_table(workers),
        "Sustained mixed traffic": memory_table(memory),
        "Targets": verdict_table(verdicts),
    }
    print("", *tables.values(), sep="\n\n")
    described = conditions(
        "scale.py",
        server=" ".join([*UNHURRIED, *GRANIAN]),
        blocking_threads=", ".join(f"{n} ({engine})" for engine, n in THREADS.items()),
        rounds=options.rounds,
        seconds=options.seconds,
        connections=f"{CONNECTIONS} for each worker",
        clients_in_use=SAMPLE,
    )
    save(
        "scale",
        described,
        {"growth": grown, "workers": workers, "memory": memory, "targets": verdicts},
        tables,
    )


if __name__ == "__main__":
    main()
