"""Who is calling: a client with its credentials, or somebody with an access token."""

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.models import TokenUser

from api import audit, credentials, tokens
from api.exceptions import (
    REALM,
    CSRFFailed,
    InvalidClient,
    InvalidRequest,
    InvalidToken,
    SlowDown,
)
from api.hashers import is_generated
from api.serializers import parse_basic, read_credentials, without_empty
from api.throttling import limits as throttling

BASIC_CHALLENGE = {"WWW-Authenticate": f'Basic realm="{REALM}", charset="UTF-8"'}  # RFC 7617 §2


class ClientUser(TokenUser):
    """SimpleJWT's stateless user; its name is the client id."""

    @property
    def username(self) -> str:
        return str(self.id)


class BearerAuthentication(BaseAuthentication):
    """An access token in the Authorization header (RFC 6750 §2.1), or in the browser's cookie.

    The cookie counts only where there is no such header, and an unsafe method that relies on it
    needs Django's CSRF token: a browser sends a cookie unasked, and nobody a header.
    """

    def authenticate(self, request: Request) -> tuple[ClientUser, tokens.AccessToken] | None:
        if header := request.META.get("HTTP_AUTHORIZATION"):
            scheme, _, text = header.partition(" ")
            if scheme.lower() != "bearer":
                return None
        elif text := request.COOKIES.get(settings.ACCESS_TOKEN_COOKIE, ""):
            enforce_csrf(request)
        else:
            return None
        try:
            token = tokens.verify(text.strip(" "))
        except TokenError as error:
            raise InvalidToken from error
        return ClientUser(token), token


class _CSRFCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def enforce_csrf(request: Request) -> None:
    """Demand Django's CSRF token of an unsafe method. Raises `CSRFFailed`.

    The body is parsed by our parsers first, and Django looks for its token in what they returned;
    its own would take bodies that are ours to refuse.
    """
    if request.method not in SAFE_METHODS:
        request.data  # noqa: B018 (parses)
    check = _CSRFCheck(lambda _request: None)  # type: ignore[arg-type]
    check.process_request(request._request)
    if check.process_view(request._request, enforce_csrf, (), {}):  # type: ignore[arg-type]
        raise CSRFFailed


def remember_token(response: HttpResponseBase, token: tokens.AccessToken, text: str) -> None:
    """Have the browser keep a token until it expires, where no script can read it."""
    response.set_cookie(
        settings.ACCESS_TOKEN_COOKIE,
        text,
        max_age=token["exp"] - token["iat"],
        secure=settings.IS_HTTPS,
        httponly=True,
        samesite="Strict",
    )


def forget_token(response: HttpResponseBase) -> None:
    response.delete_cookie(settings.ACCESS_TOKEN_COOKIE, samesite="Strict")


def authenticate_client(request: Request) -> credentials.Login:
    """Return the client whose credentials are in the header or the body (RFC 6749 §2.3.1).

    Raises `InvalidRequest` unless they are there in exactly one of the two, `InvalidClient` if they
    are wrong, and `SlowDown` after too many failures.
    """
    readings, used_basic = _presented(request)
    formed = [(client_id, secret, is_generated(secret)) for client_id, secret in readings]
    address = throttling.client_address(request._request)
    try:
        with throttling.attempt(
            request._request,
            {client_id for client_id, _ in readings},
            costly=not all(generated for _, _, generated in formed),
            guesses=len(readings),
        ):
            return _check(formed, BASIC_CHALLENGE if used_basic else None)
    except InvalidClient as error:
        reason = str(error.__cause__)
        audit.record("login_failed", client=readings[0][0], address=address, reason=reason)
        raise
    except SlowDown:
        audit.record("login_throttled", client=readings[0][0], address=address)
        raise


def _check(
    readings: list[tuple[str, str, bool]], challenge: dict[str, str] | None
) -> credentials.Login:
    """Return whom the first good reading belongs to: id, secret, and whether that is generated.

    Raises `InvalidClient`.
    """
    for client_id, secret, generated in readings:
        try:
            return credentials.check(client_id, secret, generated=generated)
        except credentials.BadCredentialsError as error:
            refusal = error
    raise InvalidClient(headers=challenge) from refusal


def _presented(request: Request) -> tuple[list[tuple[str, str]], bool]:
    """Return the readings of the presented credentials, and whether a Basic header held them."""
    query = request.META.get("QUERY_STRING") and request.query_params
    if query and query.keys() & {"client_id", "client_secret"}:
        raise InvalidRequest("Credentials do not belong in the URL.")
    scheme, _, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return [read_credentials(request.data)], False
    readings = parse_basic(encoded.strip(" "))
    body = without_empty(request.data)
    names = [client_id for client_id, _ in readings]
    if "client_secret" in body or body.get("client_id", names[0]) not in names:
        raise InvalidRequest("The client authenticates in two ways at once.")
    return readings, True


class GuardedBackend(ModelBackend):
    """Django's sign-in, for the admin, under the same guard and the same check as `/login`.

    Django's own check would run a hash whose cost depends on the account.
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
        address = throttling.client_address(request)
        generated = is_generated(password)
        try:
            with throttling.attempt(request, {username}, costly=not generated):
                login = _check([(username, password, generated)], None)
        except InvalidClient as error:
            reason = str(error.__cause__)
            audit.record("sign_in_failed", client=username, address=address, reason=reason)
            return None
        except SlowDown as error:
            audit.record("sign_in_throttled", client=username, address=address)
            seconds = error.headers["Retry-After"]
            raise ValidationError(
                f"Too many failed sign-ins. Try again in {seconds} seconds."
            ) from None
        audit.record("signed_in", client=username, address=address)
        return User.objects.get(pk=login.client.pk)
