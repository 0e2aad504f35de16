"""What README and docs name is there, and what is there is named."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from api.admin.records import format_span
from api.keys import PUBLISH_AHEAD
from api.tests.support.docs import DOCS, PAGES, README, blocks, quoted, rows, section
from api.tests.support.server import PROJECT

FIRST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -r authdemo/requirements.txt && "
    ".venv/bin/python manage.py demo"
)
TEST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/pytest"
)
TESTS = {
    node.name
    for path in (PROJECT / "api" / "tests").rglob("test_*.py")
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}


def test_readme_is_short() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 200
    assert [line for line in lines if len(line) > 160 and not line.startswith("|")] == []


def test_page_on_operation_and_the_admin_say_the_same_of_a_new_key() -> None:
    assert f"signs {format_span(PUBLISH_AHEAD)} later" in (DOCS / "deploy.md").read_text()


def test_two_commands_stand_at_the_top() -> None:
    top = "\n".join(README.read_text().splitlines()[:30]) + "\n"
    assert blocks("sh", top) == [f"{FIRST_COMMAND}\n", f"{TEST_COMMAND}\n"]


def test_gate_runs_both_commands_as_they_stand() -> None:
    gate = (PROJECT / ".ci" / "run").read_text()
    assert f"bash -c \\\n    '{FIRST_COMMAND}'" in gate
    assert f"\nbash -c '{TEST_COMMAND}'\n" in gate


def test_table_of_settings_is_complete_and_its_defaults_are_true() -> None:
    read: dict[str, object] = {}
    tree = ast.parse((PROJECT / "authdemo" / "settings.py").read_text())
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        readers = r"env\.\w+|one_of|rate|duration|boolean|number"
        if re.fullmatch(readers, ast.unparse(call.func)) and isinstance(call.args[0], ast.Constant):
            default = [*call.args[1:2], *(keyword.value for keyword in call.keywords)][0]
            known = isinstance(default, ast.Constant)
            read[str(call.args[0].value)] = ast.literal_eval(default) if known else None
    tables = (section(README, "Settings"), section(DOCS / "deploy.md", "More settings"))
    listed = [(row[0].strip("`"), row[1]) for table in tables for row in rows(table)]
    assert sorted(name for name, _ in listed) == sorted(read)
    table = dict(listed)
    plain = {name: str(value).lower() for name, value in read.items() if value not in (None, "")}
    assert {name: table[name].strip("`").lower() for name in plain} == plain


def test_map_of_files_is_complete_and_true() -> None:
    listed = set()
    for row in rows(section(README, "Map of files")):
        first, *others = quoted(row[0])
        folder = first if first.endswith("/") else ""
        listed |= {first, *(f"{folder}{name}" for name in others)}
    assert [name for name in listed if not (PROJECT / name).exists()] == []
    modules = {
        str(path.relative_to(PROJECT))
        for package in ("api", "authdemo")
        for path in (PROJECT / package).rglob("*.py")
        if path.name != "__init__.py" and not {"tests", "migrations"}.intersection(path.parts)
    }
    assert {name for name in listed if name.startswith(("api/", "authdemo/"))} >= modules


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text):
        path, _, anchor = "".join(link).partition("#")
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_is_understood(page: Path) -> None:
    for name, arguments in re.findall(r"manage\.py (\w+)([^`\n&|#]*)", page.read_text()):
        command = load_command_class(get_commands()[name], name)
        command.create_parser("manage.py", name).parse_args(shlex.split(arguments))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_test_that_is_named_is_there(page: Path) -> None:
    assert set(re.findall(r"`(test_\w+)`", page.read_text())) - TESTS == set()


def test_each_threat_names_a_test_that_proves_its_defence() -> None:
    threats = list(rows(section(DOCS / "security.md", "Threats")))
    assert len(threats) > 30
    assert [row for row in threats if len(row) != 3 or not TESTS.intersection(quoted(row[2]))] == []
