"""What the service says of itself (RFC 8414), and that every word of it is true."""

import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from api.endpoints import endpoints
from api.tests.support.responses import basic, bearer

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def metadata(http: APIClient) -> dict[str, Any]:
    response = http.get("/.well-known/oauth-authorization-server")
    assert response["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    return body


def test_metadata_is_whole(metadata: dict[str, Any]) -> None:
    methods = ["client_secret_basic", "client_secret_post"]
    assert metadata == {
        "issuer": "http://localhost:8000",
        "token_endpoint": "http://localhost:8000/login",
        "token_endpoint_auth_methods_supported": methods,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "jwks_uri": "http://localhost:8000/.well-known/jwks.json",
        "registration_endpoint": "http://localhost:8000/register",
        "introspection_endpoint": "http://localhost:8000/introspect",
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": "http://localhost:8000/revoke",
        "revocation_endpoint_auth_methods_supported": methods,
    }


def test_openid_connects_address_has_the_same_document(
    http: APIClient, metadata: dict[str, Any]
) -> None:
    response = http.get("/.well-known/openid-configuration")
    assert response["Content-Type"] == "application/json"
    assert response.json() == metadata


def test_urls_are_those_of_public_url_whatever_the_host_header_says(
    http: APIClient, settings: Settings
) -> None:
    settings.ORIGIN = settings.ISSUER = "https://auth.example.com"
    body = http.get("/.well-known/oauth-authorization-server", headers={"Host": "127.0.0.1"}).json()
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


def test_root_leads_everywhere(http: APIClient, token_with: Callable[..., str]) -> None:
    asked = (getattr(entry.view_class, "required_scopes", ()) for entry in endpoints())
    headers = bearer(token_with(*itertools.chain(*asked)))
    links = http.get("/").json()
    assert {"public", "login", "private", "register", "introspect", "revoke"} <= links.keys()
    for link in links.values():
        status = http.get(urlsplit(link).path, headers=headers).status_code
        assert status in {200, 405}, link
