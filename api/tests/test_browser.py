"""The pages, clicked through in a real Chromium against the real server."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from api.tests.chromium import inspect
from api.tests.server import Server

pytestmark = pytest.mark.browser
MAKE_FOO = (
    "from api.credentials import create_client;"
    "create_client('foo', secret='bar', scopes=['read', 'write'])"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running service with the client `foo` and its chosen secret `bar`."""
    directory = tmp_path_factory.mktemp("site")
    server = Server(directory, f"sqlite:///{directory / 'db.sqlite3'}")
    server.manage("migrate", "--verbosity", "0")
    server.manage("shell", "--verbosity", "0", "--command", MAKE_FOO)
    with server.running():
        yield server


def sign_in(page: Page, client_id: str, client_secret: str) -> None:
    page.get_by_label("Client id").fill(client_id)
    page.get_by_label("Client secret", exact=True).fill(client_secret)
    page.get_by_role("button", name="Sign in").click()


def test_root_says_what_there_is(page: Page, site: Server) -> None:
    page.goto(site.url)
    page.get_by_role("button", name="Copy the third command").click()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("curl --header")
    assert command.endswith(f"{site.url}/login")
    inspect(page, "root")


def test_sign_in_shows_the_token_and_opens_the_private_route(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/login")
    inspect(page, "sign-in")
    sign_in(page, "foo", "bar")
    inspect(page, "token")
    page.get_by_role("link", name="open /private").click()
    assert "Welcome to the protected area :)" in page.inner_text("main")
    inspect(page, "private")
