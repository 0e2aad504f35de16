"""What a log line looks like, and that nobody forges one or floods the log."""

import json
import logging
import sys
from logging.config import DictConfigurator
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client as Browser
from rest_framework.test import APIClient

from api import audit
from api.tests.test_audit import HOSTILE
from authdemo.logs import MINUTE, MOST_TEXTS, OnceAMinuteFilter

FOREIGN = "django.security.DisallowedHost"


def formatter(style: str) -> logging.Formatter:
    configured: dict[str, Any] = {**settings.LOGGING["formatters"][style]}  # type: ignore[index]
    made: logging.Formatter = DictConfigurator(settings.LOGGING).configure_formatter(configured)
    return made


@pytest.mark.parametrize("style", ["text", "json"])
def test_line_has_its_time_in_utc_its_level_and_its_logger(style: str) -> None:
    record = logging.LogRecord("api.audit", logging.INFO, "", 0, "signed_in", (), None)
    record.created, record.msecs = 1795474200.0429, 42.9
    line = formatter(style).format(record)
    told = {"asctime": "2026-11-23T22:50:00.042Z", "levelname": "INFO", "name": "api.audit"}
    if style == "json":
        assert json.loads(line) == told | {"message": "signed_in"}
    else:
        assert line == " ".join([*told.values(), "signed_in"])


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_caller_forges_a_line(style: str) -> None:
    record = logging.LogRecord("api.audit", logging.INFO, "", 0, "failed %s", (HOSTILE,), None)
    record.client = HOSTILE
    line = formatter(style).format(record)
    assert line.isprintable()
    if style == "json":
        assert json.loads(line)["client"] == HOSTILE


# Floods


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A logger under the filter: call it with a text and the seconds since the first line."""
    logger = logging.getLogger("flooded")
    once = OnceAMinuteFilter()
    logger.addFilter(once)

    def write(text: str, seconds: float = 0) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setattr("time.monotonic", lambda: 1000 + seconds)
            logger.warning("%s", text)
        return caplog.messages

    yield write
    logger.removeFilter(once)


def test_text_is_logged_once_a_minute_and_then_with_the_number_held_back(log: Any) -> None:
    log("down")
    log("something else")
    for seconds in (1, 30, MINUTE - 0.1):
        assert log("down", seconds) == ["down", "something else"]
    assert log("down", MINUTE)[2:] == ["down (3 lines were held back)"]
    assert log("down", 2 * MINUTE)[3:] == ["down"]
    log("down", 2.5 * MINUTE)
    assert log("down", 3 * MINUTE)[4:] == ["down (1 line was held back)"]


def test_texts_that_a_stranger_varies_fill_neither_the_log_nor_memory(log: Any) -> None:
    for number in range(3 * MOST_TEXTS):
        lines = log(f"foreign host {number}")
    assert len(lines) == MOST_TEXTS
    assert log("foreign host", MINUTE)[MOST_TEXTS:] == [
        f"foreign host ({2 * MOST_TEXTS} lines were held back)"
    ]


def test_every_logger_of_ours_but_the_audit_is_under_the_filter() -> None:
    modules = [module for name, module in sys.modules.items() if name.startswith("api.")]
    loggers = {getattr(module, "logger", None) for module in modules} - {None, audit.logger}
    assert {logger.name for logger in loggers if logger} == {*settings.REPETITIVE_LOGGERS}
    for name in settings.REPETITIVE_LOGGERS:
        assert any(isinstance(one, OnceAMinuteFilter) for one in logging.getLogger(name).filters)


def test_foreign_host_is_named_once_and_briefly(
    http: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    for host in ("evil.example", "evil.example", "x" * 1000):
        assert http.get("/public", headers={"Host": host}).status_code == 400
    records = [record for record in caplog.records if record.name == FOREIGN]
    assert len(records) == 2
    assert records[0].message.startswith("Invalid HTTP_HOST header: 'evil.example'.")
    assert records[1].message.startswith("Invalid HTTP_HOST header: 'xxx")
    assert all(len(record.message) <= 151 for record in records)
    assert not any(record.exc_info for record in records)


def test_outage_is_logged_once_a_minute(
    http: APIClient,
    credentials: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError("the database is down")

    monkeypatch.setattr("api.credentials.look_up_for_login", down)
    for _ in range(3):
        assert http.post("/login", credentials, format="json").status_code == 503
    records = [record for record in caplog.records if record.name == "api.translation"]
    assert len(records) == 1


@pytest.mark.django_db
def test_request_that_is_refused_writes_no_line(
    http: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/private", "/nowhere" + "x" * 8000, "/login"):
        assert http.get(path).status_code in {403, 404, 405}
    assert caplog.records == []


@pytest.mark.django_db
def test_forged_forms_are_logged_once_a_minute_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    strict = Browser(enforce_csrf_checks=True)
    for number in range(3):
        strict.post(f"/admin/{number}{'x' * 4000}/")
        forged = {"Origin": f"http://{'a' * 4000}", "Sec-Fetch-Site": "same-origin"}
        strict.post("/admin/login/", headers=forged)
    assert all(len(record.getMessage()) < 500 for record in caplog.records)
    assert len([record for record in caplog.records if "Origin" in record.getMessage()]) == 1
