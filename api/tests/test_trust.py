"""Who may be trusted, and as which client: on the command line and in the admin."""

import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser

from api import trust
from api.admin.issuers import IssuerForm
from api.credentials import create_client
from api.models import Client, TrustedIssuer, WorkloadIdentity
from api.tests.support.issuer import SUBJECT, Issuer
from api.tests.support.raw_server import RawServer, respond
from api.trust import GITHUB, add_identity, check_claims, trust_issuer

URL = "https://issuer.example"
ISSUERS = "/admin/api/trustedissuer/"
MUTABLE = "After a rename, somebody else can take over this subject. Add the claim"


def run(*arguments: str) -> str:
    stdout = io.StringIO()
    call_command(*arguments, stdout=stdout)
    return stdout.getvalue()


@pytest.fixture
def jwks(tmp_path: Path) -> str:
    """The name of a file with an issuer's keys."""
    file = tmp_path / "jwks.json"
    file.write_text(Issuer().jwks())
    return str(file)


def test_an_issuer_with_given_keys_is_trusted_and_replaced(
    db: None, jwks: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.INFO, "api.audit"):
        assert (
            run("trustissuer", URL, "--jwks", jwks, "--audience", "us", "--name", "CI") == "one\n"
        )
    assert f'issuer_trusted issuer="{URL}"' in caplog.text
    client, _ = create_client("reporting")
    add_identity(client, TrustedIssuer.objects.get(), SUBJECT, {})
    rotated = Issuer()
    rotated.rotate("two")
    monkeypatch.setattr(sys, "stdin", io.StringIO(rotated.jwks()))
    assert run("trustissuer", URL, "--jwks", "-", "--internal") == "two\n"
    issuer = TrustedIssuer.objects.get()
    assert (issuer.name, issuer.audience, issuer.is_internal) == ("", "", True)
    assert WorkloadIdentity.objects.get().issuer == issuer


def test_an_issuer_is_trusted_by_discovery(db: None) -> None:
    with Issuer().serving() as issuer:
        assert run("trustissuer", issuer.url) == "one\n"
    trusted = TrustedIssuer.objects.get()
    assert (trusted.given_jwks, trusted.fetched_at, trusted.tried_at) == (
        "",
        trusted.tried_at,
        trusted.fetched_at,
    )


