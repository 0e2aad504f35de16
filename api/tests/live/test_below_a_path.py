"""The service below a path, behind the nginx of `deploy/`, with TLS.

nginx keeps the path, or cuts it off.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.tests.support.chromium import watched_page
from api.tests.support.curl import curl
from api.tests.support.nginx import Nginx, documented_config, make_certificate
from api.tests.support.server import Server

SET_UP = """
from django.contrib.auth.models import User
from api.credentials import create_client
create_client("foo", secret="bar")
User.objects.create_superuser("staff", password="correct horse battery staple")
"""
WHOLE_HOST = re.compile(r"location / \{.*?\}", re.DOTALL)


@pytest.fixture(scope="module", params=["kept", "cut off"])
def url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[str]:
    """The public address of a service with the client `foo` and somebody of the staff."""
    server = Server.with_copy(tmp_path_factory.mktemp("site"), migrated)
    config, below_a_path = documented_config()
    if request.param == "cut off":
        below_a_path = below_a_path.replace("//authdemo;", "//authdemo/;", 1)
    config = WHOLE_HOST.sub(lambda _: below_a_path, config)
    nginx = Nginx(
        directory=server.directory,
        config=config.replace("$host", "$host:$server_port"),
        behind=server.port,
        certificate=make_certificate(server.directory),
    )
    public_url = f"https://localhost:{nginx.port}/auth"
    server.extra = {"PUBLIC_URL": public_url, "TRUSTED_PROXIES": "1"}
    server.shell(SET_UP)
    with server.running(), nginx.running():
        yield public_url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with watched_page(browser, ignore_https_errors=True) as page:
        yield page


def cookies(page: Page) -> set[tuple[str, str]]:
    """Return the names and paths of the cookies."""
    return {(cookie["name"], cookie["path"]) for cookie in page.context.cookies()}


def test_walk_through_and_discovery(url: str) -> None:
    origin = url.removesuffix("/auth")
    assert curl("--insecure", f"{url}/public")[0] == 200
    status, metadata = curl("--insecure", f"{origin}/.well-known/oauth-authorization-server/auth")
    assert (status, metadata["issuer"]) == (200, url)
    status, api = curl("--insecure", f"{origin}/.well-known/oauth-protected-resource/auth")
    assert (status, api["resource"], api["authorization_servers"]) == (200, url, [url])
    form = ["--user", "foo:bar", "--data", "grant_type=client_credentials"]
    status, login = curl("--insecure", *form, metadata["token_endpoint"])
    assert status == 200
    bearer = f"Authorization: Bearer {login['access_token']}"
    status, private = curl("--insecure", "--header", bearer, f"{url}/private")
    assert (status, private["iss"], private["sub"]) == (200, url, "foo")
    status, jwks = curl("--insecure", metadata["jwks_uri"])
    assert (status, len(jwks["keys"])) == (200, 1)
    status, links = curl("--insecure", f"{url}/")
    assert links["jwks"] == metadata["jwks_uri"]


def test_browser_signs_in_returns_and_signs_out(page: Page, url: str) -> None:
    page.goto(f"{url}/private")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_label("Client id").fill("foo")
    page.get_by_label("Client secret", exact=True).fill("bar")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{url}/private")
    expect(page.get_by_text('"message": "Welcome to the protected area :)"')).to_be_visible()
    assert cookies(page) == {("__Secure-access_token", "/auth"), ("__Secure-csrftoken", "/auth")}
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{url}/")
    assert cookies(page) == {("__Secure-csrftoken", "/auth")}


def test_raw_data_is_sent_from_a_page(page: Page, url: str) -> None:
    page.goto(f"{url}/introspect")
    page.get_by_text("Raw data").click()
    body = {"client_id": "foo", "client_secret": "bar", "token": "none"}
    page.get_by_label("Content").fill(json.dumps(body))
    page.get_by_role("button", name="POST").click()
    expect(page.get_by_text('"active": false')).to_be_visible()


def test_docs_get_a_token_and_call_with_it(page: Page, url: str) -> None:
    page.goto(f"{url}/docs")
    page.get_by_role("button", name="Authorize").first.click()
    page.get_by_label("client_id").fill("foo")
    page.get_by_label("client_secret").fill("bar")
    page.get_by_role("button", name="Apply given OAuth2 credentials").click()
    page.get_by_role("button", name="Remove authorization").wait_for()
    page.get_by_role("button", name="Close").last.click()
    page.locator(".opblock", has_text="/private").locator(".opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text("Welcome to the protected area")


def test_staff_add_a_client_and_sign_out(page: Page, url: str) -> None:
    page.goto(f"{url}/admin")
    page.get_by_label("Username").fill("staff")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{url}/admin/")
    assert cookies(page) == {("__Secure-csrftoken", "/auth"), ("__Secure-sessionid", "/auth")}
    page.get_by_role("link", name="Clients", exact=True).click()
    page.get_by_role("link", name="Add client").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#curl")).to_contain_text(f"{url}/login")
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_label("Name").fill("Billing")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    page.get_by_role("link", name="View site").click()
    expect(page).to_have_url(f"{url}/")
    page.goto(f"{url}/admin/")
    page.get_by_role("button", name="Log out").click()
    assert cookies(page) == {("__Secure-csrftoken", "/auth")}
