"""An example of each body, by the name of its component. Most schemas are read off these.

The functions that make bodies make the examples too, unless these need a database.
"""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from api import bodies, tokens
from api.claims import CLAIMS, FINGERPRINT_CLAIM, LIFETIME, Grant
from api.credentials import CURRENT, Login
from api.models import Client, SigningKey
from api.standing import ClientState

ISSUED_AT = 1795472068
ACCESS_TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6Imx4UXd2ZzBqbXpHWDFQZlZ3TmpieE5"  # noqa: S105 (cut off)
SCOPES = ("read", "write")
RESOURCE, TIME = "https://orders.example.com", "2026-11-26T12:00:00Z"


def claims() -> dict[str, Any]:
    """Return the claims that a token shows, each made by its line of `CLAIMS`."""
    client = ClientState(
        "reporting", pk=1, is_active=True, secret_hashes=("",), generation=0, groups=SCOPES
    )
    grant = Grant(Login(client, "", CURRENT), SCOPES, ISSUED_AT)
    made = {name: claim.value(grant) for name, claim in CLAIMS.items()}
    del made[FINGERPRINT_CLAIM]
    return made | {"jti": "29d40acbebf34132b9cbd2325cae4f20"}


def examples() -> dict[str, dict[str, Any]]:
    token = tokens.IssuedToken(ACCESS_TOKEN, LIFETIME, " ".join(SCOPES))
    client = Client(
        username="e4d1bc0c-707f-44e8-8b7e-3daa864c32f5",
        first_name="Billing",
        date_joined=datetime.fromtimestamp(ISSUED_AT, UTC),
    )
    secret = "adsk_Tafg4ZT16oEzpJxfLD2dLQBRvh5lUgSYCM3bw5KTRG14SMQ69"  # noqa: S105 (nobody's)
    jwk = {
        "crv": "P-256",
        "kty": "EC",
        "x": "h-Dqt1fF2j98B1xv-l0rOs5zeAYBOc_yvodqUY6YRbE",
        "y": "0szv5Ka6eTn8a8h0pfrBqK176XwvokOxBb4M9LcKM18",
        "kid": "lxQwvg0jmzGX1PfVwNjbxNgOHslSPynpEr2MuL-RCwc",
        "use": "sig",
        "alg": "ES256",
    }
    called_by = {"client_id": "reporting", "client_secret": secret}
    if settings.IS_LOCAL:  # where `manage.py demo` makes this client
        called_by = {"client_id": "foo", "client_secret": "bar"}
    key = SigningKey(kid=jwk["kid"], algorithm=jwk["alg"], signs_from=client.date_joined)
    return {
        "Login": {"grant_type": "client_credentials", **called_by},
        "OwnToken": {"token": ACCESS_TOKEN, **called_by},
        "Registration": {"client_name": "Billing"},
        "Message": {"message": "Welcome to the public area :)"},
        "AccessToken": bodies.token_response(token),
        "Private": {"message": "Welcome to the protected area :)", **claims()},
        "RegisteredClient": bodies.client_information(client, secret, ""),
        "Introspection": {"active": True, "token_type": "Bearer", **claims()},
        "Revocation": {},
        "JWKSet": {"keys": [jwk]},
        "Metadata": bodies.metadata(),
        "ResourceMetadata": bodies.resource_metadata(),
        "Status": {"status": "ok"},
        **_of_management(client.username, secret),
        "SigningKey": bodies.key_information(key),
    }


def _of_management(client_id: str, secret: str) -> dict[str, dict[str, Any]]:
    client = {
        "client_id": client_id,
        "client_name": "Billing",
        "active": True,
        "scope": " ".join(SCOPES),
        "resources": [RESOURCE],
        "default_resource": RESOURCE,
        "token_endpoint_auth_method": "client_secret_basic",
        "client_id_issued_at": ISSUED_AT,
        "client_secret_expires_at": 0,
        "last_used_at": TIME,
    }
    credential = {
        "id": "previous_secret",
        "name": "",
        "created_at": None,
        "expires_at": TIME,
        "last_used_at": TIME,
        "last_used_from": "192.0.2.7",
    }
    changes = {"client_name": "Billing", "scope": " ".join(SCOPES), "resources": [RESOURCE]}
    return {
        "NewClient": changes,
        "PatchedClientChanges": changes | {"active": False},
        "Rotation": {"grace": 24 * 60 * 60, "expires_at": "2030-01-31T12:00:00Z"},
        "Nothing": {},
        "Client": client,
        "CreatedClient": client | {"client_secret": secret},
        "Credentials": {"credentials": [credential]},
        "Usage": {"hours": [{"hour": TIME, "outcomes": {"success": 12, "wrong secret": 1}}]},
    }
