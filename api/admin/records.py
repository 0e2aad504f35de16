"""Audit lines and time formats of the admin."""

from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest

from api import audit
from api.throttling.address import client_address


def record_change(request: HttpRequest, event: str, **fields: str) -> None:
    audit.record(event, **fields, **actor(request))


def actor(request: HttpRequest) -> dict[str, str]:
    """Return the fields of an audit line that say who did it, and from where."""
    return {"staff": request.user.get_username(), "address": client_address(request)}


def activation_event(*, active: bool) -> str:
    return "client_activated" if active else "client_deactivated"


def format_time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} {settings.TIME_ZONE}"


def format_span(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes} minutes and {seconds} seconds"
