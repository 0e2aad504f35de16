"""What a browser gets, what a program gets, and that neither gets the other's."""

import html
import re
import shlex
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client as Browser
from rest_framework.test import APIClient

from api import keys, tokens
from api.clients import rotate_secret
from api.credentials import create_client
from api.endpoints import endpoints
from api.models import Client
from api.renderers import local_path

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"  # as Chromium sends it
POSTED_TO = ("/login", "/register", "/introspect", "/revoke", "/logout")
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
TOO_LONG = "This token is too long for a cookie, so this browser is not signed in."
SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@pytest.fixture
def browser() -> Browser:
    """A browser that Django asks for its CSRF token, as it asks real ones."""
    headers = {"Accept": HTML, "Sec-Fetch-Site": "same-origin"}
    return Browser(enforce_csrf_checks=True, headers=headers)


def csrf_token(browser: Browser) -> str:
    browser.get("/login")
    return browser.cookies["csrftoken"].value


def sign_in(browser: Browser, credentials: dict[str, str], query: str = "") -> Any:
    form = {"grant_type": "client_credentials", "csrfmiddlewaretoken": csrf_token(browser)}
    return post(browser, f"/login{query}", form | credentials)


def post(browser: Browser, path: str, form: dict[str, str]) -> Any:
    """Post a form as browsers do where the page does not say otherwise."""
    body = "&".join(f"{name}={value}" for name, value in form.items())
    return browser.post(path, body, content_type="application/x-www-form-urlencoded")


# Who gets what


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html"])
@pytest.mark.parametrize("path", ["/", "/public", "/private", "/docs"])
def test_programs_get_json_and_no_cookie(http: APIClient, path: str, accept: str) -> None:
    response = http.get(path, headers={"Accept": accept})
    assert response["Content-Type"] == "application/json"
    assert not response.cookies


def test_program_that_logs_in_gets_no_cookie(http: APIClient, credentials: dict[str, str]) -> None:
    response = http.post("/login", credentials, format="json", headers={"Accept": "*/*"})
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert not response.cookies


def test_authorization_header_gets_json_whatever_is_accepted(
    browser: Browser, get_token: Callable[[], str]
) -> None:
    response = browser.get("/private", headers={"Authorization": f"Bearer {get_token()}"})
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert not response.cookies


@pytest.mark.parametrize("path", ["/login", "/register", "/introspect", "/revoke"])
def test_form_is_for_browsers_and_programs_have_no_get(
    http: APIClient, browser: Browser, path: str, db: None
) -> None:
    response = http.get(path)
    assert (response.status_code, response["Allow"]) == (405, "POST, OPTIONS")
    assert response.json()["error"] == "invalid_request"
    page = browser.get(path)
    assert (page.status_code, page["Allow"]) == (200, "GET, POST, HEAD, OPTIONS")
    assert "<form" in page.content.decode()


