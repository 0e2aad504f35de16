"""The floors of `docs/architecture.md`: imports point down, and HTTP stays at the top."""

import ast
from collections.abc import Iterator
from pathlib import Path

from api.tests.support.docs import DOCS, quoted, rows, section
from api.tests.support.server import PROJECT

FLOORS = [quoted(row[1]) for row in rows(section(DOCS / "architecture.md", "Rules"))]
FLOOR_OF = {module: number for number, modules in enumerate(FLOORS) for module in modules}
OUTSIDE = {"__init__", "migrations", "tests"}
TRANSLATION = FLOOR_OF["exceptions"]
OF_HTTP = ("rest_framework.", "django.template.", "django.shortcuts.", "django.urls.")


def imports(path: Path) -> Iterator[str]:
    """Return the full names of what a module imports, wherever in it that is."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (f"{alias.name}." for alias in node.names)


def modules() -> Iterator[tuple[str, Path]]:
    """Return each file of `api` with its module, or the package that it is in."""
    for path in (PROJECT / "api").rglob("*.py"):
        name = path.relative_to(PROJECT / "api").with_suffix("").parts[0]
        if name not in OUTSIDE:
            yield name, path


def imports_of_api() -> Iterator[tuple[str, str]]:
    for name, path in modules():
        for imported in imports(path):
            package, _, rest = imported.partition(".")
            if package == "api":
                yield name, rest.partition(".")[0]


def test_each_module_has_its_floor() -> None:
    assert {name for name, _ in modules()} == FLOOR_OF.keys()


def test_imports_point_down() -> None:
    upwards = {(name, to) for name, to in imports_of_api() if FLOOR_OF[to] < FLOOR_OF[name]}
    assert upwards == set()


def test_api_does_not_import_the_project() -> None:
    assert [
        path for _, path in modules() for one in imports(path) if one.startswith("authdemo.")
    ] == []


def test_nothing_below_the_translation_of_errors_knows_of_responses() -> None:
    knowing = {
        (name, imported)
        for name, path in modules()
        for imported in imports(path)
        if FLOOR_OF[name] > TRANSLATION and imported.startswith(OF_HTTP)
    }
    assert knowing == set()
