"""Compare the service with what people would otherwise use, on one core.

    sudo apt-get install wrk  # and npm and glewlwyd, to measure those peers too
    pip install -r benchmarks/requirements.txt
    python benchmarks/run.py

Starts each system in turn as a real server with one worker on a processor of its own, checks that
it does the work it is measured on, and loads it over keep-alive connections from another processor.
The rounds are interleaved (A B C A B C …), so that a machine that slows down slows all alike, and
the figures are medians of them. PostgreSQL must answer at the URL that `--postgres` gives.

A full run keeps its figures in `benchmarks/results/` and draws `docs/speed.svg`; `--quick` shows
within seconds that everything still works, whatever the times are.
"""

import argparse
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

import chart
from databases import ENGINES, POSTGRES, scratch
from frameworks import Bare, FastAPI, Floor, Stock, Toolkit
from harness import (
    CONNECTIONS,
    GRANIAN,
    PROJECT,
    THREADS,
    UNHURRIED,
    Server,
    end_in_order,
    processors,
)
from load import Load, load, load_once
from report import Verdict, conditions, markdown, save, verdict_table
from systems import Ours, System
from token_servers import Glewlwyd, OIDCProvider

SYSTEMS: tuple[type[System], ...] = (
    *(Ours, OIDCProvider, Glewlwyd, Stock, Toolkit, FastAPI, Floor, Bare),
)
WARM_UP = 1  # seconds of each run before a measurement
MOST_WARM_UPS = 12
STILL = 1.03  # times as fast as the run before
MOST_KEY_LOGINS = 4000  # a second; each needs an assertion of its own
TIMES = "\N{MULTIPLICATION SIGN}"
GENERATED, CHOSEN = "login, generated secret", "login, chosen secret"
KEY = "login, client key"


@dataclass(frozen=True)
class Figure:
    """The medians of the rounds; times in seconds, `cpu` per request, memory in bytes."""

    engine: str
    system: str
    endpoint: str
    rate: float
    p50: float
    p99: float
    cpu: float
    memory: int


@dataclass(frozen=True)
class Target:
    """A ratio to reach between an endpoint of ours and a peer's, of `Figure`'s rate or cpu.

    The bounds are those on SQLite and on PostgreSQL, where they differ.
    """

    ours: str
    peer: type[System]
    endpoint: str
    figure: str
    bound: float
    on_postgresql: float | None = None

    def judge(self, engine: str, ours: Figure, peer: Figure) -> Verdict:
        ratio = getattr(ours, self.figure) / getattr(peer, self.figure)
        more_is_better = self.figure == "rate"
        bound = self.bound if engine == ENGINES[0] else self.on_postgresql or self.bound
        what = "requests/s" if more_is_better else "CPU per request"
        return Verdict(
            target=f"`/{self.ours}`: {what}, relative to {peer.system}",
            bound=f"{'≥' if more_is_better else '≤'} {bound:g}{TIMES}",
            engine=engine,
            measured=f"{ratio:,.2f}{TIMES}" if ratio < 10 else f"{ratio:,.0f}{TIMES}",
            reached=ratio >= bound if more_is_better else ratio <= bound,
        )


TARGETS = (
    Target(GENERATED, OIDCProvider, "login", "rate", 0.9),
    Target(KEY, OIDCProvider, KEY, "rate", 0.9),
    Target(GENERATED, Stock, "login", "rate", 400),
    Target(GENERATED, Toolkit, "login", "rate", 200),
    Target(GENERATED, FastAPI, "login", "rate", 200),
    Target(CHOSEN, Stock, "login", "rate", 8),
    Target(GENERATED, Floor, "public", "cpu", 2.3, 2.5),
    Target("private", Stock, "private", "rate", 2.5),
    Target("private", FastAPI, "private", "rate", 3.5),
    Target("private", Floor, "public", "cpu", 1.3, 1.5),
)


@dataclass(frozen=True)
class Visit:
    """One round's measurements of one system, by endpoint, and the peak of its memory."""

    loads: dict[str, Load]
    memory: int


def visit(system: System, seconds: int, *, warmed_up: bool) -> Visit:
    """Load each endpoint of a fresh server."""
    loads = {}
    with system.serving(processors()[0]) as server:
        runs = {
            endpoint: partial(load, server, requests)
            for endpoint, requests in system.loads(server).items()
        }
        if system.signer:
            runs[KEY] = partial(load_with_assertions, system, server)
        for endpoint, run in runs.items():
            if warmed_up:
                warm_up(run)
            loads[endpoint] = run(seconds=seconds)
        for endpoint, found in loads.items():
            print(f"  {system.name}, {endpoint}: {found.rate:,.1f}/s", flush=True)
        return Visit(loads, sum(server.memory("VmHWM")))


