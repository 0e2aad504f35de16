"""Audit lines and time formats of the admin."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest

from api import audit
from api.admin.selection import CheckedSelection
from api.throttling.address import client_address


def record_change(request: HttpRequest, event: str, **fields: str) -> None:
    audit.record(event, **fields, **actor(request))


def actor(request: HttpRequest) -> dict[str, str]:
    """Return the fields of an audit line that say who did it, and from where."""
    return {"staff": request.user.get_username(), "address": client_address(request)}


class AuditedAdmin(CheckedSelection):
    """Writes an audit line for each change that Django's history records."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return self._record(request, super().log_addition(request, obj, message), "added")

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return self._record(request, super().log_change(request, obj, message), "changed")

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        kind = str(self.opts.model_name)
        for obj in queryset:
            record_change(request, f"{kind}_deleted", **{kind: str(obj)})
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, entry: LogEntry, verb: str) -> LogEntry:
        kind, change = str(self.opts.model_name), entry.get_change_message()
        record_change(request, f"{kind}_{verb}", **{kind: entry.object_repr}, change=change)
        return entry


def format_time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} {settings.TIME_ZONE}"


def format_span(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes} minutes and {seconds} seconds"
