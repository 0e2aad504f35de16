"""What the import reads for a client: a row to create, or the reason to refuse it."""

import re
from dataclasses import dataclass
from datetime import datetime

UNSTORABLE = re.compile("[\\0\\ud800-\\udfff]")  # NUL and surrogates, which no database holds


class RefusedError(ValueError):
    """A client cannot be imported. The message says why, without its secret."""


@dataclass(frozen=True, slots=True)
class Row:
    """A client to create. It has a `secret` or the `hash` of one, not both.

    Raises `RefusedError` for characters that cannot be stored, `TypeError` for what is no text.
    """

    client_id: str
    name: str = ""
    scopes: tuple[str, ...] = ()
    is_active: bool = True
    secret: str = ""
    hash: str = ""
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        texts = (self.client_id, self.name, *self.scopes, self.secret, self.hash)
        if UNSTORABLE.search("".join(texts)):
            raise RefusedError("It has characters that cannot be stored.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A client that is not imported, and why."""

    client_id: str
    reason: str
