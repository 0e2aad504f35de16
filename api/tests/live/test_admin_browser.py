"""What staff do with clients and keys, in a real Chromium at the real server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from api.tests.support.assertions import KeyPair, claims_of, presented
from api.tests.support.chromium import inspect
from api.tests.support.issuer import Issuer, form
from api.tests.support.server import Server

pytestmark = pytest.mark.browser

STAFF, PASSWORD = "boss", "a password for the tests"


@pytest.fixture
def service(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server.extra["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    server.manage("createsuperuser", "--no-input", "--username", STAFF, "--email", "")
    with server.running():
        yield server


@pytest.fixture
def staff(page: Page, service: Server) -> Page:
    """A page of somebody who has just signed in to the admin."""
    page.goto(f"{service.url}/admin/")
    page.get_by_label("Username").fill(STAFF)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Clients", exact=True)).to_be_visible()
    return page


def status(*arguments: str) -> int:
    """Return the status of what curl is told to fetch."""
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=20, check=True
    )
    return int(done.stdout)


def login_status(service: Server, client_id: str, secret: str) -> int:
    credentials = json.dumps({"client_id": client_id, "client_secret": secret})
    header = "Content-Type: application/json"
    return status("--header", header, "--data", credentials, f"{service.url}/login")


def copied(page: Page, what: str) -> str:
    """Press a copy button and return what it put on the clipboard."""
    page.locator(f'button[data-copies="{what}"]').click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text == page.locator(f"#{what}").text_content()
    return str(text)


def test_client_is_added_used_rotated_and_deactivated(staff: Page, service: Server) -> None:
    staff.get_by_role("link", name="Clients", exact=True).click()
    staff.get_by_role("link", name="Add client").click()
    staff.get_by_label("Name").fill("Billing")
    staff.get_by_label("introspect").check()
    add_scope(staff, "orders:read")
    inspect(staff, "admin-add")
    staff.get_by_role("button", name="Save", exact=True).click()

    expect(staff.get_by_role("heading", name="Client added")).to_be_visible()
    inspect(staff, "admin-secret")
    client_id, secret = copied(staff, "client-id"), copied(staff, "client-secret")
    assert login_status(service, client_id, secret) == 200
    command = copied(staff, "curl")
    done = subprocess.run(["sh", "-c", f"{command} -s"], capture_output=True, check=True)
    assert json.loads(done.stdout)["scope"] == "introspect orders:read"

    staff.reload()  # sends the form again, which adds no second client
    expect(staff.get_by_text("This client is already added")).to_be_visible()
    expect(staff.get_by_label("Name")).to_have_value("Billing")
    assert secret not in staff.content()
    inspect(staff, "admin-client")

    staff.get_by_role("link", name="Rotate secret").click()
    expect(staff.get_by_label("in 24 hours")).to_be_checked()
    inspect(staff, "admin-rotate")
    staff.get_by_role("button", name="Rotate secret").click()
    second = copied(staff, "client-secret")
    inspect(staff, "admin-rotated")
    assert login_status(service, client_id, secret) == 200
    assert login_status(service, client_id, second) == 200

    staff.get_by_role("link", name="I have copied it").click()
    staff.get_by_role("link", name="Rotate secret").click()
    staff.get_by_label("now", exact=True).check()
    inspect(staff, "admin-rotate-again")
    staff.get_by_role("button", name="Rotate secret").click()
    third = copied(staff, "client-secret")
    assert [login_status(service, client_id, one) for one in (secret, second, third)] == [
        401,
        401,
        200,
    ]

    staff.goto(f"{service.url}/admin/api/client/")
    staff.get_by_label("Select this object for an action").check()
    staff.get_by_label("Action:").select_option(label="Deactivate selected clients")
    inspect(staff, "admin-clients")
    staff.get_by_role("button", name="Go", exact=True).click()
    inspect(staff, "admin-deactivate")
    staff.get_by_role("button", name="Deactivate clients").click()
    expect(staff.get_by_text("Deactivated 1 of 1 selected client.")).to_be_visible()
    assert login_status(service, client_id, third) == 401
    staff.get_by_role("link", name=client_id).click()
    staff.get_by_role("link", name="Delete").click()
    inspect(staff, "admin-delete")


def add_scope(staff: Page, name: str) -> None:
    """Add a scope in the popup of the +, which ticks it."""
    with staff.expect_popup() as opened:
        staff.get_by_role("link", name="Add scope").click()
    popup = opened.value
    popup.get_by_label("Name").fill("two words")
    popup.get_by_role("button", name="Save", exact=True).click()
    expect(popup.locator(".errorlist")).to_contain_text("but no space")
    popup.get_by_label("Name").fill(name)
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Save", exact=True).click()
    expect(staff.get_by_label(name)).to_be_checked()


def test_scope_is_renamed_and_deleted(staff: Page, service: Server) -> None:
    service.manage("createclient", "reporting", "--scope", "read")
    staff.get_by_role("link", name="Scopes", exact=True).click()
    inspect(staff, "admin-scopes")
    staff.get_by_role("link", name="read", exact=True).click()
    inspect(staff, "admin-scope")
    staff.get_by_label("Name").fill("reading")
    staff.get_by_role("button", name="Save", exact=True).click()
    staff.locator("#result_list").get_by_role("link", name="reading").click()
    staff.get_by_role("link", name="Delete").click()
    inspect(staff, "admin-scope-delete")
    staff.get_by_role("button", name="Delete").click()
    expect(staff.locator("#result_list tbody tr")).to_have_count(2)
    staff.goto(f"{service.url}/admin/nothing/")
    inspect(staff, "admin-refused")


def test_back_button_brings_no_secret_back(staff: Page, service: Server) -> None:
    staff.goto(f"{service.url}/admin/api/client/add/")
    staff.get_by_role("button", name="Save", exact=True).click()
    secret = staff.locator("#client-secret").text_content()
    assert secret
    staff.get_by_role("link", name="I have copied it").click()
    expect(staff.locator("#client-secret")).to_have_count(0)
    staff.evaluate("setTimeout(() => history.back())")  # or its own navigation would end it
    staff.wait_for_timeout(1000)
    assert secret not in staff.content()
    assert secret not in staff.url


def test_keys_are_rotated(staff: Page, service: Server) -> None:
    staff.get_by_role("link", name="Signing keys", exact=True).click()
    staff.get_by_role("link", name="Rotate keys").click()
    inspect(staff, "admin-rotate-keys")
    staff.get_by_role("button", name="Rotate keys").click()
    expect(staff.get_by_role("cell", name="published")).to_be_visible()
    inspect(staff, "admin-keys")
    staff.get_by_role("link", name="Rotate now (leaked)").click()
    inspect(staff, "admin-rotate-keys-now")
    staff.get_by_role("button", name="Rotate now (leaked)").click()
    expect(staff.get_by_role("cell", name="expired")).to_have_count(2)


def test_key_is_pasted_used_and_removed(staff: Page, service: Server) -> None:
    service.manage("createclient", "reporting", "--name", "Reporting")
    pair = KeyPair.generate()
    claims = claims_of("reporting", aud=service.url)
    staff.goto(f"{service.url}/admin/api/client/")
    staff.get_by_role("link", name="reporting", exact=True).click()
    staff.get_by_role("link", name="Add key").click()
    staff.get_by_label("Public key").fill(pair.private_pem)
    staff.get_by_role("button", name="Add key").click()
    expect(staff.get_by_text("This is a private key")).to_be_visible()
    expect(staff.get_by_label("Public key")).to_have_value("")
    inspect(staff, "admin-key-refused")
    staff.get_by_label("Public key").fill(pair.public_pem)
    staff.get_by_label("Name").fill("laptop of the night shift")
    staff.get_by_label("Expires").fill("2100-12-31")
    staff.get_by_role("button", name="Add key").click()
    expect(staff.get_by_role("cell", name="2100-12-31 00:00 UTC")).to_be_visible()

    login = requests.post(
        f"{service.url}/login",
        presented(pair.sign(claims), grant_type="client_credentials"),
        timeout=5,
    )
    bearer = f"Authorization: Bearer {login.json()['access_token']}"
    assert status("--header", bearer, f"{service.url}/private") == 200
    staff.reload()
    inspect(staff, "admin-credentials")
    staff.get_by_role("link", name="Remove laptop").click()
    inspect(staff, "admin-remove")
    staff.get_by_role("button", name="Remove").click()
    expect(staff.get_by_text("and its tokens have ended")).to_be_visible()
    assert status("--header", bearer, f"{service.url}/private") == 401


def test_issuer_is_trusted_and_an_identity_used_and_removed(staff: Page, service: Server) -> None:
    service.manage("createclient", "reporting", "--name", "Reporting")
    issuer, subject = Issuer("https://token.actions.githubusercontent.com"), "repo:octo/app:ref:x"
    staff.get_by_role("link", name="Trusted issuers", exact=True).click()
    staff.get_by_role("link", name="Add trusted issuer").first.click()
    staff.get_by_label("Issuer").fill(issuer.url)
    staff.get_by_label("Keys").fill("{}")
    staff.get_by_role("button", name="Save", exact=True).click()
    expect(staff.get_by_text("This is not a JWK Set")).to_be_visible()
    inspect(staff, "admin-issuer-refused")
    staff.get_by_label("Keys").fill(issuer.jwks())
    staff.get_by_role("button", name="Save", exact=True).click()
    expect(staff.get_by_role("cell", name="never, they were given")).to_be_visible()
    inspect(staff, "admin-issuers")

    staff.goto(f"{service.url}/admin/api/client/")
    staff.get_by_role("link", name="reporting", exact=True).click()
    staff.get_by_role("link", name="Add workload identity").click()
    staff.get_by_label("Issuer").select_option(issuer.url)
    staff.get_by_label("Subject").fill(subject)
    staff.get_by_role("button", name="Add identity").click()
    expect(staff.get_by_text("somebody else can take over this subject")).to_be_visible()
    inspect(staff, "admin-identity-refused")
    staff.get_by_label("Claims").fill("repository_id=456789")
    staff.get_by_role("button", name="Add identity").click()
    expect(staff.get_by_role("rowheader", name=subject)).to_be_visible()

    assertion = issuer.token(sub=subject, repository_id="456789", aud=service.url)
    login = requests.post(f"{service.url}/login", form(assertion), timeout=5)
    bearer = f"Authorization: Bearer {login.json()['access_token']}"
    assert status("--header", bearer, f"{service.url}/private") == 200
    staff.reload()
    inspect(staff, "admin-identity")
    staff.get_by_role("link", name=f"Remove {subject}").click()
    staff.get_by_role("button", name="Remove").click()
    expect(staff.get_by_text("and its tokens have ended")).to_be_visible()
    assert status("--header", bearer, f"{service.url}/private") == 401


def test_tokens_are_revoked(staff: Page, service: Server) -> None:
    shown = json.loads(service.manage("createclient", "reporting", "--name", "Reporting"))
    credentials = json.dumps({name: shown[name] for name in ("client_id", "client_secret")})
    answer = subprocess.run(
        ["curl", "-s", "--json", credentials, f"{service.url}/login"],
        capture_output=True,
        check=True,
    )
    bearer = f"Authorization: Bearer {json.loads(answer.stdout)['access_token']}"
    assert status("--header", bearer, f"{service.url}/private") == 200
    staff.goto(f"{service.url}/admin/api/client/")
    staff.get_by_role("link", name="reporting", exact=True).click()
    staff.get_by_role("link", name="Revoke all tokens").click()
    inspect(staff, "admin-revoke")
    staff.get_by_role("button", name="Revoke all tokens").click()
    expect(staff.get_by_text("All tokens of reporting are revoked.")).to_be_visible()
    assert status("--header", bearer, f"{service.url}/private") == 401


USAGE = """
from datetime import timedelta
from django.utils import timezone
from api import clients
from api.models import Client, RetiredSecret
from api.usage import store
from api.usage.batch import Batch
batch, hour = Batch(), int(timezone.now().timestamp()) // 3600
for number, client in enumerate(Client.objects.order_by("pk")):
    clients.rotate_secret(client, grace=timedelta(days=number + 1))
    RetiredSecret.objects.filter(pk=client.pk).update(
        last_used_at=timezone.now(), last_used_from="2001:db8:85a3::8a2e:370:7334"
    )
    for ago in range(160):
        batch.count(client.pk, hour - ago, "success", 1000 + ago * (number + 1) % 97)
        batch.count(client.pk, hour - ago, "wrong secret", ago % 7 * number)
        batch.count(client.pk, hour - ago, "throttled", ago % 3 * number)
