"""Measure how the service scales: with its clients, with its workers, and over time.

    sudo apt-get install wrk redis-server
    pip install -r benchmarks/requirements.txt
    python benchmarks/scale.py

The service itself runs on the interpreter that `--python` names: one whose environment has what
serves, as in production, and not the tests' and the peers' packages, some of which take memory.

Four questions, each on both databases: does any endpoint that production uses cost more when there
are a million clients than when there are a thousand; what do more workers bring; does the memory of
a worker grow under sustained mixed traffic; and how many clients does one core serve. A tenth of
the clients have keys, and there is an API for each thousand. Redis and PostgreSQL must answer at
the URLs that are given, and PostgreSQL on this machine, as its CPU time is measured too.

A run with the default `--clients` keeps its figures in `benchmarks/results/`. One with fewer, such
as `--clients 1000 2000 --rounds 1 --seconds 1`, shows that everything still works.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import capacity
import growth
import sustained
import workers
from capacity import Capacity
from databases import ENGINES, POSTGRES, scratch
from growth import Growth
from harness import CONNECTIONS, GRANIAN, THREADS, UNHURRIED, end_in_order, processors
from population import REDIS, Population
from report import conditions, save, verdict_table
from sustained import Memory
from traffic import SHARES, Traffic
from workers import Workers

CLIENTS = [1_000, 1_000_000]
CHECKED = 100  # clients of each kind whose answers are checked


@dataclass
class Found:
    growth: list[Growth] = field(default_factory=list)
    workers: list[Workers] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    capacity: list[Capacity] = field(default_factory=list)


def measure(engine: str, options: argparse.Namespace, found: Found) -> None:
    """Add what is found on one database engine."""
    with ExitStack() as stack:
        populations = []
        for clients in sorted(options.clients):
            say(engine, f"making {clients:,} clients")
            database = stack.enter_context(scratch(engine, options.postgres))
            populations.append(prepare(Population(database, options.redis), clients))
        largest = populations[-1]
        rounds, seconds = options.rounds, options.seconds
        say(engine, "a larger table")
        found.growth += growth.measure(populations, rounds, seconds)
        say(engine, "more workers")
        found.workers += workers.measure(largest, rounds, seconds)
        say(engine, "clients a core")
        found.capacity += capacity.measure(largest, rounds, seconds)
        say(engine, "sustained mixed traffic")
        found.memory += sustained.measure(largest)


def prepare(system: Population, clients: int) -> Population:
    """Make the clients, and check that they get right answers."""
    system.prepare(clients)
    with system.serving(processors()[0]) as server:
        Traffic(system, server, system.in_use(CHECKED)).check()
    return system


def say(engine: str, what: str) -> None:
    print(time.strftime("%H:%M:%S"), f"{engine}: {what}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="100 or more")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--postgres", default=POSTGRES, help="URL of the server, without a name")
    parser.add_argument("--redis", default=REDIS, help="URL of a database of its own")
    parser.add_argument(
        "--python", default=sys.executable, help="that has what serves, and no more"
    )
    return parser.parse_args()


def main() -> None:
    options = parse()
    end_in_order()
    Population.interpreter = options.python
    found = Found()
    for engine in ENGINES:
        measure(engine, options, found)
    verdicts = growth.judge(found.growth) + sustained.judge(found.memory)
    tables = {
        "Clients a core, each logging in every five minutes": capacity.table(found.capacity),
        "More workers": workers.table(found.workers),
        "A larger table": growth.table(found.growth),
        "Sustained mixed traffic": sustained.table(found.memory),
        "Targets": verdict_table(verdicts),
    }
    print("", *tables.values(), sep="\n\n")
    if options.clients != CLIENTS:
        return
    described = conditions(
        "scale.py",
        server=" ".join([*UNHURRIED, *GRANIAN]),
        blocking_threads=", ".join(f"{n} ({engine})" for engine, n in THREADS.items()),
        rounds=options.rounds,
        seconds=options.seconds,
        connections=f"{CONNECTIONS} for each worker",
        set_as_in_production="REDIS_URL, PROMETHEUS_MULTIPROC_DIR",
        clients_in_use=f"of each kind {growth.IN_USE:,} or all of the smallest table, "
        f"{sustained.IN_USE:,} in sustained traffic, {capacity.LOGINS:,} for a core",
        mix=", ".join(f"{share} {endpoint}" for endpoint, share in SHARES.items()),
    )
    save("scale", described, vars(found) | {"targets": verdicts}, tables)


if __name__ == "__main__":
    main()
