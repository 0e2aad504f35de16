"""Log what happened: logger `api.audit`, one line per event, never a secret or a token.

Values from callers are written as JSON strings in ASCII: they cannot forge a line. A secret that
somebody sent as a client id is masked.
"""

import json
import logging

from api.hashers import GENERATED, PREFIX

MAX_LENGTH = 150  # characters of a value, as long as a client id; more would flood the log
logger = logging.getLogger("api.audit")


def record(event: str, **fields: str | int) -> None:
    """Log an event such as `token_issued`; `fields` say who, from where, and with what outcome."""
    told = {
        name: GENERATED.sub(f"{PREFIX}...", str(value))[:MAX_LENGTH]
        for name, value in fields.items()
    }
    text = " ".join([f"{name}={json.dumps(value)}" for name, value in told.items()])
    logger.info("%s %s", event, text, extra={"event": event, **told})
