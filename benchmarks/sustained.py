"""Does the memory of a worker grow under sustained mixed traffic?"""

from collections.abc import Sequence
from dataclasses import dataclass

from databases import ENGINES
from harness import CONNECTIONS, processors
from load import load
from population import Population
from report import Verdict, markdown
from traffic import MIX, Traffic

STEP, STEPS = 10_000, 10  # requests between two looks at the memory
IN_USE = 2000  # clients of each kind at most: twice as many as the service's caches hold
PATIENCE = 600  # seconds for one step
PEAK = 120e6  # bytes
GROWTH = 0.02


@dataclass(frozen=True)
class Memory:
    """What the worker had in memory after so many requests, and its peak until then; in bytes."""

    engine: str
    requests: int
    resident: int
    peak: int


def measure(system: Population) -> list[Memory]:
    """Look at the memory of one worker during 100,000 mixed requests.

    Each step's requests have new tokens.
    """
    engine = system.database.engine
    seen = []
    with system.serving(processors()[0]) as server:
        traffic = Traffic(system, server, system.in_use(IN_USE))
        for step in range(1, STEPS + 1):
            requests = traffic.requests(MIX, STEP + 2 * CONNECTIONS)
            load(server, requests, seconds=PATIENCE, answers=STEP)
            resident, peak = max(server.memory("VmRSS")), max(server.memory("VmHWM"))
            seen.append(Memory(engine, step * STEP, resident, peak))
            print(f"  {step * STEP:,} requests: {resident / 1e6:.1f} MB", flush=True)
    return seen


def judge(figures: Sequence[Memory]) -> list[Verdict]:
    verdicts = []
    for engine in ENGINES:
        seen = [each for each in figures if each.engine == engine]
        growth = seen[-1].resident / seen[0].resident - 1
        verdicts += [
            Verdict(
                target=f"peak memory of a worker after {seen[-1].requests:,} mixed requests",
                bound=f"≤ {PEAK / 1e6:.0f} MB",
                engine=engine,
                measured=f"{seen[-1].peak / 1e6:.1f} MB",
                reached=seen[-1].peak <= PEAK,
            ),
            Verdict(
                target=f"its growth after the first {seen[0].requests:,}",
                bound=f"≤ {GROWTH * 100:.0f} %",
                engine=engine,
                measured=f"{growth:+.1%}",
                reached=growth <= GROWTH,
            ),
        ]
    return verdicts


def table(figures: Sequence[Memory]) -> str:
    return markdown(
        figures,
        {
            "database": lambda each: each.engine,
            ">requests": lambda each: f"{each.requests:,}",
            ">resident MB": lambda each: f"{each.resident / 1e6:.1f}",
            ">peak MB": lambda each: f"{each.peak / 1e6:.1f}",
        },
    )
