"""Audit lines of the commands."""

import os
import pwd
from contextlib import suppress
from pathlib import Path

from api import audit
from api.models import OS_USER

# Linux notes here who logged in, and keeps it behind sudo. `SUDO_USER` could be made up.
LOGIN_UID = Path("/proc/self/loginuid")
NOBODY = 2**32 - 1  # a process that no login began, such as a service


def record_change(event: str, **fields: str | int) -> None:
    audit.record(event, **fields, **actor())


def actor() -> dict[str, str]:
    """Return the field of an audit line that names the operating system's user."""
    uid = os.getuid()
    with suppress(OSError, ValueError):
        login = int(LOGIN_UID.read_text())
        uid = uid if login == NOBODY else login
    try:
        return {"by": f"{OS_USER}{pwd.getpwuid(uid).pw_name}"}
    except KeyError:  # such as in a container
        return {"by": f"{OS_USER}{uid}"}
