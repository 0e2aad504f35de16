"""The bodies of responses, which views send and the OpenAPI document shows as examples."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from api import client_records, expiry, jose, tokens
from api.client_authentication import DEFAULT_METHOD, METHODS
from api.models import Client, SigningKey


def token_response(token: tokens.IssuedToken) -> dict[str, str | int]:
    """Return the body of a successful login (RFC 6749 §5.1)."""
    return {
        "access_token": token.text,
        "token_type": "Bearer",
        "expires_in": token.expires_in,
        "scope": token.scope,
    }


def client_information(
    client: Client, secret: str, scope: str, expires_at: datetime | None = None
) -> dict[str, Any]:
    """Return the body of a successful registration (RFC 7591 §3.2.1)."""
    end = expiry.to_seconds(expires_at)
    shown = {"client_secret": secret, "client_secret_expires_at": end} if secret else {}
    return {
        "client_id": client.username,
        **shown,
        "client_id_issued_at": int(client.date_joined.timestamp()),
        "client_name": client.first_name,
        "scope": scope,
        "grant_types": ["client_credentials"],
        "response_types": [],
        "token_endpoint_auth_method": DEFAULT_METHOD,
    }


def key_information(key: SigningKey) -> dict[str, str | None]:
    return {
        "kid": key.kid,
        "alg": key.algorithm,
        "signs_from": client_records.utc_text(key.signs_from),
    }


def metadata() -> dict[str, str | list[str]]:
    """Return the metadata of RFC 8414 §2."""
    methods, algorithms = list(METHODS), list(jose.ALGORITHMS)
    return {
        "issuer": settings.ISSUER,
        "authorization_endpoint": settings.ORIGIN + reverse("authorize"),
        "token_endpoint": settings.ORIGIN + reverse("login"),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        # MCP's Python client asks for every scope listed here, and a client that lacks one would be
        # refused. APIs list their own (RFC 9728), and a request without a scope gets all.
        "scopes_supported": [],
        "jwks_uri": settings.ORIGIN + reverse("jwks"),
        "registration_endpoint": settings.ORIGIN + reverse("register"),
        "introspection_endpoint": settings.ORIGIN + reverse("introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": settings.ORIGIN + reverse("revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
    }


def resource_metadata() -> dict[str, str | list[str]]:
    """Return the metadata of RFC 9728 §2. `resource` is the address, as §3.3 requires."""
    return {
        "resource": settings.PUBLIC_URL,
        "authorization_servers": [settings.ISSUER],
        "bearer_methods_supported": ["header"],
        "resource_documentation": settings.ORIGIN + reverse("docs"),
    }
