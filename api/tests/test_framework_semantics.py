"""What Django and Python document works here as documented, whatever we made faster."""

import inspect
import json
import logging
import os
import threading
from collections.abc import Callable
from logging.config import DictConfigurator
from typing import Any

import pytest
from django.conf import settings as configured
from django.core.signals import request_finished, request_started
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from pytest_django import Settings
from rest_framework.test import APIClient

from api import audit

calls: list[str] = []


class Middleware:
    """Notes each hook that Django calls, and adds a header to each response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        calls.append("request")
        response = self.get_response(request)
        response["X-Added"] = "yes"
        return response

    def process_view(self, *args: Any) -> None:
        calls.append("view")

    def process_template_response(
        self, request: HttpRequest, response: SimpleTemplateResponse
    ) -> SimpleTemplateResponse:
        calls.append("response")
        return response


@pytest.mark.parametrize("path", ["/public", "/private", "/login", "/docs", "/readyz"])
@pytest.mark.django_db
def test_middleware_that_is_added_to_the_list_is_called(path: str, settings: Settings) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Middleware"]
    calls.clear()
    response = APIClient().get(path)
    assert response["X-Added"] == "yes"
    assert calls == ["request", "view", "response"]


@pytest.mark.parametrize(
    ("setting", "header", "value"),
    [
        ("SECURE_REFERRER_POLICY", "Referrer-Policy", "no-referrer"),
        ("SECURE_CROSS_ORIGIN_OPENER_POLICY", "Cross-Origin-Opener-Policy", "unsafe-none"),
        ("X_FRAME_OPTIONS", "X-Frame-Options", "SAMEORIGIN"),
    ],
)
def test_setting_for_a_security_header_counts(
    settings: Settings, setting: str, header: str, value: str
) -> None:
    setattr(settings, setting, value)
    assert APIClient().get("/public")[header] == value


@pytest.mark.parametrize("signal", [request_started, request_finished], ids=["started", "finished"])
@pytest.mark.parametrize("path", ["/public", "/private", "/nowhere"])
def test_receiver_of_a_request_signal_is_called_once(
    http: APIClient, signal: Signal, path: str
) -> None:
    received = []

    def receiver(sender: Any, **kwargs: Any) -> None:
        received.append(sender)

    signal.connect(receiver)
    http.get(path)
    signal.disconnect(receiver)
    assert len(received) == 1


@pytest.mark.parametrize("style", ["text", "json"])
def test_log_format_may_name_every_attribute_of_a_record(
    style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    attributes = "%(process)d %(thread)d %(processName)s %(threadName)s %(funcName)s %(lineno)d"
    formatter = {**configured.LOGGING["formatters"][style], "format": attributes}  # type: ignore[index]
    handler = logging.StreamHandler()
    handler.setFormatter(DictConfigurator({}).configure_formatter(formatter))
    audit.logger.addHandler(handler)
    audit.record("signed_in")
    audit.logger.removeHandler(handler)
    line = capsys.readouterr().err.splitlines()[0]
    told = list(json.loads(line).values())[:6] if style == "json" else line.split()
    *who, line_number = map(str, told)
    thread = threading.current_thread()
    assert who == [str(os.getpid()), str(thread.ident), "MainProcess", thread.name, "record"]
    source, first = inspect.getsourcelines(audit.record)
    assert "logger.info" in source[int(line_number) - first]
