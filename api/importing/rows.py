"""What the import reads for a client: a row to create, or the reason to refuse it."""

from dataclasses import dataclass
from datetime import datetime


class RefusedError(ValueError):
    """A client cannot be imported. The message says why, without its secret."""


@dataclass(frozen=True, slots=True)
class Row:
    """A client to create. It has a `secret` or the `hash` of one, not both."""

    client_id: str
    name: str = ""
    scopes: tuple[str, ...] = ()
    is_active: bool = True
    secret: str = ""
    hash: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A client that is not imported, and why."""

    client_id: str
    reason: str
