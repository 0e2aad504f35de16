"""The files in `deploy/`: programs that read them accept them, and they agree with each other."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import load_command_class

from api.tests.support.docs import DOCS, README, quoted, rows, section
from api.tests.support.needs import need
from api.tests.support.server import PROJECT, Server

DEPLOY = PROJECT / "deploy"
UNIT = (DEPLOY / "authdemo.service").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
EXAMPLE = (DEPLOY / "environment.example").read_text()
PYTHON = "/opt/authdemo/.venv/bin/python"
FAILURE = 'authdemo_authentications_total{outcome="failure"}'
QUEUE_FULL = 'authdemo_authentications_total{outcome="queue_full"}'
EXPIRING = 'authdemo_credentials_expiring{{kind="secret",days="{}"}}'
REQUESTS = "authdemo_http_request_duration_seconds"


def run(*command: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    need(shutil.which(str(command[0])), str(command[0]))
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)


def environment() -> dict[str, str]:
    """Return the variables of the example. Each line is one that systemd, compose and sh read."""
    lines = [line for line in EXAMPLE.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Z_]+=[!#-&(-~]*", line)] == []
    return dict(line.split("=", 1) for line in lines)


def variables() -> set[str]:
    """Return the variables that README and docs/deploy.md list."""
    tables = section(README, "Settings"), section(DOCS / "deploy.md", "More settings")
    return {quoted(row[0])[0] for table in tables for row in rows(table)}


# systemd


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    units = [*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")]
    for unit in units:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PYTHON, sys.executable))
    verified = run("systemd-analyze", "verify", *(tmp_path / unit.name for unit in units))
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


def test_service_is_exposed_little() -> None:
    """A unit without any hardening has 96 points, and one with `DynamicUser=` alone has 84."""
    unit = DEPLOY / "authdemo.service"
    rated = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert rated.returncode == 0, rated.stdout


def test_command_runs_as_the_service_does(tmp_path: Path) -> None:
    fake = tmp_path / "systemd-run"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    command = ("createclient", "billing", "--name", "Billing Inc.")
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    arguments = run(DEPLOY / "authdemo", *command, env=path).stdout.splitlines()
    start = arguments.index(PYTHON)
    assert arguments[start + 1 :] == ["manage.py", *command]
    prefix = "--property="
    given = {one.removeprefix(prefix) for one in arguments[:start] if one.startswith(prefix)}
    names = {line.partition("=")[0] for line in given}
    assert {"User", "DynamicUser", "EnvironmentFile", "StateDirectory"} <= names
    assert given == {line for line in UNIT.splitlines() if line.partition("=")[0] in names}


# The environment


def test_each_variable_is_one_that_something_reads() -> None:
    compose = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text()))
    assert environment().keys() <= variables() | compose
    assert compose <= environment().keys()
    assert COMPOSE["x-authdemo"]["environment"].keys() <= variables()
    (in_unit,) = re.findall(r"^Environment=(.*)$", UNIT, re.MULTILINE)
    assert {pair.partition("=")[0] for pair in in_unit.split()} <= variables()


def test_example_passes_the_deployment_checks(server: Server) -> None:
    filled = {"SECRET_KEY": server.environment["SECRET_KEY"], "REDIS_URL": ""}
    server.extra = environment() | filled
    assert "no issues" in server.manage("check", "--deploy", "--fail-level", "WARNING")


# Containers


def test_container_has_what_it_runs() -> None:
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", CONTAINERFILE, re.MULTILINE)
    assert [name for line in copied for name in line.split() if not (PROJECT / name).exists()] == []
    entrypoint, command = (
        json.loads(re.findall(rf"^{name} (.*)$", CONTAINERFILE, re.MULTILINE)[0])
        for name in ("ENTRYPOINT", "CMD")
    )
    assert entrypoint == [PYTHON, "manage.py"]
    load_command_class("api", command[0]).create_parser("manage.py", "").parse_args(command[1:])


def test_compose_mounts_what_is_there_and_what_nginx_reads() -> None:
    assert (PROJECT / COMPOSE["x-authdemo"]["build"]["dockerfile"]).exists()
    mounted = [volume.split(":") for volume in COMPOSE["services"]["nginx"]["volumes"]]
    assert [source for source, _, _ in mounted if source.startswith(".")] == ["./nginx.conf"]
    read = re.findall(r"ssl_certificate\w* (.*);", (DEPLOY / "nginx.conf").read_text())
    assert {target for _, target, _ in mounted} >= set(read)


# Prometheus


def test_prometheus_accepts_its_configuration() -> None:
    checked = run("promtool", "check", "config", DEPLOY / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_name_metrics_that_there_are() -> None:
    documented = quoted(section(DOCS / "deploy.md", "Metrics"))
    named = re.findall(r"authdemo_\w+", (DEPLOY / "alerts.yml").read_text())
    assert {re.sub("_(count|bucket)$", "", name) for name in named} <= set(documented)


@pytest.mark.parametrize(
    ("alert", "series"),
    [
        ("AuthdemoDown", {'up{job="authdemo"}': "0x20"}),
        ("AuthdemoRedisDown", {"authdemo_redis_up": "0x20"}),
        (
            "AuthdemoErrors",
            {
                f'{REQUESTS}_count{{status="200"}}': "0+100x20",
                f'{REQUESTS}_count{{status="503"}}': "0+2x20",
            },
        ),
        (
            "AuthdemoSlow",
            {
                f'{REQUESTS}_bucket{{route="/login",le="1"}}': "0+90x20",
                f'{REQUESTS}_bucket{{route="/login",le="2.5"}}': "0+100x20",
                f'{REQUESTS}_bucket{{route="/login",le="+Inf"}}': "0+100x20",
            },
        ),
        ("AuthdemoGuessing", {FAILURE: "0+100x20"}),
        ("AuthdemoQueueFull", {QUEUE_FULL: "0+1x20"}),
        ("AuthdemoOldSigningKey", {"authdemo_signing_key_age_seconds": "8000000x20"}),
        ("AuthdemoExpiring", {EXPIRING.format(7): "1x20", EXPIRING.format(30): "1x20"}),
        (None, {EXPIRING.format(7): "0x20", EXPIRING.format(30): "1x20"}),
        (None, {FAILURE: "0+10x20", QUEUE_FULL: "0x20", "authdemo_redis_up": "1x20"}),
        (None, {f'{REQUESTS}_count{{status="200"}}': "0+100x20"}),
    ],
)
def test_alert_fires_for_its_cause_alone(
    tmp_path: Path, alert: str | None, series: dict[str, str]
) -> None:
    """Each series has a value a minute."""
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    expected = [
        {
            "eval_time": "15m",
            "alertname": rule["alert"],
            "exp_alerts": [
                {"exp_labels": {}, "exp_annotations": rule["annotations"]}
                for _ in range(rule["alert"] == alert)
            ],
        }
        for rule in rules
    ]
    if alert == "AuthdemoDown":
        expected[0]["exp_alerts"][0]["exp_labels"] = {"job": "authdemo"}
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": expected}
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": ["alerts.yml"], "tests": [test]}))
    tested = run("promtool", "test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr
