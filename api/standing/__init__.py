"""Read the state of a client in one query, for a login or for a token verification.

Every request runs one of them, so they are written in SQL and build no model. A login for a
resource runs a second query.
"""

from api.standing.logins import (
    look_up_for_assertion,
    look_up_for_identity,
    look_up_for_login,
    look_up_resource,
)
from api.standing.states import (
    ClientState,
    GrantedResource,
    IssuerState,
    StoredIdentity,
    StoredKey,
)
from api.standing.verifications import look_up_for_token

__all__ = [
    "ClientState",
    "GrantedResource",
    "IssuerState",
    "StoredIdentity",
    "StoredKey",
    "look_up_for_assertion",
    "look_up_for_identity",
    "look_up_for_login",
    "look_up_for_token",
    "look_up_resource",
]
