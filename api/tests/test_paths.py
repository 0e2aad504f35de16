"""A `PUBLIC_URL` with a path, whether the proxy keeps the path or cuts it off."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from requests import PreparedRequest, Response, Session, get
from requests.adapters import HTTPAdapter
from rest_framework.test import APIClient

from api.tests.support.server import Server

SET_UP = """
from django.contrib.auth.models import User
from api.credentials import create_client
create_client("foo", secret="bar")
User.objects.create_superuser("staff", password="correct horse battery staple")
"""
FOO = {"client_id": "foo", "client_secret": "bar"}
STAFF = {"username": "staff", "password": "correct horse battery staple"}
METADATA = ".well-known/oauth-authorization-server"


class CutOff(HTTPAdapter):
    """Sends requests as a proxy does that cuts the path of the public address off."""

    def __init__(self, site: Server) -> None:
        super().__init__()
        self._site = site

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        public = str(request.url)
        if f"{public}/".startswith(f"{self._site.url}/"):
            request.url = public.replace(self._site.path, "", 1)
        response = super().send(request, *args, **options)
        request.url = response.url = public
        return response


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A service whose address has a path, and whose issuer also ends in a slash."""
    server = Server.with_copy(tmp_path_factory.mktemp("site"), migrated)
    server.path = "/a/auth"
    server.extra = {"ISSUER": f"{server.url}/"}
    server.shell(SET_UP)
    with server.running():
        yield server


@pytest.fixture(params=["kept", "cut off"])
def browser(request: pytest.FixtureRequest, site: Server) -> Iterator[Session]:
    """What gets and keeps cookies as a browser does, behind a proxy of each kind."""
    with Session() as browser:
        if request.param == "cut off":
            browser.mount(origin(site), CutOff(site))
        yield browser


def origin(site: Server) -> str:
    return site.url.removesuffix(site.path)


def submit(browser: Session, page: Response, form: dict[str, str], action: str = "") -> Response:
    """Submit the form of a page."""
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token
    form |= {"csrfmiddlewaretoken": token[1]}
    return browser.post(action or page.url, form, headers={"Accept": "text/html"})


def test_walk_through(site: Server, browser: Session) -> None:
    assert browser.get(f"{site.url}/public").status_code == 200
    description = "An access token is required; get one from /a/auth/login."
    refused = {"error": "missing_token", "error_description": description}
    assert browser.get(f"{site.url}/private").json() == refused
    token = browser.post(f"{site.url}/login", json=FOO).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    claims = browser.get(f"{site.url}/private", headers=headers).json()
    assert (claims["iss"], claims["aud"]) == (f"{site.url}/", site.url)


def test_root_lists_public_addresses(site: Server, browser: Session) -> None:
    links = browser.get(f"{site.url}/").json()
    assert links["metadata"] == f"{site.url}/{METADATA}"
    assert {url for url in links.values() if not url.startswith(f"{site.url}/")} == set()


def test_metadata_names_public_addresses_at_both_addresses(site: Server, browser: Session) -> None:
    metadata = browser.get(f"{origin(site)}/{METADATA}{site.path}").json()  # RFC 8414 §3.1
    assert metadata == browser.get(f"{site.url}/{METADATA}").json()
    assert metadata["issuer"] == f"{site.url}/"
    assert metadata["token_endpoint"] == f"{site.url}/login"
    urls = {url for name, url in metadata.items() if name.endswith(("_endpoint", "_uri"))}
    assert {url for url in urls if not url.startswith(f"{site.url}/")} == set()
    assert {url for url in urls if url.count(site.path) != 1} == set()
    assert browser.get(metadata["jwks_uri"]).json().keys() == {"keys"}


def test_openapi_document_names_the_path_once(site: Server, browser: Session) -> None:
    document = browser.get(f"{site.url}/schema").json()
    assert document["servers"] == [{"url": site.path}]
    assert "/login" in document["paths"]
    flows = document["components"]["securitySchemes"]["oauth2"]["flows"]
    assert flows["clientCredentials"]["tokenUrl"] == f"{site.path}/login"


@pytest.mark.parametrize("path", ["", "/", "/public", "/login", "/docs", "/nowhere", "/admin/"])
def test_all_links_of_a_page_are_below_the_path(site: Server, browser: Session, path: str) -> None:
    page = browser.get(f"{site.url}{path}", headers={"Accept": "text/html"}).text
    links = re.findall(r'(?:href|src|action|data-schema)="(/[^"]*)"', page)
    assert len(links) > 3
    assert {link for link in links if not link.startswith(f"{site.path}/")} == set()
    files = {link for link in links if link.endswith((".css", ".js", ".svg"))}
    assert {browser.get(origin(site) + file).status_code for file in files} == {200}


def test_browser_signs_in_and_out(site: Server, browser: Session) -> None:
    refused = browser.get(f"{site.url}/private", headers={"Accept": "text/html"})
    (link,) = re.findall(r'href="(/[^"]*next=[^"]*)"', refused.text)
    page = browser.get(origin(site) + link, headers={"Accept": "text/html"})
    private = submit(browser, page, FOO | {"grant_type": "client_credentials"})
    assert (private.status_code, private.url) == (200, f"{site.url}/private")
    assert {(cookie.name, cookie.path) for cookie in browser.cookies} == {
        ("access_token", site.path),
        ("csrftoken", site.path),
    }
    root = submit(browser, private, {}, f"{site.url}/logout")
    assert (root.status_code, root.url) == (200, f"{site.url}/")
    assert [cookie.name for cookie in browser.cookies] == ["csrftoken"]


def test_staff_sign_in_and_read_messages(site: Server, browser: Session) -> None:
    page = browser.get(f"{site.url}/admin", headers={"Accept": "text/html"})
    assert page.url == f"{site.url}/admin/login/?next={site.path}/admin/"
    index = submit(browser, page, STAFF | {"next": f"{site.path}/admin/"})
    assert (index.status_code, index.url) == (200, f"{site.url}/admin/")
    adding = browser.get(f"{site.url}/admin/api/scope/add/")
    groups = submit(browser, adding, {"name": secrets.token_hex(8)})
    assert groups.url == f"{site.url}/admin/api/scope/"
    assert "was added successfully" in groups.text
    answers = [*page.history, page, *index.history, index, *groups.history, groups]
    assert {(cookie.name, cookie.path) for answer in answers for cookie in answer.cookies} == {
        ("csrftoken", site.path),
        ("sessionid", site.path),
    }


def test_redirect_to_https_keeps_the_path(http: APIClient, settings: Settings) -> None:
    settings.FORCE_SCRIPT_NAME, settings.SECURE_SSL_REDIRECT = "/auth", True
    response = http.get("/public?a=b")
    assert (response.status_code, response["Location"]) == (
        301,
        "https://testserver/auth/public?a=b",
    )


def test_neighbour_whose_name_begins_alike_is_not_served(site: Server) -> None:
    assert get(f"{site.url}orities/public", timeout=10).status_code == 404


def test_runserver_with_debug_serves_static_files(server: Server) -> None:
    server.path, server.extra = "/auth", {"DEBUG": "true"}
    with server.running(("manage.py", "runserver", "--noreload", str(server.port))):
        assert get(f"{server.url}/static/api/pages.css", timeout=10).status_code == 200