def test_no_transaction_is_open_while_an_issuer_is_asked(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def discover(_: str, **__: bool) -> str:
        assert not connection.in_atomic_block  # which would lock SQLite
        return Issuer().jwks()

    monkeypatch.setattr(trust, "discover", discover)
    assert run("trustissuer", URL) == "one\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["http://issuer.example"], "The URL must begin with https://."),
        (["issuer.example"], "The URL is malformed."),
        (["spiffe://example.org"], "Give the keys of a SPIFFE trust domain: its bundle."),
        (
            ["https://10.0.0.1"],
            "The server's address is not public; mark the issuer as internal to allow it.",
        ),
        ([URL, "--jwks", "/no/such/file"], "The keys cannot be read: No such file or directory."),
        ([URL, "--jwks", "/dev/null"], "The file with the keys is empty."),
        ([URL, "--jwks", "manage.py"], "The JWK Set is not JSON."),
        ([f"{URL}/{'x' * 255}", "--jwks", "JWKS"], "at most 255 characters"),
        ([URL, "--jwks", "JWKS", "--audience", "x" * 256], "at most 255 characters"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_an_issuer_that_cannot_be_trusted_is_refused_with_a_reason(
    arguments: list[str], sentence: str, db: None, jwks: str
) -> None:
    given = [jwks if one == "JWKS" else one for one in arguments]
    with pytest.raises(CommandError) as refusal:
        run("trustissuer", *given)
    assert sentence in str(refusal.value)
    assert not TrustedIssuer.objects.exists()


def test_an_identity_is_added_with_its_claims(
    db: None, jwks: str, caplog: pytest.LogCaptureFixture
) -> None:
    run("trustissuer", URL, "--jwks", jwks)
    create_client("deploy")
    subject = "project_path:group/app:ref_type:branch:ref:main"
    claims = ("--claim", "project_id=7", "--claim", "ref_protected=true", "--claim", "x=a=b")
    with caplog.at_level(logging.INFO, "api.audit"):
        printed = run("addidentity", "deploy", URL, subject, *claims)
    assert printed == f"{subject} can log in as client deploy.\n"
    assert f'identity_added client="deploy" issuer="{URL}" subject="{subject}"' in caplog.text
    claims = WorkloadIdentity.objects.get().claims
    assert claims == {"project_id": "7", "ref_protected": "true", "x": "a=b"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody", URL, SUBJECT], "There is no client 'nobody'."),
        (["boss", URL, SUBJECT], "There is no client 'boss'."),
        (["deploy", f"{URL}/", SUBJECT], "There is no trusted issuer"),
        (["deploy", URL, "taken"], "This subject of the issuer already belongs to a client."),
        (["deploy", URL, ""], "This field cannot be blank."),
        (["deploy", URL, "x" * 513], "at most 512 characters"),
        (["deploy", URL, SUBJECT, "--claim", "team"], "'team' is not a claim such as NAME=VALUE."),
        (["deploy", URL, "project_path:a/b:ref_type:branch:ref:main"], f"{MUTABLE} project_id or"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_an_identity_that_cannot_be_is_refused_with_a_reason(
    arguments: list[str], sentence: str, db: None, jwks: str
) -> None:
    run("trustissuer", URL, "--jwks", jwks)
    User.objects.create_superuser("boss")
    client, _ = create_client("deploy")
    add_identity(client, TrustedIssuer.objects.get(), "taken", {})
    with pytest.raises(CommandError) as refusal:
        run("addidentity", *arguments)
    assert sentence in str(refusal.value)
    assert WorkloadIdentity.objects.count() == 1


@pytest.mark.parametrize(
    ("issuer", "subject", "claims", "is_enough"),
    [
        (GITHUB, "repo:octo/app:ref:refs/heads/main", {}, False),
        (GITHUB, "repo:octo/app:ref:refs/heads/main", {"repository": "octo/app"}, False),
        (GITHUB, "repo:octo/app:ref:refs/heads/main", {"repository_id": "7"}, True),
        (GITHUB, "repo:octo/app:ref:refs/heads/main", {"repository_owner_id": "7"}, True),
        (GITHUB, "repo:octo@12/app@34:ref:refs/heads/main", {}, True),
        (GITHUB, "repo:octo@12/app:ref:refs/heads/app@34", {}, False),
        (GITHUB, "repo:octo/app:environment:x@12/y@34", {}, False),
        (GITHUB, "repository_owner:octo", {}, False),  # a customised subject
        (f"{GITHUB}/octo", "repository_owner:octo", {}, False),  # that of an enterprise
        ("https://ghe.example/_services/token", "repo:octo/app:pull_request", {}, False),
        ("https://gitlab.com", "project_path:a/b:ref_type:branch:ref:main", {}, False),
        ("https://gitlab.com", "project_path:a/b:ref_type:tag:ref:1", {"namespace_id": "7"}, True),
        ("https://git.example", "project_path:a/b:ref_type:branch:ref:x", {}, False),
        ("https://kubernetes.default.svc", SUBJECT, {}, True),
    ],
)
def test_a_subject_made_of_names_needs_an_immutable_claim(
    issuer: str, subject: str, claims: dict[str, str], is_enough: bool
) -> None:
    if is_enough:
        check_claims(issuer, subject, claims)
    else:
        with pytest.raises(ValidationError, match=MUTABLE):
            check_claims(issuer, subject, claims)


@pytest.fixture
def admin(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


def sentences(response: Any) -> str:
    assert response.status_code == 200, response
    return str(response.content.decode().replace("&#x27;", "'").replace("&quot;", '"'))


def test_staff_trust_change_and_delete_an_issuer(
    admin: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    with Issuer().serving() as issuer:
        empty = {"name": "", "audience": "", "given_jwks": ""}
        assert admin.post(f"{ISSUERS}add/", {**empty, "url": issuer.url}).status_code == 302
        trusted = TrustedIssuer.objects.get()
        page = f"{ISSUERS}{trusted.pk}/"
        assert issuer.url in sentences(admin.get(ISSUERS))
        issuer.asked.clear()
        assert admin.post(f"{page}change/", {**empty, "name": "Cluster"}).status_code == 302
        assert issuer.asked == []  # nothing that concerns the keys was changed
        given = Issuer()
        given.rotate("given")
        changed = {**empty, "given_jwks": given.jwks(), "url": "https://another.example"}
        assert admin.post(f"{page}change/", changed).status_code == 302
    trusted.refresh_from_db()
    assert (trusted.url, trusted.name) == (issuer.url, "")
    assert json.loads(trusted.given_jwks)["keys"][0]["kid"] == "given"
    assert admin.post(f"{page}delete/", {"post": "yes"}).status_code == 302
    assert not TrustedIssuer.objects.exists()
    events = [record.__dict__.get("event") for record in caplog.records]
    assert events == ["issuer_trusted", "issuer_changed", "issuer_changed", "issuer_deleted"]


def test_a_change_does_not_undo_a_fetch_in_the_meantime(
    admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = trust_issuer(URL, given=Issuer().jwks())
    real = IssuerForm.clean

    def clean(form: IssuerForm) -> dict[str, Any] | None:
        TrustedIssuer.objects.update(fetched_jwks="fetched in the meantime")
        return real(form)

    monkeypatch.setattr(IssuerForm, "clean", clean)
    sent = {"name": "Cluster", "audience": "", "given_jwks": trusted.given_jwks}
    assert admin.post(f"{ISSUERS}{trusted.pk}/change/", sent).status_code == 302
    trusted.refresh_from_db()
    assert (trusted.name, trusted.fetched_jwks) == ("Cluster", "fetched in the meantime")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"url": "http://issuer.example"}, "The URL must begin with https://."),
        ({"url": "https://127.0.0.2:1"}, "The issuer's keys cannot be fetched. The server cannot"),
        ({"given_jwks": "{}"}, 'This is not a JWK Set, such as {"keys": [...]}.'),
        ({"given_jwks": "nothing"}, "The JWK Set is not JSON."),
    ],
)
def test_staff_learn_why_an_issuer_is_not_trusted(
    changed: dict[str, str], sentence: str, admin: Browser
) -> None:
    sent = {"url": URL, "name": "", "audience": "", "given_jwks": "", **changed}
    assert sentence in sentences(admin.post(f"{ISSUERS}add/", sent))
    assert not TrustedIssuer.objects.exists()


@pytest.mark.parametrize("given", ["{}", "1", "[" * 5000, "nothing"], ids=str.__len__)
def test_staff_learn_why_the_given_keys_of_an_issuer_stay(given: str, admin: Browser) -> None:
    trusted = trust_issuer(URL, given=Issuer().jwks())
    sent = {"name": "", "audience": "", "given_jwks": given}
    page = admin.post(f"{ISSUERS}{trusted.pk}/change/", sent)
    assert page.context["adminform"].errors.keys() == {"given_jwks"}
    assert TrustedIssuer.objects.get().given_jwks == trusted.given_jwks


def test_staff_learn_why_the_keys_of_an_issuer_cannot_be_fetched_again(admin: Browser) -> None:
    with RawServer(respond(b"{}", "500 Oops")).running() as server:
        url = server.url.removesuffix("/keys")
        trusted = trust_issuer(url, given=Issuer().jwks())
        sent = {"name": "", "audience": "", "given_jwks": ""}
        shown = sentences(admin.post(f"{ISSUERS}{trusted.pk}/change/", sent))
    assert "The server responded with status 500, not 200." in shown
    assert TrustedIssuer.objects.get().given_jwks


@pytest.fixture
def page(db: None) -> str:
    """The pages of a client in the admin. An issuer is trusted."""
    trust_issuer(URL, given=Issuer().jwks())
    client, _ = create_client("reporting")
    return f"/admin/api/client/{client.pk}/"


def test_staff_add_and_remove_an_identity(
    admin: Browser, page: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "api.audit")
    issuer = TrustedIssuer.objects.get().pk
    sent = {"issuer": issuer, "subject": SUBJECT, "claims": "team=7\r\n\r\nx=a=b\r\n"}
    assert admin.post(f"{page}add-identity/", sent).status_code == 302
    identity = WorkloadIdentity.objects.get()
    assert identity.claims == {"team": "7", "x": "a=b"}
    shown = sentences(admin.get(f"{page}change/"))
    assert f"{SUBJECT}, team=7, x=a=b" in shown
    assert f"identity of {URL}" in shown
    removal = f"{page}remove/identity:{identity.pk}/"
    assert removal in shown
    assert SUBJECT in sentences(admin.get(removal))
    assert WorkloadIdentity.objects.exists()
    assert admin.post(removal).status_code == 302
    assert not WorkloadIdentity.objects.exists()
    events = [record.__dict__.get("event") for record in caplog.records]
    assert events == ["identity_added", "identity_removed"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"subject": "repo:octo/app:pull_request"}, f"{MUTABLE} repository_id or"),
        ({"subject": "taken"}, "This subject of the issuer already belongs to a client."),
        ({"claims": "team"}, "'team' is not a claim such as NAME=VALUE."),
        ({"issuer": "0"}, "Select a valid choice."),
        ({"subject": "a\0"}, "Null characters are not allowed."),
    ],
)
def test_staff_learn_why_an_identity_is_not_added(
    changed: dict[str, str], sentence: str, admin: Browser, page: str
) -> None:
    issuer = TrustedIssuer.objects.get()
    add_identity(Client.objects.get(), issuer, "taken", {})
    sent = {"issuer": str(issuer.pk), "subject": SUBJECT, "claims": "", **changed}
    assert sentence in sentences(admin.post(f"{page}add-identity/", sent))
    assert WorkloadIdentity.objects.count() == 1


def test_identities_of_another_client_are_not_removed(admin: Browser, page: str) -> None:
    other, _ = create_client("other")
    identity = add_identity(other, TrustedIssuer.objects.get(), SUBJECT, {})
    assert admin.post(f"{page}remove/identity:{identity.pk}/").status_code == 404
    assert WorkloadIdentity.objects.exists()


def test_staff_need_permissions_for_identities(db: None, page: str) -> None:
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_client"]))
    browser = Browser()
    browser.force_login(user)
    identity = add_identity(Client.objects.get(), TrustedIssuer.objects.get(), SUBJECT, {})
    shown = sentences(browser.get(f"{page}change/"))
    assert "add-identity" not in shown
    assert "remove/identity" not in shown
    for path in (f"{page}add-identity/", f"{page}remove/identity:{identity.pk}/", ISSUERS):
        assert browser.get(path).status_code == 403
        assert browser.post(path).status_code == 403
    assert WorkloadIdentity.objects.exists()