store.write(batch)
"""


def test_usage_is_shown_of_all_and_of_one_client(staff: Page, service: Server) -> None:
    for number in range(3):
        service.manage("createclient", f"job-{number}", "--name", "Night job")
    service.shell(USAGE)
    staff.reload()
    expect(staff.get_by_role("img", name="Logins, last 24 hours")).to_be_visible()
    staff.get_by_text("Figures of the last 7 days").click()
    inspect(staff, "admin-overview")
    staff.get_by_role("row", name="job-2").get_by_role("link").first.click()
    expect(staff.get_by_role("heading", name="Usage")).to_be_visible()
    expect(staff.get_by_role("cell", name="from 2001:db8:85a3::8a2e:370:7334")).to_be_visible()
    inspect(staff, "admin-client-usage")


def test_pictures_of_a_list_that_is_in_use(staff: Page, service: Server, tmp_path: Path) -> None:
    for number in range(5):
        service.manage("createclient", f"job-{number}", "--name", "Night job", "--scope", "read")
    staff.goto(f"{service.url}/admin/api/client/?q=night&scope=read")
    expect(staff.locator("#result_list tbody tr")).to_have_count(5)
    inspect(staff, "admin-list")


def test_api_is_added_connected_and_granted(staff: Page, service: Server) -> None:
    orders = "https://orders.example.com"
    service.manage("createclient", "gateway")
    staff.get_by_role("link", name="APIs", exact=True).click()
    staff.get_by_role("link", name="Add API").click()
    staff.get_by_label("Identifier").fill(orders)
    staff.get_by_label("Name").fill("Orders")
    staff.get_by_label("introspect").check()
    add_scope(staff, "orders:read")
    staff.get_by_label("Server").fill("gateway")
    inspect(staff, "admin-api-add")
    staff.get_by_role("button", name="Save", exact=True).click()
    staff.get_by_role("link", name=orders, exact=True).first.click()
    staff.get_by_role("link", name="Connect this API").click()
    inspect(staff, "admin-api-connect")
    assert copied(staff, "audience") == orders
    assert f'audience="{orders}"' in copied(staff, "pyjwt")

    service.manage("createclient", "billing")
    staff.get_by_role("link", name="Home").click()
    staff.get_by_role("link", name="Clients", exact=True).click()
    staff.get_by_role("link", name="billing").click()
    staff.get_by_role("checkbox", name=orders).check()
    staff.get_by_label("Default API").select_option(orders)
    inspect(staff, "admin-client-with-apis")
    staff.get_by_role("button", name="Save", exact=True).click()
    staff.locator("#result_list").get_by_role("link", name="billing").click()
    expect(staff.get_by_role("checkbox", name=orders)).to_be_checked()
