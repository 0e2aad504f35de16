"""Whose address counts, behind proxies of all kinds."""

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.test import RequestFactory
from pytest_django import Settings
from rest_framework.test import APIClient

from api.credentials import create_client
from api.tests.support.responses import assert_error
from api.throttling.address import UnusableAddressError, caller_network, client_address

PROXY = "192.0.2.1"
WRONG = {"client_id": "reporting", "client_secret": "wrong"}
UNUSABLE = "The X-Forwarded-For header is not usable."


def address(settings: Settings, proxies: int, forwarded: str) -> str:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR=forwarded)
    return client_address(request)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        pytest.param(0, "203.0.113.1", PROXY, id="no proxy"),
        pytest.param(1, "203.0.113.1", "203.0.113.1", id="one proxy"),
        pytest.param(1, "10.9.9.9, 203.0.113.1", "203.0.113.1", id="forged before one proxy"),
        pytest.param(2, "10.9.9.9,203.0.113.1 , 10.0.0.1", "203.0.113.1", id="two proxies"),
        pytest.param(1, "2001:db8::1", "2001:db8::1", id="IPv6"),
        pytest.param(1, "::ffff:203.0.113.1", "203.0.113.1", id="IPv4 in IPv6"),
        pytest.param(1, "203.0.113.9:41000", "203.0.113.9", id="port"),
        pytest.param(1, "[2001:db8::7]:443", "2001:db8::7", id="brackets and port"),
        pytest.param(1, "[2001:db8::7]", "2001:db8::7", id="brackets"),
        pytest.param(1, '"203.0.113.9"', "203.0.113.9", id="quoted"),
        pytest.param(1, ' "[2001:DB8:0::7]:4711" ', "2001:db8::7", id="quoted, brackets, port"),
        pytest.param(1, "\t203.0.113.9  ", "203.0.113.9", id="spaces"),
        pytest.param(1, "[::ffff:203.0.113.9]:80", "203.0.113.9", id="IPv4 in brackets"),
        pytest.param(1, "fe80::1%eth0", "fe80::1", id="zone"),
        pytest.param(1, "[fe80::1%25eth0]:80", "fe80::1", id="zone in brackets"),
        pytest.param(1, "é, 198.51.100.7", "198.51.100.7", id="not ASCII before it"),
        pytest.param(1, ",198.51.100.7", "198.51.100.7", id="lost line before it"),
    ],
)
def test_client_address_is_what_the_trusted_proxies_saw(
    settings: Settings, proxies: int, forwarded: str, expected: str
) -> None:
    found = address(settings, proxies, forwarded)
    assert found == expected
    assert caller_network(found)


@pytest.mark.parametrize(
    ("proxies", "forwarded"),
    [
        pytest.param(2, "203.0.113.1", id="fewer entries than proxies"),
        pytest.param(1, "unknown", id="no address"),
        pytest.param(1, "", id="nothing, as granian hands over what is not ASCII"),
        pytest.param(2, "203.0.113.66,,10.0.0.1", id="lost line behind a forged one"),
        pytest.param(1, "203.0.113.1,", id="empty entry"),
        pytest.param(1, "203.0.113.1é", id="not ASCII"),
        pytest.param(1, "203.0.113.1:port", id="port that is none"),
        pytest.param(1, "[2001:db8::7", id="open bracket"),
        pytest.param(1, "2001:db8::7]", id="closed bracket"),
        pytest.param(1, "[2001:db8::7]443", id="no colon before the port"),
        pytest.param(1, "[]", id="empty brackets"),
        pytest.param(1, "203.0.113.1 203.0.113.2", id="two addresses"),
        pytest.param(1, "203.0.113.٣", id="digits of another script"),
        pytest.param(1, "for=203.0.113.1", id="RFC 7239"),
        pytest.param(1, "1" * 100_000, id="long"),
    ],
)
def test_unusable_header_is_nobodys_address(
    settings: Settings, proxies: int, forwarded: str
) -> None:
    with pytest.raises(UnusableAddressError):
        address(settings, proxies, forwarded)


@pytest.mark.parametrize("path", ["/login", "/introspect", "/revoke", "/register"])
def test_unusable_header_is_400_and_logged_once_a_minute(
    http: APIClient, db: None, settings: Settings, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    settings.TRUSTED_PROXIES = 1
    headers = {"X-Forwarded-For": "é"}
    for _ in range(3):
        body = WRONG | {"token": "x"}
        response = http.post(path, body, format="json", headers=headers, REMOTE_ADDR=PROXY)
        assert_error(response, 400, "invalid_request", UNUSABLE)
    (record,) = caplog.records
    assert record.getMessage() == (
        "X-Forwarded-For from '192.0.2.1' has no address at place 1 from the right, as "
        "TRUSTED_PROXIES demands. Such requests get 400."
    )


@pytest.mark.django_db
def test_staff_too_gets_400_for_an_unusable_header(settings: Settings) -> None:
    User.objects.create_superuser("admin", password="the right one")
    settings.TRUSTED_PROXIES = 1
    form = {"username": "admin", "password": "the right one"}
    response = Browser().post("/admin/login/", form, HTTP_X_FORWARDED_FOR="unknown")
    assert_error(response, 400, "invalid_request", UNUSABLE)


@pytest.mark.parametrize("path", ["/public", "/livez", "/readyz"])
def test_unusable_header_matters_only_where_an_address_is_counted(
    http: APIClient, db: None, settings: Settings, path: str
) -> None:
    settings.TRUSTED_PROXIES = 1
    assert http.get(path, HTTP_X_FORWARDED_FOR="é").status_code == 200


def test_missing_header_counts_for_the_proxy_and_is_logged_once_a_minute(
    http: APIClient, db: None, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TRUSTED_PROXIES = 1
    create_client("reporting", secret="a chosen secret")
    statuses = [
        http.post("/login", WRONG, format="json", REMOTE_ADDR=PROXY).status_code for _ in range(11)
    ]
    assert statuses == [401] * 10 + [429]
    (warning,) = [record for record in caplog.records if record.name == "api.throttling"]
    assert warning.getMessage() == (
        "'192.0.2.1' sent no X-Forwarded-For, but TRUSTED_PROXIES is 1. All who call through it "
        "share one rate limit."
    )
