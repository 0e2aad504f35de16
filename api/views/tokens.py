"""The OAuth endpoints of a token's life: issue, introspect, revoke; and the browser's sign-out."""

from django.http import HttpResponseBase, HttpResponseRedirect
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework_simplejwt.exceptions import TokenError

from api import audit, credentials, tokens
from api.authentication import (
    authenticate_client,
    enforce_csrf,
    forget_token,
    remember_token,
)
from api.exceptions import InvalidRequest, InvalidScope, UnsupportedGrantType
from api.openapi import operations
from api.parsers import JSONParser
from api.permissions import INTROSPECT
from api.renderers import (
    SignInPage,
    TokenRequestPage,
    is_page,
    local_path,
)
from api.serializers import (
    TokenRequestSerializer,
    TokenSerializer,
)
from api.throttling import limits
from api.views.base import FormView, UncachedView

GRANT_TYPE_REQUIRED = "grant_type is required, but for a body of Content-Type application/json."


class LoginView(FormView):
    """The token endpoint (RFC 6749 §4.4): client credentials for an access token.

    No authentication class, because who calls is the very question that is answered here.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, SignInPage)

    @operations.login
    def post(self, request: Request) -> HttpResponseBase:
        asked = TokenRequestSerializer.read(request.data)
        media_type = request.content_type.partition(";")[0].strip().lower()
        if "grant_type" not in asked and media_type != JSONParser.media_type:
            raise InvalidRequest(GRANT_TYPE_REQUIRED)
        if asked.get("grant_type", "client_credentials") != "client_credentials":
            raise UnsupportedGrantType
        login = authenticate_client(request)
        try:
            scopes = login.narrow(asked.get("scope"))
        except credentials.ScopeNotGrantedError as error:
            raise InvalidScope from error
        token = tokens.issue(login.client, scopes, login.secret_hash)
        text = str(token)
        audit.record(
            "token_issued",
            client=login.client.client_id,
            address=limits.client_address(request._request),
            jti=token["jti"],
        )
        response: HttpResponseBase = Response(
            {
                "access_token": text,
                "token_type": "Bearer",
                "expires_in": token["exp"] - token["iat"],
                "scope": token["scope"],
            }
        )
        if is_page(request):
            if destination := local_path(request.query_params.get("next", "")):
                response = HttpResponseRedirect(destination)
            remember_token(response, token, text)
        return response


class LogoutView(UncachedView):
    """Sign the browser out; a token that was copied from it lives on until it expires."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None  # for browsers only

    def post(self, request: Request) -> HttpResponseBase:
        enforce_csrf(request)
        response = HttpResponseRedirect(reverse("root"))
        forget_token(response)
        return response


class IntrospectView(FormView):
    """Token introspection (RFC 7662): a client's own tokens; others' with scope `introspect`."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, TokenRequestPage)

    @operations.introspect
    def post(self, request: Request) -> Response:
        login = authenticate_client(request)
        text = TokenSerializer.read(request.data)["token"]
        try:
            token = tokens.verify(text)
        except TokenError:
            return Response({"active": False})
        if token["sub"] != login.client.client_id and INTROSPECT not in login.scopes:
            return Response({"active": False})
        return Response({"active": True, "token_type": "Bearer", **tokens.public_claims(token)})


class RevokeView(FormView):
    """Token revocation (RFC 7009): a client's own tokens; the answer is 200 whatever was sent."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer, TokenRequestPage)

    @operations.revoke
    def post(self, request: Request) -> Response:
        login = authenticate_client(request)
        text = TokenSerializer.read(request.data)["token"]
        try:
            token = tokens.AccessToken(text)
        except TokenError:
            return Response({})
        if token["sub"] == login.client.client_id:
            tokens.revoke(token)
            audit.record(
                "token_revoked",
                client=login.client.client_id,
                address=limits.client_address(request._request),
                jti=token["jti"],
            )
        return Response({})
