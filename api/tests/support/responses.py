"""What errors look like, how to present credentials, and whether a token is good."""

import base64
import re
from typing import Any

from rest_framework.test import APIClient

ALLOWED = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 §5.2
BEARER = (
    'Bearer realm="authdemo", '
    'resource_metadata="http://localhost:8000/.well-known/oauth-protected-resource"'
)
OTHER_SITE = (
    "Requests from pages of other sites are refused; the operator can allow a site with "
    "CORS_ORIGINS."
)
UNKNOWN_HOST = (
    "This service does not answer to the host in the request; "
    "use its PUBLIC_URL, or let the operator add the host to ALLOWED_HOSTS."
)
INVALID_SCOPE = (
    "The client does not have the requested scope; leave scope out to get all that it has."
)
EXPIRED_TOKEN = "The access token has expired; get another from /login."
OTHER_AUDIENCE = "The access token is for another API, not for this service."
INVALID_TOKEN = "The access token is expired, revoked or not valid."


def assert_error(response: Any, status: int, error: str, description: str) -> None:
    """Compare the whole answer: status, media type, body, and the characters in it."""
    body = {"error": error, "error_description": description}
    assert (response.status_code, response.json()) == (status, body)
    assert response["Content-Type"] == "application/json"
    assert ALLOWED.fullmatch(description)


def assert_refused_token(response: Any, description: str = INVALID_TOKEN) -> None:
    assert_error(response, 401, "invalid_token", description)
    assert response["WWW-Authenticate"] == (
        f'{BEARER}, error="invalid_token", error_description="{description}"'
    )


def assert_lacks_scope(response: Any, scope: str) -> None:
    description = (
        f"The access token must have the scope '{scope}'; "
        "ask the staff to give it to the client, then get another token."
    )
    assert_error(response, 403, "insufficient_scope", description)
    assert response["WWW-Authenticate"] == (
        f'{BEARER}, error="insufficient_scope", error_description="{description}", scope="{scope}"'
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def is_good(http: APIClient, token: str | None) -> bool:
    """Tell whether a token opens /private, from which nothing but 200 or 401 is expected."""
    response = http.get("/private", headers=bearer(str(token)))
    assert response.status_code in {200, 401}
    return bool(response.status_code == 200)


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    """Return the header of a client that does not form-urlencode what it sends."""
    encoded = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}
