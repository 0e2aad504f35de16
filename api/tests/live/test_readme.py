"""What the README says, done: its commands, its snippets, its tables."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from api.tests.support.needs import need
from api.tests.support.server import EXPIRED_TOKEN, PROJECT, Server

README = (PROJECT / "README.md").read_text()
HERE = "http://localhost:8000"
FIRST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -r authdemo/requirements.txt && "
    ".venv/bin/python manage.py demo"
)
TEST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/pytest"
)
REPORTS_PROJECT = """
import sys
from django.conf import settings

settings.configure(
    SECRET_KEY="of the other project",
    REST_FRAMEWORK=REST_FRAMEWORK,
    SIMPLE_JWT=SIMPLE_JWT,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
)
import django

django.setup()
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView


class ReportView(APIView):
    def get(self, request):
        return Response(request.auth["client_id"])


for token in sys.argv[1:]:
    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    response = ReportView.as_view()(request)
    print(response.status_code, response.data if response.status_code == 200 else "")
"""


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def rows(title: str) -> Iterator[list[str]]:
    for row in re.findall(r"^\| (`.*) \|$", section(title), re.MULTILINE):
        yield row.split(" | ")


@pytest.fixture
def demo(server: Server) -> Iterator[Server]:
    """The running demo."""
    with server.running(("manage.py", "demo")):
        yield server


def bash(command: str) -> str:
    need(shutil.which("curl"), "curl")
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True
    ).stdout


def run(program: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def transcript(block: str) -> Iterator[tuple[str, str]]:
    """Return each command of a block with the output that the README shows below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n", part)
        assert command
        yield command[0], part[command.end() :]


def pattern(output: str) -> str:
    """Return a regular expression for an output whose ids, times and tokens are other ones."""
    text = re.escape(output.strip()).replace("…", ".+")
    return re.sub(r"[0-9a-f]{32}", "[0-9a-f]{32}", re.sub(r"\d{10}", r"\\d{10}", text))


def test_two_commands_stand_at_the_top() -> None:
    top = "\n".join(README.splitlines()[:30]) + "\n"
    assert blocks("sh", top) == [f"{FIRST_COMMAND}\n", f"{TEST_COMMAND}\n"]


def test_gate_runs_both_commands_as_they_stand() -> None:
    gate = (PROJECT / ".ci" / "run").read_text()
    assert f"bash -c \\\n    '{FIRST_COMMAND}'" in gate
    assert f"\nbash -c '{TEST_COMMAND}'\n" in gate


def test_walk_through_goes_as_the_readme_says(demo: Server) -> None:
    first, second = blocks("console", section("The walk-through"))
    token = ""
    for command, output in transcript(first):
        said = bash(command.replace(HERE, demo.url).replace("<token>", token))
        assert re.fullmatch(pattern(output.replace(HERE, demo.url)), said)
        token = (re.findall(r'"access_token":"([^"]+)"', said) or [token])[0]
    token = demo.shell(EXPIRED_TOKEN)
    ((command, output),) = transcript(second)
    said = bash(command.replace(HERE, demo.url).replace("<token>", token))
    assert said == output.strip()


def test_snippets_for_other_services_work(demo: Server) -> None:
    text = section("Use it from your service").replace(HERE, demo.url)
    client, verifier, settings = blocks("python", text)
    expected = re.findall(r"^print\(.*\)  # (.*)$", client + verifier, re.MULTILINE)
    renewed = (
        "session.token['expires_at'] = 1; print(session.get(f'{SERVICE}/private').status_code)"
    )
    *said, token, status = run(f"{client}\n{verifier}\nprint(token)\n{renewed}")
    assert said == expected == ["Welcome to the protected area :)", "foo"]
    assert status == "200"
    assert run(settings + REPORTS_PROJECT, token, token[:-8] + 8 * "A") == ["200 foo", "401 "]
    (command,) = re.findall(r"`(curl [^`]+)`", text)
    assert '"token_type":"Bearer"' in bash(command)


def test_table_of_settings_is_complete_and_its_defaults_are_true() -> None:
    read: dict[str, object] = {}
    tree = ast.parse((PROJECT / "authdemo" / "settings.py").read_text())
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        readers = r"env\.\w+|one_of|rate|duration|boolean|number"
        if re.fullmatch(readers, ast.unparse(call.func)) and isinstance(call.args[0], ast.Constant):
            default = [*call.args[1:2], *(keyword.value for keyword in call.keywords)][0]
            known = isinstance(default, ast.Constant)
            read[str(call.args[0].value)] = ast.literal_eval(default) if known else None
    table = {row[0].strip("`"): row[1] for row in rows("Settings")}
    assert table.keys() == read.keys()
    plain = {name: str(value).lower() for name, value in read.items() if value not in (None, "")}
    assert {name: table[name].strip("`").lower() for name in plain} == plain


def test_every_file_on_the_map_is_there() -> None:
    for row in rows("Map of files"):
        names = re.findall(r"`([^`]+)`", row[0])
        folder = names[0].rpartition("/")[0]
        for name in names:
            assert (PROJECT / name).exists() or (PROJECT / folder / name).exists(), name
