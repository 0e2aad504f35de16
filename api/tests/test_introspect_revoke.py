"""Introspection (RFC 7662) and revocation (RFC 7009)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from api import tokens
from api.claims import LIFETIME
from api.credentials import create_client
from api.models import Client, RevokedToken
from api.tests.support.responses import assert_error, assert_refused_token, basic, bearer

INACTIVE = {"active": False}


def make_client(client_id: str, *scopes: str) -> dict[str, str]:
    client, secret = create_client(client_id, scopes=scopes)
    return {"client_id": client.username, "client_secret": secret}


def introspect(http: APIClient, caller: dict[str, str], token: str) -> Any:
    response = http.post("/introspect", caller | {"token": token}, format="json")
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    return response.json()


def revoke(http: APIClient, caller: dict[str, str], token: str) -> None:
    response = http.post("/revoke", caller | {"token": token}, format="json")
    assert (response.status_code, response.json()) == (200, {})
    assert response["Cache-Control"] == "no-store"


def status(http: APIClient, token: str) -> int:
    return http.get("/private", headers=bearer(token)).status_code


def test_own_token_is_told_in_full(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str]
) -> None:
    token = get_token()
    claims = jwt.decode(token, options={"verify_signature": False})
    del claims["secret_fp"]  # for us alone
    told = introspect(http, credentials, token)
    assert told == {"active": True, "token_type": "Bearer", **claims}


def test_token_of_another_is_told_with_the_scope_introspect_alone(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    token = get_token()
    assert introspect(http, make_client("stranger", "read"), token) == INACTIVE
    assert introspect(http, make_client("gateway", "introspect"), token)["sub"] == "reporting"


def end_by_revocation(http: APIClient, credentials: dict[str, str], token: str) -> None:
    revoke(http, credentials, token)


def end_by_deactivation(http: APIClient, credentials: dict[str, str], token: str) -> None:
    Client.objects.filter(username=credentials["client_id"]).update(is_active=False)


def end_by_deletion(http: APIClient, credentials: dict[str, str], token: str) -> None:
    Client.objects.filter(username=credentials["client_id"]).delete()


@pytest.mark.parametrize("end", [end_by_revocation, end_by_deactivation, end_by_deletion])
def test_ended_token_is_inactive(
    http: APIClient,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    end: Callable[..., None],
) -> None:
    gateway = make_client("gateway", "introspect")
    token = get_token()
    end(http, credentials, token)
    assert introspect(http, gateway, token) == INACTIVE


def test_expired_token_is_inactive(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str]
) -> None:
    token = get_token()
    with time_machine.travel(timezone.now() + timedelta(seconds=LIFETIME)):
        assert introspect(http, credentials, token) == INACTIVE


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "é", "☃" * 100, "a" * 60_000, "..", " "], ids=lambda text: text[:3]
)
def test_text_that_is_no_token_is_inactive_and_revoked_already(
    http: APIClient, credentials: dict[str, str], token: str
) -> None:
    assert introspect(http, credentials, token) == INACTIVE
    revoke(http, credentials, token)
    assert not RevokedToken.objects.exists()


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_token_is_required(http: APIClient, credentials: dict[str, str], path: str) -> None:
    response = http.post(path, credentials, format="json")
    assert_error(response, 400, "invalid_request", "token is required.")


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_caller_is_authenticated_before_the_token_is_looked_at(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str], path: str
) -> None:
    token = get_token()
    caller = credentials | {"client_secret": "wrong", "token": token}
    response = http.post(path, caller, format="json")
    assert_error(response, 401, "invalid_client", "The client credentials are not valid.")
    assert status(http, token) == 200


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_token_itself_is_no_way_to_authenticate(
    http: APIClient, get_token: Callable[[], str], path: str
) -> None:
    token = get_token()
    response = http.post(path, {"token": token}, format="json", headers=bearer(token))
    assert_error(response, 400, "invalid_request", "client_id is required.")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
@pytest.mark.parametrize("way", ["form", "basic", "json"])
def test_every_way_of_calling_revokes_whatever_the_hint(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str], way: str, hint: str
) -> None:
    token = get_token()
    body = {"token": token, "token_type_hint": hint}
    form = "application/x-www-form-urlencoded"
    if way == "form":
        response = http.post("/revoke", urlencode(body | credentials), content_type=form)
    elif way == "basic":
        headers = basic(**credentials)
        response = http.post("/revoke", urlencode(body), content_type=form, headers=headers)
    else:
        response = http.post("/revoke", body | credentials, format="json")
    assert response.status_code == 200
    assert_refused_token(http.get("/private", headers=bearer(token)))


def test_revoking_one_token_leaves_the_others(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str]
) -> None:
    revoked, other = get_token(), get_token()
    revoke(http, credentials, revoked)
    revoke(http, credentials, revoked)
    assert (status(http, revoked), status(http, other), status(http, get_token())) == (
        401,
        200,
        200,
    )


@pytest.mark.parametrize("end", [None, end_by_revocation, end_by_deactivation, end_by_deletion])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token"])
def test_token_of_another_is_not_revoked_and_the_refusal_tells_nothing_of_it(
    http: APIClient,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    hint: str,
    end: Callable[..., None] | None,
) -> None:
    token = get_token()
    if end:
        end(http, credentials, token)
    before = status(http, token), RevokedToken.objects.count()
    stranger = make_client("stranger", "introspect", "register")
    body = stranger | {"token": token, "token_type_hint": hint}
    response = http.post("/revoke", body, format="json")
    description = "A client may revoke only its own tokens."
    assert_error(response, 400, "unauthorized_client", description)
    assert (status(http, token), RevokedToken.objects.count()) == before


def test_revocation_is_kept_as_long_as_the_token_would_have_lived(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str]
) -> None:
    token = get_token()
    claims = jwt.decode(token, options={"verify_signature": False})
    revoke(http, credentials, token)
    row = RevokedToken.objects.get()
    assert (row.jti, row.expires_at) == (claims["jti"], datetime.fromtimestamp(claims["exp"], UTC))


def test_expired_token_leaves_no_row_behind(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str]
) -> None:
    token = get_token()
    with time_machine.travel(timezone.now() + timedelta(seconds=LIFETIME)):
        revoke(http, credentials, token)
    assert not RevokedToken.objects.exists()


def test_neither_answer_nor_log_repeats_a_token(
    http: APIClient,
    credentials: dict[str, str],
    get_token: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = get_token()
    told = introspect(http, credentials, token)
    revoke(http, credentials, token)
    signature = token.split(".")[2]
    assert signature not in json.dumps(told) + caplog.text
    assert credentials["client_secret"] not in caplog.text


def test_each_revocation_takes_some_expired_ones_away(
    http: APIClient, credentials: dict[str, str], get_token: Callable[[], str]
) -> None:
    then = timezone.now() - timedelta(minutes=1)
    RevokedToken.objects.bulk_create(
        RevokedToken(jti=f"old-{number}", expires_at=then)
        for number in range(tokens.DELETED_AT_ONCE + 2)
    )
    token = get_token()
    for left in (2, 0):
        assert (
            http.post("/revoke", credentials | {"token": token}, format="json").status_code == 200
        )
        assert RevokedToken.objects.filter(expires_at=then).count() == left
    assert http.get("/private", headers=bearer(token)).status_code == 401
