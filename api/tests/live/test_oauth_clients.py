"""Clients that nobody here wrote, against the real server: the right secret, and a wrong one."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from api.claims import LIFETIME
from api.tests.support.curl import curl
from api.tests.support.server import Service

Present = Callable[[str, str], dict[str, Any]]
WRONG = "wrong: 100%+"
REFUSED = {
    "error": "invalid_client",
    "error_description": "The client credentials are not valid.",
}


def call_private(service: Service, session: Any) -> dict[str, Any]:
    response = session.get(f"{service.url}/private", timeout=5)
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib(service: Service, method: str) -> None:
    url = f"{service.url}/login"
    with AuthlibSession(
        service.client_id,
        service.secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    ) as session:
        token = session.fetch_token(url, grant_type="client_credentials")
        assert token["token_type"] == "Bearer"
        assert call_private(service, session)["sub"] == service.client_id
        text = token["access_token"]
        told = session.introspect_token(f"{service.url}/introspect", token=text)
        assert told.json()["active"]
        assert session.revoke_token(f"{service.url}/revoke", token=text).status_code == 200
        assert session.get(f"{service.url}/private", timeout=5).status_code == 401

    with (
        AuthlibSession(service.client_id, WRONG, token_endpoint_auth_method=method) as session,
        pytest.raises(OAuthError, match="invalid_client"),
    ):
        session.fetch_token(url, grant_type="client_credentials")


def basic(client_id: str, secret: str) -> dict[str, Any]:
    """It sends the client_id in the body as well, which is no second way of authenticating."""
    auth = HTTPBasicAuth(client_id.encode(), secret.encode())
    return {"auth": auth, "include_client_id": True}


def body(client_id: str, secret: str) -> dict[str, Any]:
    return {"client_id": client_id, "client_secret": secret, "include_client_id": True}


@pytest.mark.parametrize("present", [basic, body])
def test_requests_oauthlib(
    service: Service, present: Present, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client = BackendApplicationClient(service.client_id, scope=["read"])
    with OAuth2Session(client=client) as session:
        session.fetch_token(f"{service.url}/login", **present(service.client_id, service.secret))
        assert call_private(service, session)["scope"] == "read"
        with pytest.raises(InvalidClientError):
            session.fetch_token(f"{service.url}/login", **present(service.client_id, WRONG))


def user(service: Service, secret: str) -> list[str]:
    return ["--user", f"{service.client_id}:{secret}", "--data", "grant_type=client_credentials"]


def encoded_user(service: Service, secret: str) -> list[str]:
    pair = f"{quote_plus(service.client_id)}:{quote_plus(secret)}"
    return ["--user", pair, "--data", "grant_type=client_credentials"]


def any_user(service: Service, secret: str) -> list[str]:
    """It sends the secret only once it has been challenged."""
    return ["--anyauth", "--header", "Accept: text/html, */*;q=0.2", *user(service, secret)]


def form(service: Service, secret: str) -> list[str]:
    pairs = {"client_id": service.client_id, "client_secret": secret}
    encoded = [("--data-urlencode", f"{name}={value}") for name, value in pairs.items()]
    return ["--data", "grant_type=client_credentials", *[text for pair in encoded for text in pair]]


def as_json(service: Service, secret: str) -> list[str]:
    body = json.dumps({"client_id": service.client_id, "client_secret": secret})
    return ["--header", "Content-Type: application/json", "--data", body]


def chunked(service: Service, secret: str) -> list[str]:
    return ["--header", "Transfer-Encoding: chunked", *as_json(service, secret)]


@pytest.mark.parametrize("present", [user, encoded_user, any_user, form, as_json, chunked])
def test_curl(service: Service, present: Callable[..., list[str]]) -> None:
    status, body = curl(*present(service, service.secret), f"{service.url}/login")
    assert (status, body["token_type"], body["expires_in"]) == (200, "Bearer", LIFETIME)
    authorization = f"Authorization: Bearer {body['access_token']}"
    status, body = curl("--header", authorization, f"{service.url}/private")
    assert (status, body["sub"]) == (200, service.client_id)
    assert curl(*present(service, WRONG), f"{service.url}/login") == (401, REFUSED)


def test_pyjwt_verifies_our_tokens_from_the_jwks(service: Service) -> None:
    _, body = curl(*as_json(service, service.secret), f"{service.url}/login")
    metadata = requests.get(
        f"{service.url}/.well-known/oauth-authorization-server", timeout=5
    ).json()
    keys = jwt.PyJWKClient(metadata["jwks_uri"])

    def verify(token: str) -> Any:
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(token, key, ["ES256"], audience=service.url, issuer=metadata["issuer"])

    header, payload, signature = body["access_token"].split(".")
    assert verify(f"{header}.{payload}.{signature}")["sub"] == service.client_id
    with pytest.raises(jwt.InvalidSignatureError):
        verify(f"{header}.{payload}.{signature[:-8]}AAAAAAAA")
