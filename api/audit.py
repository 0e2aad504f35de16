"""Log what happened: logger `api.audit`, one line per event, never a secret or a token.

Values are written as JSON strings in ASCII, so a caller cannot forge a line. A generated secret
that is sent as a client id is masked.
"""

import json
import logging

from api.hashers import GENERATED, PREFIX

MAX_LENGTH = 150  # characters of a value, the length of a client id; limits the size of a line
logger = logging.getLogger("api.audit")


def record(event: str, **fields: str | int) -> None:
    """Log an event such as `token_issued`; `fields` name the client, the address and the like."""
    logged = {
        name: GENERATED.sub(f"{PREFIX}...", str(value))[:MAX_LENGTH]
        for name, value in fields.items()
    }
    text = " ".join([f"{name}={json.dumps(value)}" for name, value in logged.items()])
    logger.info("%s %s", event, text, extra={"event": event, **logged})
