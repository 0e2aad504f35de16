"""What README and docs say, done: the walk-through, the snippets, the new view."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.tests.support.docs import DOCS, README, blocks, section
from api.tests.support.needs import need
from api.tests.support.server import EXPIRED_TOKEN, PROJECT, Server

HERE = "http://localhost:8000"
MARK = "-- the next command --"
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
USE_NEW_VIEW = """
from rest_framework.test import APIClient
from api.credentials import create_client

http = APIClient(HTTP_HOST="localhost")
client, secret = create_client("reader", scopes=["reports"])
body = {"client_id": "reader", "client_secret": secret}
token = http.post("/login", body, format="json").json()["access_token"]
response = http.get("/reports", headers={"Authorization": f"Bearer {token}"})
print(response.status_code, response.json(), response["Cache-Control"])
print(http.get("/reports").status_code, http.get("/").json()["reports"])
"""


@pytest.fixture
def demo(server: Server) -> Iterator[Server]:
    """The running demo."""
    with server.running(("manage.py", "demo")):
        yield server


def bash(script: str) -> str:
    need(shutil.which("curl"), "curl")
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True
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
    """Return a regular expression for an output in which `…` stands for anything."""
    return re.escape(output.strip()).replace("…", ".+")


def test_walk_through_goes_as_the_readme_says(demo: Server) -> None:
    text = section(README, "The walk-through").replace(HERE, demo.url)
    (block,) = blocks("console", text)
    commands, shown = zip(*transcript(block), strict=True)
    said = bash(f"echo '{MARK}'\n".join(commands)).split(f"{MARK}\n")
    assert len(said) == len(shown) == 5
    for output, expected in zip(said, shown, strict=True):
        assert re.fullmatch(pattern(expected), output.strip())
    (expired,) = re.findall(r"the last command says `([^`]+)`", text)
    said_later = bash(f"TOKEN={demo.shell(EXPIRED_TOKEN)}\n{commands[-1]}")
    assert re.fullmatch(pattern(expired), said_later)


def test_snippets_for_other_services_work(demo: Server) -> None:
    (client,) = blocks(
        "python", section(README, "Use it from your service").replace(HERE, demo.url)
    )
    verified = section(DOCS / "apis.md", "Verify in Django REST Framework")
    (settings,) = blocks("python", verified.replace(HERE, demo.url))
    expected = re.findall(r"^print\(.*\)  # (.*)$", client, re.MULTILINE)
    renewed = (
        "session.token['expires_at'] = 1; print(session.get(f'{SERVICE}/private').status_code)"
    )
    *said, token, status = run(f"{client}\nprint(token)\n{renewed}")
    assert said == expected == ["Welcome to the protected area :)", "foo"]
    assert status == "200"
    assert run(settings + REPORTS_PROJECT, token, token[:-8] + 8 * "A") == ["200 foo", "401 "]


def test_view_of_your_own_works(tmp_path: Path) -> None:
    text = section(README, "Add a view of your own")
    (view,), (path,) = blocks("python", text), re.findall(r"`(path\(.*\))`", text)
    copy = tmp_path / "project"
    left_out = shutil.ignore_patterns(".*", "benchmarks", "docs", "tests", "db.sqlite3*")
    shutil.copytree(PROJECT, copy, ignore=left_out)
    (copy / "api" / "views" / "reports.py").write_text(view)
    with (copy / "api" / "urls.py").open("a") as urls:
        urls.write(f"\nfrom api.views import reports\nurlpatterns.append({path})\n")
    service = Server(tmp_path, f"sqlite:///{tmp_path / 'db.sqlite3'}", project=copy)
    service.manage("migrate", "--verbosity", "0")
    assert service.shell(USE_NEW_VIEW).splitlines() == [
        "200 {'reports': [], 'reader': 'reader'} no-store",
        "403 http://localhost/reports",
    ]
