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
from django.utils import timezone
from rest_framework.test import APIClient

from api import claims, keys, tokens
from api.clients import rotate_secret
from api.credentials import create_client
from api.endpoints import endpoints
from api.models import Client
from api.renderers import local_path
from api.tests.support.responses import EXPIRED_TOKEN, assert_error, bearer

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
    pages = [
        browser.get(path) for path in ("/", "/token", "/private", "/register", "/revoke", "/logout")
    ]
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


def test_signing_in_sets_a_cookie_that_no_script_reads_and_that_outlives_the_token(
    browser: Browser, credentials: dict[str, str]
) -> None:
    response = sign_in(browser, credentials)
    assert response.status_code == 200
    cookie = response.cookies["access_token"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert cookie["max-age"] == claims.LIFETIME + 24 * 60 * 60
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


def test_expired_cookie_is_called_expired_each_time_and_offered_a_new_sign_in(
    browser: Browser, credentials: dict[str, str]
) -> None:
    sign_in(browser, credentials)
    with time_machine.travel(timedelta(seconds=claims.LIFETIME), tick=False):
        for path in ("/private", "/public", "/private"):
            response = browser.get(path)
            assert "Sign out" not in response.content.decode()
            assert not response.cookies
    page = response.content.decode()
    assert response.status_code == 401
    assert EXPIRED_TOKEN in page
    assert 'href="/login?next=%2Fprivate"' in page


def test_expired_cookie_keeps_nobody_from_what_is_open_to_anyone(
    browser: Browser, credentials: dict[str, str], settings: Any
) -> None:
    sign_in(browser, credentials)
    with time_machine.travel(timedelta(seconds=claims.LIFETIME), tick=False):
        json_only = {"Accept": "application/json"}  # as `/docs` sends it
        registered = browser.post(
            "/register", {}, content_type="application/json", headers=json_only
        )
        assert registered.status_code == 201
        assert "<form" in browser.get("/register").content.decode()
        settings.REGISTRATION = "closed"
        assert browser.get("/register").status_code == 401


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


# The token, again

NAVIGATION = {
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
ONLY_FOR_BROWSERS = "Only a signed-in browser can open this page, by a link of this service."


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_token_is_shown_again_to_the_person_who_signed_in(
    browser: Browser, credentials: dict[str, str], site: str
) -> None:
    token = sign_in(browser, credentials).cookies["access_token"].value
    for path in ("/token", "/private"):
        response = browser.get(path, headers=NAVIGATION | {"Sec-Fetch-Site": site})
        page = html.unescape(response.content.decode())
        assert response.status_code == 200
        assert f'"Authorization: Bearer {token}" http://testserver/private' in page
        assert response["Cache-Control"] == "no-store"
        assert "access_token" not in response.cookies
    assert 'href="/token"' in browser.get("/public").content.decode()


def test_token_that_expires_while_it_is_shown_breaks_no_page(
    browser: Browser, credentials: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in(browser, credentials)
    verify = tokens.verify
    with time_machine.travel(timezone.now(), tick=False) as clock:

        def verify_just_in_time(text: str) -> tokens.AccessToken:
            token = verify(text)
            clock.shift(claims.LIFETIME)
            return token

        monkeypatch.setattr(tokens, "verify", verify_just_in_time)
        assert browser.get("/token", headers=NAVIGATION).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, id="fetched"),
        pytest.param({"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, id="embedded"),
        pytest.param({"Sec-Fetch-Dest": "iframe"}, id="framed"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="from-the-domain"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="from-another-site"),
        pytest.param(dict.fromkeys(NAVIGATION, ""), id="old-browser"),
    ],
)
def test_token_is_shown_to_no_script_and_to_no_other_site(
    browser: Browser, credentials: dict[str, str], headers: dict[str, str]
) -> None:
    token = sign_in(browser, credentials).cookies["access_token"].value
    response = browser.get("/token", headers=NAVIGATION | headers)
    assert response.status_code == 403
    assert ONLY_FOR_BROWSERS in response.content.decode()
    private = browser.get("/private", headers=NAVIGATION | headers).content.decode()
    assert "Bearer &lt;token&gt;" in private
    assert token not in private + response.content.decode()


def test_token_is_shown_to_no_program(http: APIClient, get_token: Callable[[], str]) -> None:
    headers = NAVIGATION | {"Accept": HTML}
    response = http.get("/token", headers=headers | bearer(get_token()))
    assert_error(response, 403, "access_denied", ONLY_FOR_BROWSERS)
    http.cookies["access_token"] = get_token()
    response = http.get("/token", headers=NAVIGATION | {"Accept": "*/*"})
    assert_error(response, 403, "access_denied", ONLY_FOR_BROWSERS)


def test_page_to_sign_out_signs_nobody_out_by_itself(
    browser: Browser, http: APIClient, credentials: dict[str, str]
) -> None:
    assert "Nobody is signed in here." in browser.get("/logout").content.decode()
    sign_in(browser, credentials)
    response = browser.get("/logout")
    assert '<form method="post" action="/logout">' in response.content.decode()
    assert "access_token" not in response.cookies
    assert browser.get("/private").status_code == 200
    assert http.get("/logout").status_code == 405


# Where the service is


@pytest.mark.parametrize("path", ["/", "/login", "/public", "/nowhere"])
def test_page_offers_the_demo_and_registration_only_where_they_are(
    browser: Browser, settings: Any, path: str, db: None
) -> None:
    offers = re.compile(r">Register<|Register one|register a client")
    here = browser.get(path).content.decode()
    assert offers.search(here)
    assert ('"foo"' in html.unescape(here)) is ("manage.py demo" in here) is (path == "/")
    settings.IS_LOCAL, settings.REGISTRATION = False, "closed"
    there = html.unescape(browser.get(path).content.decode())
    assert not offers.search(there)
    assert '"foo"' not in there
    assert "manage.py demo" not in there


def test_who_may_register_is_offered_it(
    browser: Browser, token_with: Callable[..., str], settings: Any
) -> None:
    settings.REGISTRATION = "closed"
    for scope, is_offered in (("read", False), ("register", True)):
        browser.cookies["access_token"] = token_with(scope)
        page = browser.get("/public").content.decode()
        assert (">Register<" in page) is is_offered


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


def test_page_of_a_response_without_content_is_content(browser: Browser, db: None) -> None:
    _, secret = create_client("manager", scopes=["clients:write"])
    create_client("billing")
    sign_in(browser, {"client_id": "manager", "client_secret": secret})
    response = browser.post(
        "/clients/billing/revocation",
        "{}",
        content_type="application/json",
        headers={"X-CSRFToken": csrf_token(browser)},
    )
    assert response.status_code == 200
    assert "HTTP 204 No Content" in response.content.decode()


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
    monkeypatch.setattr(claims, "LIFETIME", seconds)
    assert f"for {words}." in browser.get("/").content.decode()
    assert f"for {words}." in browser.get("/login").content.decode()
