"""Workloads log in to the real server with tokens of a real issuer, which may fail in any way."""

import json
import re
import shlex
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.tests.support import npm
from api.tests.support.docs import DOCS
from api.tests.support.issuer import Issuer, form
from api.tests.support.load import Answer, Load, call, log_in, visit
from api.tests.support.needs import need
from api.tests.support.oidc_provider import PROGRAM, SOURCE, WORKLOAD, OIDCProvider
from api.tests.support.raw_server import RawServer, respond
from api.tests.support.server import GRANIAN, Server, free_port

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WHY = {
    "hang": "The server took longer than 3 s.",
    "large": "The response is larger than 256 KiB.",
    "redirect": "The server responded with status 302, not 200.",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm.install(SOURCE, tmp_path_factory.mktemp("oidc-provider")) / "issuer.js"


@pytest.fixture
def issuer(program: Path, tmp_path: Path) -> Iterator[OIDCProvider]:
    issuer = OIDCProvider(program=program, key=tmp_path / "key.json")
    issuer.start()
    yield issuer
    issuer.stop()


@contextmanager
def running(server: Server) -> Iterator[None]:
    with server.running((*GRANIAN, "--port", str(server.port), "--workers", "2")):
        yield


@pytest.fixture
def service(server: Server, issuer: OIDCProvider) -> Server:
    """A service that trusts the issuer, whose workload is the client `reporting`; not running."""
    server.manage("createclient", "reporting")
    server.manage("trustissuer", issuer.url)
    server.manage("addidentity", "reporting", issuer.url, WORKLOAD, "--claim", "client_id=workload")
    return server


def present(service: Server, assertion: str) -> Answer:
    return call(service, "/login", FORM, urllib.parse.urlencode(form(assertion)))


@pytest.mark.parametrize("page", ["kubernetes", "spiffe"])
def test_curl_of_the_pages_logs_in(page: str, server: Server, tmp_path: Path) -> None:
    """The token has the issuer and the subject of the page, in a file as the page names one."""
    text = (DOCS / f"{page}.md").read_text()
    (line,) = re.findall(r"manage\.py addidentity reporting (\S+) (\S+)", text)
    issuer, (url, subject) = Issuer(), line
    token, keys = tmp_path / "token", tmp_path / "keys.json"
    keys.write_text(issuer.jwks())
    server.manage("createclient", "reporting")
    server.manage("trustissuer", url, "--jwks", str(keys))
    server.manage("addidentity", "reporting", url, subject)
    token.write_text(issuer.token(iss=url, sub=subject, aud=server.url))
    (command,) = re.findall(r"^curl (?:.*\\\n)+.*$", text, re.MULTILINE)
    command = command.replace("https://auth.example.com", server.url)
    command = re.sub(r"client_assertion@\S+", f"client_assertion@{token}", command)
    need(shutil.which("curl"), "curl")
    with server.running():
        answer = subprocess.run(shlex.split(command), capture_output=True, check=True, text=True)
        assert visit(server, json.loads(answer.stdout)["access_token"]).status == 200


def age(service: Server, minutes: int) -> None:
    """Let the keys have been fetched that long ago, so that nobody has to wait for it."""
    service.shell(
        "from api.models import TrustedIssuer; from django.utils import timezone;"
        f"then = timezone.now() - timezone.timedelta(minutes={minutes});"
        "TrustedIssuer.objects.update(fetched_at=then, tried_at=then)"
    )


def test_a_workload_of_a_real_issuer_logs_in_and_its_keys_rotate(
    service: Server, issuer: OIDCProvider
) -> None:
    with running(service):
        old = issuer.token(service.url)
        answer = present(service, old)
        assert answer.status == 200
        assert visit(service, answer.body["access_token"]).body["sub"] == "reporting"
        for other in (issuer.token("https://other.example"), issuer.token(service.url, PROGRAM)):
            refused = present(service, other)
            assert (refused.status, refused.body["error"]) == (401, "invalid_client")
        issuer.order("rotate")
        age(service, 1)
        assert present(service, issuer.token(service.url)).status == 200
        assert present(service, old).status == 401


def test_kept_keys_serve_while_the_issuer_is_stopped_and_after_our_restart(
    service: Server, issuer: OIDCProvider
) -> None:
    token = issuer.token(service.url)
    issuer.stop()
    for _ in range(2):  # the second time in new processes
        with running(service):
            age(service, 15)
            assert [present(service, token).status for _ in range(10)] == [200] * 10
    with running(service):
        age(service, 25 * 60)
        refused = present(service, token)
        assert (refused.status, refused.body["error"]) == (503, "temporarily_unavailable")
        issuer.start()
        age(service, 25 * 60)
        assert present(service, token).status == 200


@pytest.mark.parametrize("mode", ["hang", "large", "redirect"])
def test_an_issuer_that_misbehaves_harms_nobody(
    mode: str, service: Server, issuer: OIDCProvider
) -> None:
    bystander = json.loads(service.manage("createclient"))
    with RawServer(respond(b"{}")).running() as elsewhere, running(service):
        token = issuer.token(service.url)
        issuer.order(f"redirect {elsewhere.url}" if mode == "redirect" else mode)
        age(service, 15)
        assert present(service, token).status == 200
        issuer.order("rotate")
        unknown = issuer.token(service.url)
        with ThreadPoolExecutor(16) as strangers:
            flood = [strangers.submit(present, service, unknown) for _ in range(200)]
            assert log_in(service, *bystander.values()).status == 200
            assert call(service, "/livez").status == 200
            assert present(service, token).status == 200
        assert {one.result().status for one in flood} == {503}
        assert WHY[mode] in service.log
        issuer.order("well")
        age(service, 1)
        assert present(service, unknown).status == 200
    assert elsewhere.requests == []


@pytest.mark.parametrize("mode", ["hang", "large", "redirect", "stopped"])
def test_an_issuer_that_misbehaves_is_not_trusted(
    mode: str, server: Server, issuer: OIDCProvider
) -> None:
    if mode == "stopped":
        issuer.stop()
    else:
        issuer.order(f"redirect http://localhost:{free_port()}" if mode == "redirect" else mode)
    done = server.run("trustissuer", issuer.url)
    why = WHY.get(mode, "The server cannot be reached.")
    sentence = f"CommandError: The issuer's keys cannot be fetched. {why}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)
    assert server.shell("from api.models import *; print(TrustedIssuer.objects.count())") == "0"


@pytest.mark.parametrize("removed", ["WorkloadIdentity", "TrustedIssuer"])
def test_removal_under_load_ends_every_token_and_disturbs_nobody_else(
    removed: str, service: Server, issuer: OIDCProvider
) -> None:
    assertion = issuer.token(service.url)
    bystander = Load.of_a_new_client(service)
    calls: list[tuple[float, int]] = []  # when each began, and its status
    tokens: list[str] = []
    stop, busy = threading.Event(), threading.Event()

    def record(action: Callable[[], Answer]) -> Answer:
        began = time.monotonic()
        answer = action()
        calls.append((began, answer.status))
        return answer

    def work() -> None:
        while not stop.is_set():
            answer = record(lambda: present(service, assertion))
            if answer.status == 200:
                tokens.append(token := answer.body["access_token"])
                record(lambda: visit(service, token))
            if len(tokens) >= 50:
                busy.set()

    service.extra = {"FAILED_LOGINS_PER_CLIENT": "100000/minute"}
    service.extra |= {"FAILED_LOGINS_PER_ADDRESS": "100000/minute"}
    with running(service), bystander.running(), ThreadPoolExecutor(4) as workers:
        workload = [workers.submit(work) for _ in range(4)]
        try:
            assert busy.wait(30)
            service.shell(f"from api.models import *; {removed}.objects.all().delete()")
            removed_at = time.monotonic()
            assert [visit(service, token).status for token in tokens[-50:]] == [401] * 50
        finally:
            stop.set()
        for one in workload:
            one.result()
    assert {status for began, status in calls if began > removed_at} == {401}
    assert {status for _, status in calls} == {200, 401}
    assert bystander.statuses("login", "private").keys() == {200}