@pytest.mark.parametrize("path", ["/", "/public", "/private", "/login", "/docs", "/nowhere"])
def test_page_is_never_kept_and_carries_the_one_policy(
    browser: Browser, path: str, db: None
) -> None:
    response = browser.get(path)
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert response["Content-Security-Policy"] == POLICY
    if path != "/nowhere":
        assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/public", 200),
        ("/admin/login/", 200),
        ("/static/api/pages.css", 200),
        ("/schema", 200),
        ("/private", 403),
        ("/nowhere", 404),
        ("/login", 405),
    ],
)
def test_security_headers_are_everywhere(http: APIClient, path: str, status: int, db: None) -> None:
    response = http.get(path)
    response.close()
    assert response.status_code == status
    assert {name: response[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize("path", ["/public", "/login", "/nowhere"])
def test_program_is_given_no_cookie(http: APIClient, path: str, db: None) -> None:
    assert not http.get(path).cookies


@pytest.mark.parametrize("accept", [HTML, "text/*", "TEXT/HTML", "text/*;q=0.9, image/png"])
def test_page_with_a_form_comes_with_its_cookie(http: APIClient, accept: str, db: None) -> None:
    response = http.get("/login", headers={"Accept": accept})
    assert "csrfmiddlewaretoken" in response.content.decode()
    assert "csrftoken" in response.cookies


def test_form_of_the_admin_needs_the_csrf_token_whatever_is_accepted(db: None) -> None:
    form = {"username": "boss", "password": "a password of theirs"}
    for accept in (HTML, "*/*", "application/json"):
        browser = Browser(enforce_csrf_checks=True, headers={"Accept": accept})
        response = browser.post("/admin/login/", form)
        assert response.status_code == 403
        assert "The CSRF token is missing or wrong." in response.content.decode()


def test_no_page_has_anything_inline(browser: Browser, credentials: dict[str, str]) -> None:
    pages = [browser.get(path) for path in ("/", "/public", "/private", "/register", "/introspect")]
    for page in (*pages, sign_in(browser, credentials)):
        html = page.content.decode()
        assert "</html>" in html
        assert not re.search(r"<style|\sstyle=|<script>|javascript:|\son\w+=", html)


def test_root_lists_every_endpoint(browser: Browser, db: None) -> None:
    page = browser.get("/").content.decode()
    paths = [entry.shown_path for entry in endpoints() if entry.name != "root"]
    assert len(paths) > 10
    for path in paths:
        assert re.search(rf"<td>(<a [^>]*>)?{re.escape(path)}(</a>)?</td>", page), path


# Signing in


def test_signing_in_sets_a_cookie_that_no_script_reads_until_the_token_expires(
    browser: Browser, credentials: dict[str, str]
) -> None:
    response = sign_in(browser, credentials)
    assert response.status_code == 200
    cookie = response.cookies["access_token"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert cookie["max-age"] == tokens.LIFETIME
    assert cookie.value in response.content.decode()
    assert browser.get("/private").status_code == 200


def test_cookie_is_bound_to_its_host_under_https(
    browser: Browser, credentials: dict[str, str], settings: Any
) -> None:
    settings.IS_HTTPS, settings.ACCESS_TOKEN_COOKIE = True, "__Host-access_token"
    cookie = sign_in(browser, credentials).cookies["__Host-access_token"]
    assert cookie["secure"]
    assert (cookie["path"], cookie["domain"]) == ("/", "")


def test_token_that_no_cookie_holds_signs_nobody_in_and_the_page_says_so(
    browser: Browser, credentials: dict[str, str], settings: Any
) -> None:
    settings.IS_HTTPS, settings.ACCESS_TOKEN_COOKIE = True, "__Host-access_token"
    scopes = [f"a-scope-with-{number:08}" for number in range(130)]
    client, secret = create_client("many", scopes=scopes)
    many = {"client_id": client.username, "client_secret": secret}
    lengths = set()
    for count in range(90, 130):
        sign_in(browser, credentials)
        many["scope"] = "+".join(scopes[:count])
        response = sign_in(browser, many, "?next=/private")
        cookie = response.cookies["__Host-access_token"]
        if response.status_code == 302:
            lengths.add(len(cookie.OutputString()))
            continue
        assert response.status_code == 200
        assert TOO_LONG in response.content.decode()
        assert "Sign out" not in response.content.decode()
        assert (cookie.value, cookie["max-age"]) == ("", 0), "nobody stays signed in as another"
    assert len(lengths) > 5
    assert 3900 < max(lengths) <= 4096, "what browsers keep"


def test_secret_is_never_put_back_into_the_form(
    browser: Browser, credentials: dict[str, str]
) -> None:
    secret = "a-secret-that-is-wrong"
    response = sign_in(browser, credentials | {"client_secret": secret})
    page = response.content.decode()
    assert response.status_code == 401
    assert "The client credentials are not valid." in page
    assert f'value="{credentials["client_id"]}"' in page
    assert secret not in page
    assert "access_token" not in response.cookies


def test_too_many_failures_are_explained_with_the_time_left(
    browser: Browser, credentials: dict[str, str], settings: Any
) -> None:
    settings.FAILED_LOGINS_PER_CLIENT = (1, 60)
    wrong = credentials | {"client_secret": "wrong"}
    sign_in(browser, wrong)
    response = sign_in(browser, wrong)
    assert response.status_code == 429
    assert f'data-seconds="{response["Retry-After"]}"' in response.content.decode()


@pytest.mark.parametrize(
    ("destination", "location"),
    [
        pytest.param("/private", "/private", id="path"),
        pytest.param("/private?a=1%262", "/private?a=1&2", id="query"),
    ],
)
def test_next_leads_back(
    browser: Browser, credentials: dict[str, str], destination: str, location: str
) -> None:
    response = sign_in(browser, credentials, f"?next={destination}")
    assert (response.status_code, response["Location"]) == (302, location)
    assert response.cookies["access_token"]["httponly"]


@pytest.mark.parametrize(
    "destination",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "/\t/evil.example/",
        "/\n/evil.example/",
        "\x00//evil.example/",
        " //evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "http:evil.example",
        "https:///evil.example",
        "evil.example",
        "//localhost@evil.example",
        "/\\/evil.example",
        "//[::1",
        "",
    ],
)
def test_next_leads_nowhere_else(
    browser: Browser, credentials: dict[str, str], destination: str
) -> None:
    assert local_path(destination) is None
    form = {"grant_type": "client_credentials", "csrfmiddlewaretoken": csrf_token(browser)}
    response = browser.post(
        "/login",
        "&".join(f"{name}={value}" for name, value in (form | credentials).items()),
        content_type="application/x-www-form-urlencoded",
        query_params={"next": destination},
    )
    assert response.status_code == 200
    assert "Location" not in response


def test_next_cannot_write_a_header() -> None:
    assert local_path("/private\r\nSet-Cookie: a=b") == "/private%0D%0ASet-Cookie:%20a=b"


# Signed in


def test_signing_out_forgets_the_cookie(browser: Browser, credentials: dict[str, str]) -> None:
    sign_in(browser, credentials)
    response = post(browser, "/logout", {"csrfmiddlewaretoken": csrf_token(browser)})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert response.cookies["access_token"]["max-age"] == 0
    assert browser.get("/private").status_code == 403


def test_expired_cookie_is_refused_forgotten_and_offered_a_new_sign_in(
    browser: Browser, credentials: dict[str, str]
) -> None:
    sign_in(browser, credentials)
    with time_machine.travel(timedelta(seconds=tokens.LIFETIME), tick=False):
        response = browser.get("/private")
    page = response.content.decode()
    assert response.status_code == 401
    assert 'href="/login?next=%2Fprivate"' in page
    assert "Sign out" not in page
    assert response.cookies["access_token"]["max-age"] == 0


def test_missing_token_is_offered_a_sign_in_that_returns(browser: Browser) -> None:
    response = browser.get("/private?a=1&b=2")
    assert response.status_code == 403
    assert 'href="/login?next=%2Fprivate%3Fa%3D1%26b%3D2"' in response.content.decode()


def test_page_shows_who_is_signed_in_only_while_the_token_is_good(
    browser: Browser, credentials: dict[str, str], client_row: Client
) -> None:
    sign_in(browser, credentials)
    assert "Sign out" in browser.get("/public").content.decode()
    rotate_secret(client_row)
    response = browser.get("/public")
    assert "Sign out" not in response.content.decode()
    assert response.cookies["access_token"]["max-age"] == 0


def test_authorization_header_wins_over_the_cookie(
    browser: Browser, credentials: dict[str, str]
) -> None:
    sign_in(browser, credentials)
    response = browser.get("/private", headers={"Authorization": "Bearer wrong"})
    assert response.json()["error"] == "invalid_token"
    response = browser.get("/private", headers={"Authorization": "Basic Zm9vOmJhcg=="})
    assert response.json()["error"] == "missing_token"


# What another site could have a browser do


@pytest.mark.parametrize("path", POSTED_TO)
def test_page_answers_no_post_without_the_csrf_token(
    browser: Browser, credentials: dict[str, str], path: str
) -> None:
    form = {"grant_type": "client_credentials", "token": "x"} | credentials
    response = post(browser, path, form)
    assert response.status_code == 403
    assert "The CSRF token is missing or wrong." in response.content.decode()
    assert "access_token" not in response.cookies
    csrf_token(browser)
    response = post(browser, path, form | {"csrfmiddlewaretoken": "a" * 64})
    assert response.status_code == 403


def test_cookie_alone_registers_nobody(
    browser: Browser, credentials: dict[str, str], settings: Any
) -> None:
    settings.REGISTRATION = "closed"
    sign_in(browser, credentials)
    before = Client.objects.count()
    json_only = {"Accept": "application/json"}
    response = browser.post("/register", {}, content_type="application/json", headers=json_only)
    assert (response.status_code, response.json()["error"]) == (403, "access_denied")
    assert Client.objects.count() == before


# Nothing that a browser sends ends in a 500

BODIES = [
    pytest.param(b"x" * 10_000_000, "application/json", 413, id="10-MB-json"),
    pytest.param(b"a=" + b"x" * 10_000_000, "application/x-www-form-urlencoded", 413, id="10-MB"),
    pytest.param(b"{", "application/json", 400, id="malformed-json"),
    pytest.param(b"[" * 5000 + b"]" * 5000, "application/json", 400, id="deep"),
    pytest.param(b"[]", "application/json", 400, id="array"),
    pytest.param(b'{"client_id": {"a": []}}', "application/json", 403, id="object-for-a-string"),
    pytest.param(b'{"client_id": "\\ud800"}', "application/json", 403, id="lone-surrogate"),
    pytest.param(b"\xff\xfe", "application/json", 400, id="not-utf-8-json"),
    pytest.param(b"client_id=\xff", "application/x-www-form-urlencoded", 400, id="not-utf-8"),
    pytest.param(b"client_id=%ff", "application/x-www-form-urlencoded", 400, id="not-utf-8-escape"),
    pytest.param(b"a=1&a=2", "application/x-www-form-urlencoded", 400, id="duplicate"),
    pytest.param(b"a&" * 2000, "application/x-www-form-urlencoded", 400, id="many-fields"),
    pytest.param(b"a=1", "application/x-www-form-urlencoded; charset=utf-16", None, id="utf-16"),
    pytest.param(b"<a/>", "text/xml", 415, id="xml"),
    pytest.param(b"--a\r\n", "multipart/form-data; boundary=a", 415, id="multipart"),
    pytest.param(b"--a\r\n", "multipart/form-data", 415, id="multipart-without-boundary"),
    pytest.param(b"{}", "application/json; charset=\xff", None, id="odd-charset"),
    pytest.param(b"x", "", 415, id="no-type"),
    pytest.param(b"", "application/json", 403, id="empty"),
]


@pytest.mark.parametrize("signed_in", [False, True], ids=["stranger", "signed-in"])
@pytest.mark.parametrize(("body", "content_type", "status"), BODIES)
@pytest.mark.parametrize("path", POSTED_TO)
def test_no_body_breaks_a_page(
    browser: Browser,
    get_token: Callable[[], str],
    path: str,
    body: bytes,
    content_type: str,
    status: int | None,
    signed_in: bool,
) -> None:
    if signed_in:
        browser.cookies["access_token"] = get_token()
    response = browser.generic("POST", path, body, content_type=content_type)
    assert response["Content-Type"].startswith("text/html")
    assert "</html>" in response.content.decode()
    if status:
        assert response.status_code == status
    assert 400 <= response.status_code < 500


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options", "trace", "post", "head"])
@pytest.mark.parametrize("path", ["/", "/public", "/private", "/login", "/register", "/docs"])
def test_no_method_breaks_a_page(browser: Browser, path: str, method: str, db: None) -> None:
    response = getattr(browser, method)(path)
    assert response.status_code < 500


@pytest.mark.parametrize("cookie", ["x", "a.b.c", "\x80", "=", "a" * 9000, "é", '"'])
def test_no_cookie_breaks_a_page(browser: Browser, cookie: str, db: None) -> None:
    header = {"Cookie": f"access_token={cookie}", "Accept": HTML}
    assert browser.get("/private", headers=header).status_code in {401, 403}
    assert browser.get("/public", headers=header).status_code == 200


@pytest.mark.parametrize("path", ["/nowhere", "/admin/nowhere", "/log/in", "/%00", "/static/none"])
def test_unknown_path_is_a_page_too(browser: Browser, http: APIClient, path: str) -> None:
    response = browser.get(path)
    assert response.status_code in {302, 404}
    if response.status_code == 404:
        assert "There is nothing at this path." in response.content.decode()
        assert http.get(path).json()["error"] == "invalid_request"
        header = {"Authorization": "Bearer x"}
        assert browser.get(path, headers=header).json()["error"] == "invalid_request"


def test_no_client_name_becomes_markup(browser: Browser, db: None) -> None:
    token = csrf_token(browser)
    form = {"client_name": "%3Cimg src=x%3E", "csrfmiddlewaretoken": token}
    page = post(browser, "/register", form)
    assert page.status_code == 201
    assert "&lt;img src=x&gt;" in page.content.decode()
    assert "<img src=x>" not in page.content.decode()


def test_no_path_becomes_markup(browser: Browser) -> None:
    page = browser.get('/private?"><script>alert(1)</script>').content.decode()
    assert "<script>" not in page


def test_command_for_a_program_runs_nothing_that_the_query_brings(browser: Browser) -> None:
    query = "x=1;id&y=$(id)&z='`id`'"
    page = browser.get(f"/public?{query}").content.decode()
    command = re.search(r'id="command">(.+?)</code>', page)
    assert command
    words = shlex.split(html.unescape(command[1]), comments=True)
    assert words[0] == "curl"
    assert len(words) == 2
    assert words[1].startswith("http://testserver/public?x=1;id&")


# Pages of a service whose database is down


def test_public_page_needs_no_database(
    browser: Browser, get_token: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.cookies["access_token"] = get_token()
    monkeypatch.setattr(tokens, "look_up_for_token", _unavailable)
    response = browser.get("/public")
    assert response.status_code == 200
    assert not response.cookies  # the token may well be good
    assert browser.get("/private").status_code == 503


def _unavailable(*args: Any, **kwargs: Any) -> None:
    from django.db import OperationalError

    raise OperationalError("the database is down")


def test_token_page_explains_everything_in_the_token(
    browser: Browser, credentials: dict[str, str]
) -> None:
    page = sign_in(browser, credentials).content.decode()
    token = re.search(r'<code id="token">([^<]+)</code>', page)
    assert token
    claims = tokens.read(token[1]).payload
    header = {"alg": "ES256", "kid": keys.signing_key().kid, "typ": "at+jwt"}
    rows = dict(re.findall(r"<code>(\w+)</code></th>\s*<td><code>([^<]*)</code>", page))
    assert rows == {name: str(value) for name, value in (header | claims).items()}
    meanings = re.findall(r"</td>\s*<td>([^<]*)</td>\s*</tr>", page)
    assert len(meanings) == len(rows)
    assert all(meanings)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (90, "90 seconds"), (60, "1 minute"), (300, "5 minutes"), (7200, "2 hours")],
)
def test_pages_name_the_lifetime_that_is_configured(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, seconds: int, words: str
) -> None:
    monkeypatch.setattr(tokens, "LIFETIME", seconds)
    assert f"for {words}." in browser.get("/").content.decode()
    assert f"for {words}." in browser.get("/login").content.decode()
