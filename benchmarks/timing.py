"""Show that the time of a refusal doesn't tell whether a client exists.

    pip install -r benchmarks/requirements.txt
    python benchmarks/timing.py

Sends wrong secrets of either form, in random order over one keep-alive connection, for clients that
are known, inactive, known with a secret of the other form, and unknown. For each it prints the
median and the AUC: how often an answer takes longer than one for an unknown client. It is 0.5 where
the times tell nothing; outside 0.5 ± 0.05 for any, this fails.
"""

import argparse
import gc
import os
import random
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter

from databases import scratch
from harness import PROJECT, end_in_order, processors
from report import markdown
from systems import Ours

sys.path.append(str(PROJECT))
from api.hashers import generate_secret

TOLERANCE = 0.05
POOL = 20  # clients of each kind, so that none is the one that was asked for a moment ago
FEWEST = 500  # requests; the AUC's standard error is then 0.018, at three times as many 0.011
WARM_UP = 20  # requests
UNLIMITED = "1000000/minute"


class Guessed(Ours):
    """The service, with its guard against guessing out of the way."""

    extra = {"FAILED_LOGINS_PER_CLIENT": UNLIMITED, "FAILED_LOGINS_PER_ADDRESS": UNLIMITED}

    def prepare(self, clients: int) -> None:
        super().prepare(clients)
        for form in self.secrets:
            self.clone(form, f"inactive-{form}", POOL, is_active="FALSE")


def auc(times: Sequence[float], others: Sequence[float]) -> float:
    """Return how often one of `times` is longer than one of `others` (Mann-Whitney's U / nm)."""
    ranked = sorted([(time, True) for time in times] + [(other, False) for other in others])
    wins = below = 0
    for _, is_ours in ranked:
        wins += below if is_ours else 0
        below += not is_ours
    return wins / (len(times) * len(others))


def clients(presented: str, stored: str) -> dict[str, str]:
    """Return what the clients of each kind are called, for secrets presented in one form."""
    return {
        "known": presented,
        f"known by a {stored} secret": stored,
        "inactive": f"inactive-{presented}",
        "unknown": f"nobody-{presented}",
    }


def measure(system: Guessed, requests: int) -> dict[tuple[str, str], list[float]]:
    """Return the times of answers in seconds, by the form of the secret and the kind of client."""
    groups = {
        (presented, kind): name
        for presented, stored in (("generated", "chosen"), ("chosen", "generated"))
        for kind, name in clients(presented, stored).items()
    }
    schedule = [group for group in groups for _ in range(requests + WARM_UP)]
    random.shuffle(schedule)
    times: dict[tuple[str, str], list[float]] = {group: [] for group in groups}
    cpus, own = processors()
    with system.serving(cpus) as server:
        os.sched_setaffinity(0, {own})
        gc.disable()
        for presented, kind in schedule:
            client = f"{groups[presented, kind]}-{1000001 + random.randrange(POOL)}"
            secret = generate_secret() if presented == "generated" else os.urandom(8).hex()
            request = system.login(client, secret)
            started = perf_counter()
            answer = server.call(request)
            times[presented, kind].append(perf_counter() - started)
            assert answer.status == 401, answer
    return {group: values[WARM_UP:] for group, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1500, help="of each kind")
    options = parser.parse_args()
    if options.requests < FEWEST:
        parser.error(f"--requests must be {FEWEST} or more, or chance decides")
    end_in_order()
    with scratch("SQLite") as database:
        system = Guessed(database)
        system.prepare(2 * POOL)
        times = measure(system, options.requests)
    found = {
        (presented, kind): auc(values, times[presented, "unknown"])
        for (presented, kind), values in times.items()
    }
    columns = {
        "secret presented": lambda group: group[0],
        "client": lambda group: group[1],
        ">answers": lambda group: str(len(times[group])),
        ">median ms": lambda group: f"{median(times[group]) * 1e3:.3f}",
        ">AUC to unknown": lambda group: "" if group[1] == "unknown" else f"{found[group]:.3f}",
    }
    print(markdown(times, columns))
    if told := [group for group, value in found.items() if abs(value - 0.5) > TOLERANCE]:
        sys.exit(f"The time of an answer tells: {told}")


if __name__ == "__main__":
    main()
