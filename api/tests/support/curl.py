"""The real curl."""

import json
import shutil
import subprocess
from typing import Any

from api.tests.support.needs import need


def curl(*arguments: str) -> tuple[int, Any]:
    """Run curl and return the status and the body, which is JSON or empty."""
    need(shutil.which("curl"), "curl")
    command = ["curl", "--silent", "--max-time", "10", "--write-out", "\n%{http_code}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else None
