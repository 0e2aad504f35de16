"""What a token says, and when it is believed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from api import tokens
from api.credentials import rotate_secret
from api.models import Client

REFUSED = {
    "error": "invalid_token",
    "error_description": "The access token is expired, revoked or not valid.",
}
CHALLENGE = (
    'Bearer realm="authdemo", error="invalid_token", '
    'error_description="The access token is expired, revoked or not valid."'
)


def assert_refused(http: APIClient, token: str) -> None:
    response = http.get("/private", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.json()) == (401, REFUSED)
    assert response["WWW-Authenticate"] == CHALLENGE


def assert_accepted(http: APIClient, token: str) -> None:
    response = http.get("/private", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.json()


def deactivate(client: Client) -> None:
    Client.objects.filter(pk=client.pk).update(is_active=False)


def delete(client: Client) -> None:
    client.delete()


def set_password(client: Client) -> None:
    client.set_password("another secret")
    client.save()


def rotate(client: Client) -> None:
    rotate_secret(client)


def revoke_all(client: Client) -> None:
    tokens.revoke_all(client.pk)


@pytest.mark.parametrize("end", [deactivate, delete, set_password, rotate, revoke_all])
def test_what_happens_to_a_client_ends_its_tokens(
    http: APIClient, get_token: Callable[[], str], client_row: Client, end: Callable[[Client], None]
) -> None:
    token = get_token()
    assert_accepted(http, token)
    end(client_row)
    assert_refused(http, token)


def test_token_is_good_for_five_minutes_and_not_a_second_longer(
    http: APIClient, get_token: Callable[[], str]
) -> None:
    now = timezone.now().replace(microsecond=0)
    with time_machine.travel(now, tick=False) as clock:
        token = get_token()
        clock.shift(timedelta(minutes=4, seconds=59))
        assert_accepted(http, token)
        clock.shift(timedelta(seconds=1))
        assert_refused(http, token)
