"""An example of each body, by the name of its component. Most schemas are read off these."""

from typing import Any

from django.conf import settings

from api import tokens
from api.client_authentication import METHODS
from api.credentials import Login
from api.standing import ClientState

ISSUED_AT = 1795472068
ACCESS_TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6Imx4UXd2ZzBqbXpHWDFQZlZ3TmpieE5"  # noqa: S105 (cut off)
DEMO_CLIENT = {"client_id": "foo", "client_secret": "bar"}  # which `manage.py demo` makes
SCOPES = ("read", "write")


def claims() -> dict[str, Any]:
    """Return the claims that a token shows, each made by its line of `tokens.CLAIMS`."""
    client = ClientState(
        "reporting", pk=1, is_active=True, secret_hashes=("",), generation=0, groups=SCOPES
    )
    grant = tokens.Grant(Login(client, "", ""), SCOPES, ISSUED_AT)
    made = {name: claim.value(grant) for name, claim in tokens.CLAIMS.items()}
    del made[tokens.FINGERPRINT_CLAIM]
    return made | {"jti": "29d40acbebf34132b9cbd2325cae4f20"}


def examples() -> dict[str, dict[str, Any]]:
    methods, issuer = list(METHODS), settings.PUBLIC_URL
    return {
        "Login": {"grant_type": "client_credentials", **DEMO_CLIENT},
        "OwnToken": {"token": ACCESS_TOKEN, **DEMO_CLIENT},
        "Registration": {"client_name": "Billing"},
        "Message": {"message": "Welcome to the public area :)"},
        "AccessToken": {
            "access_token": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": tokens.LIFETIME,
            "scope": " ".join(SCOPES),
        },
        "Private": {"message": "Welcome to the protected area :)", **claims()},
        "RegisteredClient": {
            "client_id": "e4d1bc0c-707f-44e8-8b7e-3daa864c32f5",
            "client_secret": "adsk_Tafg4ZT16oEzpJxfLD2dLQBRvh5lUgSYCM3bw5KTRG14SMQ69",
            "client_id_issued_at": ISSUED_AT,
            "client_secret_expires_at": 0,
            "client_name": "Billing",
            "scope": "",
            "grant_types": ["client_credentials"],
            "response_types": [],
            "token_endpoint_auth_method": "client_secret_basic",
        },
        "Introspection": {"active": True, "token_type": "Bearer", **claims()},
        "Revocation": {},
        "JWKSet": {
            "keys": [
                {
                    "crv": "P-256",
                    "kty": "EC",
                    "x": "h-Dqt1fF2j98B1xv-l0rOs5zeAYBOc_yvodqUY6YRbE",
                    "y": "0szv5Ka6eTn8a8h0pfrBqK176XwvokOxBb4M9LcKM18",
                    "kid": "lxQwvg0jmzGX1PfVwNjbxNgOHslSPynpEr2MuL-RCwc",
                    "use": "sig",
                    "alg": "ES256",
                }
            ]
        },
        "Metadata": {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/login",
            "token_endpoint_auth_methods_supported": methods,
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "registration_endpoint": f"{issuer}/register",
            "introspection_endpoint": f"{issuer}/introspect",
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": f"{issuer}/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
        },
        "Status": {"status": "ok"},
    }
