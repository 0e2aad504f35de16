"""Tables, verdicts, and the files in which the last run is kept."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import HERE

PACKAGES = (
    *("django", "djangorestframework", "djangorestframework-simplejwt", "granian", "psycopg"),
    *("django-oauth-toolkit", "fastapi", "sqlalchemy", "uvicorn"),
)


@dataclass(frozen=True)
class Verdict:
    """What a target asks for, and whether this run reached it."""

    target: str
    bound: str
    engine: str
    measured: str
    reached: bool


def markdown(items: Iterable[Any], columns: Mapping[str, Callable[[Any], str]]) -> str:
    """Lay out a table of items; a column whose name begins with `>` is aligned to the right."""
    right = [name.startswith(">") for name in columns]
    header = [name.removeprefix(">") for name in columns]
    rows = [header, *([cell(item) for cell in columns.values()] for item in items)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        "-" * (width + 1) + (":" if is_right else "-")
        for width, is_right in zip(widths, right, strict=True)
    )
    return "\n".join([line(header), f"|{rule}|", *map(line, rows[1:])])


def verdict_table(verdicts: Iterable[Verdict]) -> str:
    return markdown(
        verdicts,
        {
            "target": lambda each: each.target,
            "bound": lambda each: each.bound,
            "database": lambda each: each.engine,
            ">measured": lambda each: each.measured,
            "": lambda each: "reached" if each.reached else "**not reached**",
        },
    )


def conditions(program: str, **settings: object) -> dict[str, object]:
    """Describe the run: when, on what, with which versions and settings."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    wrk = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return {
        "command": shlex.join(["python", f"benchmarks/{program}", *sys.argv[1:]]),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "wrk": wrk.stdout.partition(" [")[0].removeprefix("wrk "),
        **settings,
    }


def save(
    name: str,
    described: Mapping[str, object],
    figures: Mapping[str, Sequence[Any]],
    tables: Mapping[str, str],
) -> None:
    """Keep a run, as JSON for programs and as Markdown for people."""
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    content = {"conditions": described} | {
        key: [asdict(each) for each in values] for key, values in figures.items()
    }
    (results / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    facts = markdown(
        described.items(), {"condition": lambda each: each[0], "": lambda each: str(each[1])}
    )
    sections = [f"## {title}\n\n{table}\n" for title, table in tables.items()]
    text = "\n".join([f"# The last run of `{described['command']}`\n", *sections, facts])
    (results / f"{name}.md").write_text(f"{text}\n")
