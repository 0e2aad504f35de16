"""What schemathesis is told about the wire. It loads this file by itself."""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Leave out what the document cannot tell: what a form carries, and which points are keys.

    A form holds names and values only. `test_public_keys.py` tries key sets.
    """
    if not isinstance(case.body, dict):
        return bool(case.media_type != "application/x-www-form-urlencoded")
    return not case.body.get("jwks")
