"""What the queries return."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class ClientState(NamedTuple):
    """The state of a client, or of a member of staff, at one moment.

    `pk` is 0 if there is no such row. `secret_hashes` are the hashes that are good now: the current
    one, then the retired one in its grace period. `secret_ends` tells when each of them ends, in
    Unix time; only a login with a secret asks. `generation` counts how often all tokens of the
    client were revoked. `auth_method` is the only method it may use, or empty. `grant_id` and
    `resource_server` are those of a token for a resource: the client's grant, and the id of the
    client that is the resource's server.
    """

    client_id: str
    pk: int
    is_active: bool
    secret_hashes: tuple[str, ...]
    generation: int
    secret_ends: tuple[int | None, ...] = ()
    is_staff: bool = False
    is_client: bool = True
    groups: tuple[str, ...] = ()
    auth_method: str = ""
    default_resource: str | None = None
    grant_id: int = 0
    resource_server: str | None = None


@dataclass(frozen=True, slots=True)
class GrantedResource:
    """A resource that a client may get tokens for. Without `scopes`, it understands all."""

    grant_id: int
    identifier: str
    scopes: frozenset[str] = frozenset()


class StoredKey(NamedTuple):
    """A key of a client that has not expired, as stored."""

    pk: int
    jwk: str
    ends_at: int | None  # Unix time


@dataclass(frozen=True, slots=True)
class IssuerState:
    """A trusted issuer and its keys at one moment.

    `is_given` means that staff gave the keys. Otherwise `jwks` has the fetched ones, or is empty if
    they have been kept for too long. The rest tells how old they are, whether a fetch was tried
    lately, and whether the last one failed or still runs.
    """

    pk: int
    url: str
    audience: str
    is_internal: bool
    jwks: str
    is_given: bool
    is_fresh: bool
    is_recent: bool
    was_tried: bool
    has_failed: bool


class StoredIdentity(NamedTuple):
    """A workload identity, as stored, and its issuer."""

    pk: int
    claims: Mapping[str, str]
    issuer: IssuerState
