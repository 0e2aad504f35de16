"""What every request passes first: its Host, and the scheme that a proxy names."""

import pytest
from django.http import HttpResponsePermanentRedirect
from django.test import Client as Browser
from django.test import RequestFactory
from pytest_django import Settings

from api.tests.support.responses import UNKNOWN_HOST, assert_error
from authdemo.middleware import explain_redirects

PUBLIC = "auth.example.com"


@pytest.fixture
def public(settings: Settings, db: None) -> Browser:
    """A program that calls the service behind one trusted proxy, by any name."""
    settings.PUBLIC_URL, settings.ALLOWED_HOSTS = f"https://{PUBLIC}", [PUBLIC, "auth.internal"]
    settings.SECURE_SSL_REDIRECT, settings.TRUSTED_PROXIES = True, 1
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    return Browser()


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "evil.example", "[::1]", "a_b", "", "é"])
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_told_by_any_name_and_over_http(public: Browser, path: str, host: str) -> None:
    response = public.get(path, headers={"Host": host})
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/public", "/livez/", "//livez", "/x/livez", "/livezz"])
def test_everything_else_needs_a_known_name_and_https(public: Browser, path: str) -> None:
    foreign = {"Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert_error(public.get(path, headers=foreign), 400, "invalid_request", UNKNOWN_HOST)
    response = public.get(path, headers={"Host": PUBLIC, "X-Forwarded-Proto": "http"})
    assert (response.status_code, response["Location"][:24]) == (301, f"https://{PUBLIC}")


@pytest.mark.parametrize("host", [PUBLIC, "AUTH.example.com", "auth.internal", "auth.internal:80"])
def test_each_allowed_host_is_served(public: Browser, host: str) -> None:
    headers = {"Host": host, "X-Forwarded-Proto": "https"}
    assert public.get("/public", headers=headers).status_code == 200


ABSENT = (
    "TRUSTED_PROXIES is 1, but no X-Forwarded-Proto came. "
    "Let the proxy set it, or every request is redirected for ever."
)
NOT_TRUSTED = (
    "X-Forwarded-Proto says https, but TRUSTED_PROXIES is 0, so it does not count and the request "
    "is redirected. Set TRUSTED_PROXIES if a proxy sent it."
)


@pytest.mark.parametrize(
    ("proxies", "proto", "lines"),
    [
        pytest.param(1, None, [ABSENT], id="absent"),
        pytest.param(1, "http", [], id="caller over http"),
        pytest.param(0, "https", [NOT_TRUSTED], id="not trusted"),
        pytest.param(0, None, [], id="no proxy at all"),
    ],
)
def test_redirect_that_never_ends_is_explained_once(
    public: Browser,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    proxies: int,
    proto: str | None,
    lines: list[str],
) -> None:
    settings.TRUSTED_PROXIES = proxies
    if not proxies:
        settings.SECURE_PROXY_SSL_HEADER = None
    headers = {"Host": PUBLIC} | ({"X-Forwarded-Proto": proto} if proto else {})
    for _ in range(3):
        public.get("/livez", headers=headers)
        assert public.get("/public", headers=headers).status_code == 301
    assert [record.getMessage() for record in caplog.records] == lines


@pytest.mark.parametrize(("proxies", "proto"), [(1, {}), (0, {"X-Forwarded-Proto": "https"})])
def test_redirect_of_a_request_over_tls_needs_no_explanation(
    settings: Settings, caplog: pytest.LogCaptureFixture, proxies: int, proto: dict[str, str]
) -> None:
    settings.SECURE_SSL_REDIRECT, settings.TRUSTED_PROXIES = True, proxies
    request = RequestFactory().get("/admin/auth", secure=True, headers=proto)
    explain_redirects(lambda _: HttpResponsePermanentRedirect("/admin/auth/"))(request)
    assert caplog.records == []
