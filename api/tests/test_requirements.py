"""What is installed: every version pinned, and nothing served that production does not install."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from api.tests.support.server import PROJECT

SERVING = PROJECT / "authdemo" / "requirements.txt"
EVERYTHING = PROJECT / "requirements.txt"
CONSTRAINTS = PROJECT / "authdemo" / "constraints.txt"


def lines(file: Path) -> list[str]:
    stripped = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in stripped if line]


def requirements(file: Path) -> Iterator[Requirement]:
    """Return what a requirements file names, and what the files that it includes name."""
    for line in lines(file):
        if line.startswith("-r "):
            yield from requirements(file.parent / line.removeprefix("-r "))
        elif not line.startswith("-"):
            yield Requirement(line)


def installed(file: Path) -> dict[str, str]:
    """Return the version of every distribution that a requirements file leads to."""
    versions: dict[str, str] = {}
    waiting, seen = list(requirements(file)), set()
    while waiting:
        parent = waiting.pop()
        name = canonicalize_name(parent.name)
        if (name, *sorted(parent.extras)) in seen:
            continue
        seen.add((name, *sorted(parent.extras)))
        found = distribution(name)
        versions[name] = found.version
        for child in map(Requirement, found.requires or ()):
            extras = ("", *parent.extras)
            if not child.marker or any(child.marker.evaluate({"extra": one}) for one in extras):
                waiting.append(child)
    return versions


def test_every_installed_version_is_pinned_and_no_other() -> None:
    pinned = [line.split("==") for line in lines(CONSTRAINTS)]
    pins = {canonicalize_name(name): version for name, version in pinned}
    assert pins == installed(EVERYTHING), "the head of requirements.txt says how to renew the pins"


@pytest.mark.parametrize("file", [SERVING, EVERYTHING], ids=["what serves", "everything"])
def test_an_install_obeys_the_pins(file: Path) -> None:
    named = [line.removeprefix("-c ") for line in lines(file) if line.startswith("-c ")]
    assert [file.parent / name for name in named] == [CONSTRAINTS]


def test_what_serves_imports_only_what_production_installs() -> None:
    files = {PROJECT / "manage.py", *PROJECT.glob("authdemo/**/*.py"), *PROJECT.glob("api/**/*.py")}
    imported: set[str] = set()
    for file in files - set(PROJECT.glob("api/tests/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    providers = packages_distributions()
    foreign = imported - {"api", "authdemo"} - sys.stdlib_module_names
    needed = {canonicalize_name(providers[name][0]) for name in foreign}
    assert needed <= {canonicalize_name(one.name) for one in requirements(SERVING)}
