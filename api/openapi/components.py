"""What the OpenAPI document says once: the shape of each answer, an example of it, and the ways to
authenticate.
"""

from typing import Any

from api.parameters import (
    CLIENT_ID,
    CLIENT_SECRET,
    GRANT_TYPE,
    SCOPE,
    TOKEN,
    TOKEN_TYPE_HINT,
    Parameter,
)

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
NUMBER = {"type": "integer"}
TIME = NUMBER | {"description": "Seconds since 1970."}
URL = {"type": "string", "format": "uri"}
SCOPES = TEXT | {"description": "What the client may do, separated by spaces."}
BEARER = {"const": "Bearer"}
CLAIMS: dict[str, Any] = {
    "iss": URL,
    "aud": TEXT,
    "sub": TEXT | {"description": "The client's id."},
    "client_id": TEXT,
    "iat": TIME,
    "exp": TIME,
    "jti": TEXT | {"description": "The token's own id."},
    "scope": SCOPES,
}


def record(*, optional: tuple[str, ...] = (), **members: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has these members and no others."""
    return {
        "type": "object",
        "properties": members,
        "required": [name for name in members if name not in optional],
        "additionalProperties": False,
    }


def parameters(
    *read: Parameter, required: tuple[Parameter, ...] = (), **more: dict[str, Any]
) -> dict[str, Any]:
    """Return the schema of a body with these parameters; the others are optional."""
    properties = {}
    for parameter in read:
        types = "string" if parameter in required else ["string", "null"]
        limits = {"maxLength": parameter.max_length, "pattern": "^[^\\x00]*$"}
        properties[parameter.name] = {"type": types, **limits} | more.get(parameter.name, {})
    return {
        "type": "object",
        "properties": properties,
        "required": [parameter.name for parameter in required],
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    "Login": parameters(
        CLIENT_ID,
        CLIENT_SECRET,
        GRANT_TYPE,
        SCOPE,
        grant_type={
            "enum": ["client_credentials", "", None],
            "description": "May be left out of JSON only.",
        },
    ),
    "OwnToken": parameters(CLIENT_ID, CLIENT_SECRET, TOKEN, TOKEN_TYPE_HINT, required=(TOKEN,)),
    "Error": record(
        error=TEXT | {"description": "What is wrong, for programs."},
        error_description=TEXT | {"description": "What is wrong, for people."},
    ),
    "Root": {"type": "object", "additionalProperties": URL},
    "Message": record(message=TEXT),
    "AccessToken": record(access_token=TEXT, token_type=BEARER, expires_in=NUMBER, scope=SCOPES),
    "Private": record(message=TEXT, **CLAIMS),
    "RegisteredClient": record(
        client_id=TEXT,
        client_secret=TEXT | {"description": "Shown this once."},
        client_id_issued_at=TIME,
        client_secret_expires_at=NUMBER | {"description": "0, which is never."},
        client_name=TEXT,
        scope=SCOPES,
        grant_types=TEXTS,
        response_types=TEXTS,
        token_endpoint_auth_method=TEXT,
    ),
    "Introspection": {
        "oneOf": [
            record(active={"const": True}, token_type=BEARER, **CLAIMS),
            record(active={"const": False}),
        ]
    },
    "Revocation": record(),
    "JWKSet": record(
        keys={
            "type": "array",
            "items": record(
                optional=("crv", "x", "y", "n", "e"),
                **dict.fromkeys(("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"), TEXT),
            ),
        }
    ),
    "Metadata": record(
        issuer=URL,
        token_endpoint=URL,
        token_endpoint_auth_methods_supported=TEXTS,
        grant_types_supported=TEXTS,
        response_types_supported=TEXTS,
        jwks_uri=URL,
        registration_endpoint=URL,
        introspection_endpoint=URL,
        introspection_endpoint_auth_methods_supported=TEXTS,
        revocation_endpoint=URL,
        revocation_endpoint_auth_methods_supported=TEXTS,
    ),
    "Document": {"type": "object"},
    "Status": record(status={"const": "ok"}),
}
CREDENTIALS = {"client_id": "foo", "client_secret": "bar"}
ACCESS_TOKEN = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6Imx4UXd2ZzBqbXpHWDFQZlZ3TmpieE5nT0hzbFNQeW5wRXIyTXVMLVJDd2MiLCJ0eX"  # noqa: S105 (expired)
    "AiOiJhdCtqd3QifQ.eyJleHAiOjE3OTU0NzIzNjgsImlhdCI6MTc5NTQ3MjA2OCwianRpIjoiMjlkNDBhY2JlYmYzNDEzMm"
    "I5Y2JkMjMyNWNhZTRmMjAiLCJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwMDAiLCJhdWQiOiJodHRwOi8vbG9jYWxob3N0O"
    "jgwMDAiLCJzdWIiOiJyZXBvcnRpbmciLCJjbGllbnRfaWQiOiJyZXBvcnRpbmciLCJzY29wZSI6InJlYWQgd3JpdGUiLCJz"
    "ZWNyZXRfZnAiOiJtdGhJQ1poMjZWWmw3OFlvIn0.7D_623mFH7c_N0uic19qXGa_9noJ5bcJSkpjYnZS6Ub8pjbwFk5J0mI"
    "qFjHsuKFXoMuQkW6Op8QC3ASuUvtmug"
)
ITS_CLAIMS = {
    "exp": 1795472368,
    "iat": 1795472068,
    "jti": "29d40acbebf34132b9cbd2325cae4f20",
    "iss": "http://localhost:8000",
    "aud": "http://localhost:8000",
    "sub": "reporting",
    "client_id": "reporting",
    "scope": "read write",
}
EXAMPLES: dict[str, Any] = {
    "Message": {"message": "Welcome to the public area :)"},
    "AccessToken": {
        "access_token": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "read write",
    },
    "Private": {"message": "Welcome to the protected area :)", **ITS_CLAIMS},
    "RegisteredClient": {
        "client_id": "e4d1bc0c-707f-44e8-8b7e-3daa864c32f5",
        "client_secret": "adsk_Tafg4ZT16oEzpJxfLD2dLQBRvh5lUgSYCM3bw5KTRG14SMQ69",
        "client_id_issued_at": 1795472068,
        "client_secret_expires_at": 0,
        "client_name": "Billing",
        "scope": "",
        "grant_types": ["client_credentials"],
        "response_types": [],
        "token_endpoint_auth_method": "client_secret_basic",
    },
    "Introspection": {"active": True, "token_type": "Bearer", **ITS_CLAIMS},
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
    "Status": {"status": "ok"},
}
SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The client's id and secret; or send both in the body.",
    },
    "oauth2": {
        "type": "oauth2",
        "description": "Gets a token from /login and sends it.",
        "flows": {"clientCredentials": {"tokenUrl": "/login", "scopes": {}}},
    },
}


# Which answer gives another request its parameters, by operation.
OWN_TOKEN = {
    "token": "$response.body#/access_token",
    "client_id": "$request.body#/client_id",
    "client_secret": "$request.body#/client_secret",
}
LINKS = {
    "register": {
        "login": {
            "client_id": "$response.body#/client_id",
            "client_secret": "$response.body#/client_secret",
        }
    },
    "login": {"introspect": OWN_TOKEN, "revoke": OWN_TOKEN},
    "revoke": {
        "introspect": {name: f"$request.body#/{name}" for name in OWN_TOKEN},
    },
}


def add(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """Add the above to a generated document (one of drf-spectacular's postprocessing hooks)."""
    components = result["components"]
    components["schemas"] = dict(sorted((components["schemas"] | SCHEMAS).items()))
    components["securitySchemes"] = SECURITY_SCHEMES
    for methods in result["paths"].values():
        for operation in methods.values():
            success = next(iter(operation["responses"].values()))
            for name, body in LINKS.get(operation["operationId"], {}).items():
                link = {"operationId": name, "requestBody": body}
                success.setdefault("links", {})[name] = link
    return result
