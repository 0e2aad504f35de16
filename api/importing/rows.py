"""What the import reads for a client: a row to create, or the reason to refuse it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

UNSTORABLE = re.compile("[\\0\\ud800-\\udfff]")  # NUL and surrogates, which no database holds


class RefusedError(ValueError):
    """A client cannot be imported. The message says why, without its secret."""


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A public key of a client, as a JWK."""

    jwk: Mapping[str, Any]
    name: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImportedIdentity:
    """A subject of a trusted issuer, which is named by its URL."""

    issuer: str
    subject: str
    claims: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A client to create.

    It has a `secret` or the `hash` of one, not both, or else a key or an identity. `resources` are
    the identifiers of APIs, and `auth_method` is the only method that it may use.

    Raises `RefusedError` for characters that cannot be stored, `TypeError` for what is no text.
    """

    client_id: str
    name: str = ""
    scopes: tuple[str, ...] = ()
    is_active: bool = True
    secret: str = ""
    hash: str = ""
    expires_at: datetime | None = None
    resources: tuple[str, ...] = ()
    default_resource: str = ""
    auth_method: str = ""
    keys: tuple[ImportedKey, ...] = ()
    identities: tuple[ImportedIdentity, ...] = ()

    def __post_init__(self) -> None:
        texts = [self.client_id, self.name, *self.scopes, self.secret, self.hash]
        texts += [*self.resources, self.default_resource, self.auth_method]
        texts += [key.name for key in self.keys]
        for one in self.identities:
            texts += [one.issuer, one.subject, *one.claims, *one.claims.values()]
        if UNSTORABLE.search("".join(texts)):
            raise RefusedError("It has characters that cannot be stored.")

    @property
    def has_other_credentials(self) -> bool:
        return bool(self.keys or self.identities)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A client that is not imported, and why."""

    client_id: str
    reason: str
