"""A plain secret is in the one answer that shows it, and nowhere else."""

import json
import logging
import re
from collections.abc import Iterator
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from api.credentials import create_client
from api.hashers import generate_secret
from api.models import Client

LIST = "/admin/api/client/"


@pytest.fixture
def log() -> Iterator[StringIO]:
    """All that is logged, at any level and by anybody, tracebacks included."""
    text = StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.root.addHandler(handler)
    yield text
    logging.root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def dump() -> str:
    """Return every row of every table."""
    with connection.cursor() as cursor:
        lines = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            lines += [f"{table}: {row}" for row in cursor.fetchall()]
    return "\n".join(lines)


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return str(json.loads(output.getvalue())["client_secret"])


class Life:
    """What happens to clients and their secrets, and each secret and token that was shown."""

    def __init__(self, http: APIClient, admin: Browser) -> None:
        self.http, self.admin = http, admin
        self.shown: list[str] = []

    def use(self, client_id: str, secret: str) -> None:
        body = {"client_id": client_id, "client_secret": secret}
        token = self.http.post("/login", body, format="json").data["access_token"]
        self.shown += [secret, token]
        bearer = {"Authorization": f"Bearer {token}"}
        assert self.http.get("/private", headers=bearer).status_code == 200
        for path in ("/introspect", "/revoke"):
            answer = self.http.post(path, {**body, "token": token}, format="json")
            assert answer.status_code == 200

    def guess(self, client_id: str, secret: str) -> None:
        self.shown.append(secret)
        wrong = {"client_id": client_id, "client_secret": secret}
        assert self.http.post("/login", wrong, format="json").status_code == 401
        Browser().post("/admin/login/", {"username": client_id, "password": secret})

    def submit(self, url: str, **data: str) -> str:
        """Return the secret that the admin shows in answer to a form."""
        page = self.admin.post(url, data).content.decode()
        match = re.search(r'<code id="client-secret">([^<]+)</code>', page)
        assert match, page
        return match[1]

    def live(self) -> None:
        answer = self.http.post("/register", {"client_name": "Registered"}, format="json")
        self.use(answer.data["client_id"], answer.data["client_secret"])
        create_client("typed", secret="a secret that somebody typed")
        self.use("typed", "a secret that somebody typed")
        self.use("made", run("createclient", "made"))
        self.use("made", run("rotatesecret", "made", "--grace", "1h"))
        secret = self.submit(f"{LIST}add/", first_name="Added")
        added = Client.objects.get(first_name="Added")
        self.use(added.username, secret)
        for grace in ("24", "0"):
            rotation = f"{LIST}{added.pk}/rotate/"
            version = self.admin.get(rotation).context["form"]["version"].value()
            self.use(added.username, self.submit(rotation, grace=grace, version=version))
        self.admin.post(f"{LIST}{added.pk}/revoke/")
        self.guess("made", generate_secret())
        self.guess("made", "a guess that somebody typed")


@pytest.fixture
def admin(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss"))
    return browser


def test_no_secret_or_token_is_kept_logged_or_shown_again(
    http: APIClient, admin: Browser, log: StringIO
) -> None:
    life = Life(http, admin)
    with CaptureQueriesContext(connection):  # logs statements and their parameters, too
        life.live()
    assert len(life.shown) == 16

    pages = ["/admin/", "/admin/api/", LIST, "/admin/api/signingkey/", "/admin/auth/user/"]
    for pk in Client.objects.values_list("pk", flat=True):
        names = ("change", "history", "rotate", "revoke", "delete")
        pages += [f"{LIST}{pk}/{name}/" for name in names]
    for url in pages:
        answer = admin.get(url)
        assert answer.status_code == 200, url
        assert [one for one in life.shown if one in answer.content.decode()] == [], url
    rows, logged = dump(), log.getvalue()
    for table in ("auth_user", "django_session", "django_admin_log", "api_retiredsecret"):
        assert f"{table}: (" in rows
    for line in ('api.audit secret_rotated client="made"', "django.db.backends"):
        assert line in logged
    assert [one for one in life.shown if one in rows] == []
    assert [one for one in life.shown if one in logged] == []
