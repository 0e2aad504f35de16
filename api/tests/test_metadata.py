"""What the service says of itself (RFC 8414, RFC 9728), and that every word of it is true."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from api.models import Client
from api.openapi.operations import document
from api.scopes import get_or_create_scopes
from api.tests.support.responses import assert_error, basic, bearer

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def metadata(http: APIClient) -> dict[str, Any]:
    response = http.get("/.well-known/oauth-authorization-server")
    assert response["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    return body


def test_metadata_is_whole(metadata: dict[str, Any]) -> None:
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    algorithms = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
    algorithms += ["EdDSA", "Ed25519"]
    assert metadata == {
        "issuer": "http://localhost:8000",
        "authorization_endpoint": "http://localhost:8000/authorize",
        "token_endpoint": "http://localhost:8000/login",
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": [],
        "jwks_uri": "http://localhost:8000/.well-known/jwks.json",
        "registration_endpoint": "http://localhost:8000/register",
        "introspection_endpoint": "http://localhost:8000/introspect",
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": "http://localhost:8000/revoke",
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
    }


def test_openid_connects_address_has_the_same_document(
    http: APIClient, metadata: dict[str, Any]
) -> None:
    response = http.get("/.well-known/openid-configuration")
    assert response["Content-Type"] == "application/json"
    assert response.json() == metadata


def test_metadata_of_this_service_as_an_api_is_whole(http: APIClient) -> None:
    response = http.get("/.well-known/oauth-protected-resource")
    assert response["Content-Type"] == "application/json"
    assert response.json() == {
        "resource": "http://localhost:8000",
        "authorization_servers": ["http://localhost:8000"],
        "bearer_methods_supported": ["header"],
        "resource_documentation": "http://localhost:8000/docs",
    }


def test_challenge_leads_from_a_refused_call_to_a_token(
    http: APIClient, credentials: dict[str, str]
) -> None:
    """As a client of RFC 9728 goes that knows nothing but the address and its credentials."""
    challenge = http.get("/private")["WWW-Authenticate"]
    address = re.search(r'resource_metadata="([^"]+)"', challenge)
    assert address
    api = http.get(urlsplit(address[1]).path).json()
    (server,) = api["authorization_servers"]
    path = "/.well-known/oauth-authorization-server"
    metadata = http.get(path).json()
    assert metadata["issuer"] == server
    asked = credentials | {"resource": api["resource"]}
    token = http.post(urlsplit(metadata["token_endpoint"]).path, asked, format="json").json()
    headers = bearer(token["access_token"])
    assert http.get("/private", headers=headers).status_code == 200


def test_challenge_of_a_service_below_a_path_leads_to_where_clients_look(
    http: APIClient, settings: Settings
) -> None:
    settings.ORIGIN, settings.PUBLIC_URL = "https://example.com", "https://example.com/auth"
    metadata = "https://example.com/.well-known/oauth-protected-resource/auth"  # RFC 9728 §3.1
    challenge = http.get("/private")["WWW-Authenticate"]
    assert challenge == f'Bearer realm="authdemo", resource_metadata="{metadata}"'
    assert (
        http.get("/.well-known/oauth-protected-resource").json()["resource"] == settings.PUBLIC_URL
    )


@pytest.mark.parametrize(
    "query", ["", "?response_type=code&client_id=foo&redirect_uri=https://x.y"]
)
def test_authorization_endpoint_refuses_in_json_and_on_a_page(
    http: APIClient, metadata: dict[str, Any], query: str
) -> None:
    path = urlsplit(metadata["authorization_endpoint"]).path + query
    description = "No person logs in here; get a token with grant_type=client_credentials."
    assert_error(http.get(path), 400, "unsupported_response_type", description)
    page = http.get(path, headers={"Accept": "text/html"})
    assert page.status_code == 400
    assert page["Content-Type"].startswith("text/html")
    assert description in page.content.decode()


@pytest.mark.parametrize("document", ["oauth-authorization-server", "oauth-protected-resource"])
def test_urls_are_those_of_public_url_whatever_the_host_header_says(
    http: APIClient, settings: Settings, document: str
) -> None:
    settings.PUBLIC_URL = settings.ORIGIN = settings.ISSUER = "https://auth.example.com"
    body = http.get(f"/.well-known/{document}", headers={"Host": "127.0.0.1"}).json()
    urls = {value for value in body.values() if isinstance(value, str)}
    assert all(url.startswith("https://auth.example.com") for url in urls)


@pytest.mark.parametrize("endpoint", ["token", "introspection", "revocation"])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_endpoint_takes_the_methods_it_names(
    http: APIClient,
    metadata: dict[str, Any],
    credentials: dict[str, str],
    endpoint: str,
    method: str,
) -> None:
    assert method in metadata[f"{endpoint}_endpoint_auth_methods_supported"]
    path = urlsplit(metadata[f"{endpoint}_endpoint"]).path
    body = {"grant_type": metadata["grant_types_supported"][0], "token": "t"}
    headers = basic(**credentials) if method == "client_secret_basic" else {}
    body |= {} if headers else credentials
    response = http.post(path, urlencode(body), content_type=FORM, headers=headers)
    assert response.status_code == 200


def test_issuer_and_keys_are_those_of_the_tokens(
    http: APIClient, metadata: dict[str, Any], get_token: Callable[[], str]
) -> None:
    token = get_token()
    response = http.get(urlsplit(metadata["jwks_uri"]).path)
    assert response["Content-Type"] == "application/json"
    assert response["Cache-Control"] == "public, max-age=300"
    (jwk,) = response.json()["keys"]
    assert jwk.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (jwk["use"], jwk["alg"]) == ("sig", "ES256")
    issuer = metadata["issuer"]
    claims = jwt.decode(token, jwt.PyJWK(jwk), audience=issuer, issuer=issuer)
    assert claims["sub"] == "reporting"


def test_registration_endpoint_registers(
    http: APIClient, metadata: dict[str, Any], db: None
) -> None:
    path = urlsplit(metadata["registration_endpoint"]).path
    assert http.post(path, {}, format="json").status_code == 201


def test_root_leads_everywhere(
    http: APIClient, token_with: Callable[..., str], client_row: Client
) -> None:
    flows = document()["components"]["securitySchemes"]["oauth2"]["flows"]
    scopes = flows["clientCredentials"]["scopes"]
    client_row.groups.set(get_or_create_scopes(scopes))
    headers = bearer(token_with(*scopes))
    links = http.get("/").json()
    assert {"public", "login", "private", "register", "introspect", "revoke"} <= links.keys()
    for link in links.values():
        status = http.get(urlsplit(link).path, headers=headers).status_code
        assert status in {200, 405}, link
