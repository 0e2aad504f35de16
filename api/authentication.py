"""Authenticate callers: by access token in the API, by password in the admin."""

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import ngettext
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.models import TokenUser

from api import audit, client_authentication, tokens
from api.browser import enforce_csrf
from api.client_authentication.secret import SecretProof
from api.credentials import BadCredentialsError, Login
from api.exceptions import ExpiredToken, InvalidToken
from api.parameters import CLIENT_ID
from api.throttling.guard import TooManyFailuresError
from api.throttling.slow_hashes import QueueFullError


class ClientUser(TokenUser):
    """SimpleJWT's stateless user; its name is the client id."""

    @property
    def username(self) -> str:
        return str(self.id)


class BearerAuthentication(BaseAuthentication):
    """An access token in the Authorization header (RFC 6750 §2.1), or in the browser's cookie.

    The cookie counts only if there is no Authorization header. With the cookie, an unsafe method
    also needs Django's CSRF token, because other sites can make a browser send its cookies.
    The cookie outlives its token. Then it is no token, so what is open to anyone stays open.
    An empty header counts as a bad token: granian empties a header that is not ASCII.
    """

    def authenticate(self, request: Request) -> tuple[ClientUser, tokens.AccessToken] | None:
        if (header := request.META.get("HTTP_AUTHORIZATION")) is not None:
            scheme, _, text = header.partition(" ")
            if header and scheme.lower() != "bearer":
                return None
        elif text := request.COOKIES.get(settings.ACCESS_TOKEN_COOKIE, ""):
            if tokens.has_expired(text):
                return None
            enforce_csrf(request)
        else:
            return None
        try:
            token = tokens.verify(text.strip(" "))
        except ExpiredTokenError as error:
            raise ExpiredToken from error
        except tokens.OtherAudienceError as error:
            description = "The access token is for another API, not for this service."
            raise InvalidToken(description) from error
        except TokenError as error:
            raise InvalidToken from error
        return ClientUser(token), token


class GuardedBackend(ModelBackend):
    """Sign-in for the admin, with the same check and rate limits as `/login`.

    The cost of Django's own check would depend on the account.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if request is None or username is None or password is None:
            return None
        login = check_person(username, password, request, event="sign_in")
        if login is None:
            return None
        audit.record("signed_in", client=username, address=login.address)
        return User.objects.get(pk=login.client.pk)


def check_person(username: str, password: str, request: HttpRequest, *, event: str) -> Login | None:
    """Check a password that a person entered in the admin. Return `None` if it is wrong.

    `event` begins the name of the audit event. Raises Django's `ValidationError` if a limit forbids
    the check.
    """
    if len(username) > CLIENT_ID.max_length:
        return None  # no such user can exist; keep the log line short
    try:
        proof = SecretProof([(username, password)], is_staff=True)
        return client_authentication.verify(proof, request, method="password", event=event)
    except BadCredentialsError:
        return None
    except QueueFullError:
        raise ValidationError("Too many sign-ins at once. Try again shortly.") from None
    except TooManyFailuresError as error:
        seconds = ngettext("second", "seconds", error.wait)
        raise ValidationError(
            f"Too many failed sign-ins. Try again in {error.wait} {seconds}."
        ) from None
