"""Read durations and dates from the command line."""

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

from django.utils import timezone

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Parse a duration such as `90s`, `30m`, `24h` or `7d`."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if not match:
        raise ArgumentTypeError(f"{text!r} is not a duration such as 30m, 24h or 7d")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


def moment(text: str) -> datetime:
    """Parse a date, or a date and time, in UTC unless it says otherwise."""
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is not a date such as 2030-12-31") from None


def ago(text: str) -> datetime:
    """Parse a date, or a duration before now."""
    return _from_now(text, sign=-1)


def ahead(text: str) -> datetime:
    """Parse a date, or a duration after now."""
    return _from_now(text, sign=1)


def _from_now(text: str, *, sign: int) -> datetime:
    if "-" in text:
        return moment(text)
    try:
        return timezone.now() + sign * duration(text)
    except OverflowError:
        raise ArgumentTypeError(f"{text!r} is too long") from None
