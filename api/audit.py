"""What happened: logger `api.audit`, one line an event, and never a secret or a token.

Values that callers supply are written as JSON strings in ASCII, so that none can forge a line or
carry a control character into a terminal. A secret that somebody sent for a client id is left out.
"""

import logging
from json.encoder import encode_basestring_ascii as quote

from api.hashers import GENERATED, PREFIX

MAX_LENGTH = 150  # characters of a value, as long as a client id; more would flood the log
logger = logging.getLogger("api.audit")


def record(event: str, **fields: str | int) -> None:
    """Log an event such as `token_issued`; `fields` say who, from where, and with what outcome."""
    told = {
        name: GENERATED.sub(f"{PREFIX}...", str(value))[:MAX_LENGTH]
        for name, value in fields.items()
    }
    text = " ".join([f"{name}={quote(value)}" for name, value in told.items()])
    logger.info("%s %s", event, text, extra={"event": event, **told})
