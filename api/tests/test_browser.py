"""The pages, clicked through in a real Chromium against the real server."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from api.tests.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running service with the client `foo` and its chosen secret `bar`."""
    directory = tmp_path_factory.mktemp("site")
    server = Server(directory, f"sqlite:///{directory / 'db.sqlite3'}")
    server.manage("migrate", "--verbosity", "0")
    with server.running():
        yield server


def test_public(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/public")
    assert page.title()
