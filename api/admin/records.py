"""What the admin writes into the audit log, and how it shows a time."""

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest

from api import audit
from api.throttling.address import client_address


def record_change(request: HttpRequest, event: str, **fields: str) -> None:
    staff, address = request.user.get_username(), client_address(request)
    audit.record(event, **fields, staff=staff, address=address)


def switched_event(*, to: bool) -> str:
    return "client_activated" if to else "client_deactivated"


def moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} {settings.TIME_ZONE}"