def load_with_assertions(system: System, server: Server, *, seconds: int) -> Load:
    """Log clients in by assertions, each of which is good once."""
    logins = system.key_logins(server, MOST_KEY_LOGINS * seconds)
    return load_once(server, logins, seconds=seconds)


def warm_up(run: Callable[..., Load]) -> None:
    """Load a server until its rate stands still: Node.js compiles what it has run often."""
    before = 0.0
    for _ in range(MOST_WARM_UPS):
        rate = run(seconds=WARM_UP).rate
        if rate < STILL * before:
            return
        before = rate


def compare(
    engine: str, kinds: Sequence[type[System]], options: argparse.Namespace
) -> list[Figure]:
    """Measure the systems on one database engine."""
    with ExitStack() as stack:
        systems = [
            kind(stack.enter_context(scratch(engine, options.postgres)))
            for kind in kinds
            if engine in kind.engines
        ]
        for system in systems:
            system.prepare(options.clients)
            with system.serving(processors()[0]) as server:
                system.check(server)
        visits: dict[str, list[Visit]] = {system.name: [] for system in systems}
        for number in range(options.rounds):
            print(f"{engine}, round {number + 1} of {options.rounds}", flush=True)
            for system in systems:
                visits[system.name].append(
                    visit(system, options.seconds, warmed_up=not options.quick)
                )
    return [
        summary(engine, name, endpoint, rounds)
        for name, rounds in visits.items()
        for endpoint in rounds[0].loads
    ]


def installed(kinds: Iterable[type[System]]) -> list[type[System]]:
    """Leave out, and say so, whatever needs a command that is not installed."""
    found = []
    for kind in kinds:
        if kind.needs and not shutil.which(kind.needs):
            print(f"{kind.name} is left out: {kind.needs} is not installed", flush=True)
        else:
            found.append(kind)
    return found


def summary(engine: str, system: str, endpoint: str, rounds: Sequence[Visit]) -> Figure:
    loads = [each.loads[endpoint] for each in rounds]
    return Figure(
        engine=engine,
        system=system,
        endpoint=endpoint,
        rate=median(each.rate for each in loads),
        p50=median(each.p50 for each in loads),
        p99=median(each.p99 for each in loads),
        cpu=median(each.cpu for each in loads),
        memory=max(each.memory for each in rounds),
    )


def figure_table(figures: Iterable[Figure]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            "system": lambda each: each.system,
            "endpoint": lambda each: f"`/{each.endpoint}`",
            ">requests/s": lambda each: f"{each.rate:,.{0 if each.rate >= 100 else 1}f}",
            ">p50 ms": lambda each: f"{each.p50 * 1e3:,.1f}",
            ">p99 ms": lambda each: f"{each.p99 * 1e3:,.1f}",
            ">CPU ms/request": lambda each: f"{each.cpu * 1e3:,.{2 if each.cpu < 1e-2 else 0}f}",
            ">peak memory MB": lambda each: f"{each.memory / 1e6:,.0f}",
        },
    )


def judge(figures: Iterable[Figure]) -> list[Verdict]:
    """Judge each target on each engine on which both systems were measured."""
    found = {(each.engine, each.system, each.endpoint): each for each in figures}
    verdicts = []
    for target in TARGETS:
        for engine in ENGINES:
            ours = found.get((engine, Ours.name, target.ours))
            peer = found.get((engine, target.peer.name, target.endpoint))
            if ours and peer:
                verdicts.append(target.judge(engine, ours, peer))
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    by_name = {kind.__name__.lower(): kind for kind in SYSTEMS}
    parser.add_argument("--quick", action="store_true", help="a smoke run, on SQLite alone")
    parser.add_argument("--only", nargs="+", choices=by_name, help="measure these systems alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of each measurement")
    parser.add_argument("--clients", type=int, default=1000, help="rows in each system's table")
    parser.add_argument("--postgres", default=POSTGRES, help="URL of the server, without a name")
    options = parser.parse_args()
    end_in_order()
    if options.quick:
        options.rounds = options.seconds = 1
    kinds = installed(by_name[name] for name in options.only or by_name)

    engines = ENGINES[:1] if options.quick else ENGINES
    figures = [figure for engine in engines for figure in compare(engine, kinds, options)]
    verdicts = judge(figures)
    tables = {"Figures": figure_table(figures), "Targets": verdict_table(verdicts)}
    print("", *tables.values(), sep="\n\n")
    if options.quick or options.only:
        return
    described = conditions(
        "run.py",
        server=" ".join([*UNHURRIED, *GRANIAN]),
        blocking_threads=", ".join(f"{n} ({engine})" for engine, n in THREADS.items()),
        rounds=options.rounds,
        seconds=options.seconds,
        connections=CONNECTIONS,
        clients=options.clients,
    )
    save("speed", described, {"figures": figures, "targets": verdicts}, tables)
    (PROJECT / "docs" / "speed.svg").write_text(chart.draw(figures, Ours.name))


if __name__ == "__main__":
    main()
