"""Staff sessions, and what a stolen database gives away of them."""

from datetime import timedelta

import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client as Browser
from django.utils import timezone

from api.sessions import DELETED_AT_ONCE, SessionStore

COOKIE = settings.SESSION_COOKIE_NAME
PASSWORD = "a good password"

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Browser:
    """A browser in which somebody of the staff signed in by the form."""
    User.objects.create_superuser("boss", password=PASSWORD)
    browser = Browser()
    form = {"username": "boss", "password": PASSWORD}
    assert browser.post("/admin/login/", form).status_code == 302
    return browser


def is_signed_in(browser: Browser) -> bool:
    return browser.get("/admin/").status_code == 200


def with_cookie(key: str) -> Browser:
    browser = Browser()
    browser.cookies[COOKIE] = key
    return browser


def test_session_of_a_cookie_is_found(browser: Browser) -> None:
    assert is_signed_in(browser)
    assert is_signed_in(with_cookie(browser.cookies[COOKIE].value))


def test_row_of_a_session_signs_nobody_in(browser: Browser) -> None:
    (row,) = Session.objects.all()
    assert row.session_key != browser.cookies[COOKIE].value
    assert not is_signed_in(with_cookie(row.session_key))


def test_session_ends_at_sign_out_in_every_browser(browser: Browser) -> None:
    copy = with_cookie(browser.cookies[COOKIE].value)
    assert browser.post("/admin/logout/").status_code == 200
    assert not is_signed_in(copy)
    assert not Session.objects.exists()


def test_new_password_keeps_this_session_under_a_new_key_and_ends_the_others(
    browser: Browser,
) -> None:
    old = browser.cookies[COOKIE].value
    form = {"old_password": PASSWORD, "new_password1": PASSWORD + "!"}
    form["new_password2"] = form["new_password1"]
    assert browser.post("/admin/password_change/", form).status_code == 302
    assert is_signed_in(browser)
    assert not is_signed_in(with_cookie(old))


def test_session_expires(browser: Browser) -> None:
    with time_machine.travel(timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE + 1)):
        assert not is_signed_in(browser)


@pytest.mark.parametrize("key", ["", "short", "x" * 40, "\0" * 32, "é" * 32])
def test_key_that_nobody_was_given_is_no_session(browser: Browser, key: str) -> None:
    assert not is_signed_in(with_cookie(key))


def test_new_session_takes_some_expired_ones_away(browser: Browser) -> None:
    then = timezone.now() - timedelta(days=1)
    Session.objects.bulk_create(
        Session(session_key=f"old-{number}", session_data="", expire_date=then)
        for number in range(DELETED_AT_ONCE + 2)
    )
    SessionStore().create()
    assert Session.objects.filter(expire_date=then).count() == 2
    assert is_signed_in(browser)


@pytest.mark.django_db(transaction=True)
def test_asynchronous_half_keeps_no_key_either() -> None:
    store = SessionStore()
    async_to_sync(store.acreate)()
    (row,) = Session.objects.all()
    assert store.session_key
    assert store.session_key != row.session_key
    assert async_to_sync(store.aexists)(store.session_key)
    async_to_sync(store.aflush)()
    assert not Session.objects.exists()
